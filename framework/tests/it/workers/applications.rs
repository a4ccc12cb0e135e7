//! Applications and middleware that handle jobs.

use super::{Probe, Task, record, router};
use crate::support::Recorder;
use seaway::{
    Application, Channels, Result, Scope, application_fn,
    protocol::{Job, Worker},
    testing::run_job,
};
use tower_layer::Layer;

/// Middleware that records each job and how it ended.
#[derive(Clone)]
struct Timesheet(Recorder);

struct Recorded<A>(A, Recorder);

impl<A> Layer<A> for Timesheet {
    type Service = Recorded<A>;

    fn layer(&self, inner: A) -> Recorded<A> {
        Recorded(inner, self.0.clone())
    }
}

impl<A: Application<Worker>> Application<Worker> for Recorded<A> {
    async fn call(&self, scope: Scope<Worker>, job: Job) -> Result<()> {
        let channel = scope.head.to_string();
        let outcome = self.0.call(scope, job).await;
        self.1.record(format!("{channel} {}", outcome.is_ok()));
        outcome
    }
}

#[tokio::test]
async fn middleware_sees_each_job_and_how_it_ended() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let sheet = Recorder::default();
    let app = router(&channels, &probe).with(Timesheet(sheet.clone()));

    run_job(&app, "tasks", &record(1)).await.unwrap();
    run_job(&app, "tasks", &Task::Fail).await.unwrap_err();

    assert_eq!(sheet.entries(), ["tasks true", "tasks false"]);
    assert_eq!(probe.recorder.entries(), ["1"]);
}

#[tokio::test]
async fn an_application_of_ones_own_gets_the_encoded_job() {
    let recorder = Recorder::default();
    let recording = recorder.clone();
    let app = application_fn(move |scope: Scope<Worker>, job: Job| {
        recording.record(format!("{} {}", scope.head, job.as_bytes().len()));
        async { Ok(()) }
    });

    run_job(&app, "tasks", &Task::Fail).await.unwrap();

    assert_eq!(recorder.entries(), ["tasks 16"]);
}
