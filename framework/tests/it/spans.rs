//! Tests of tracing spans: log lines after the response are in the span of the request.

use crate::{actor::Said, support::eventually};
use http::{Request, Response};
use seaway::{
    Channels, Error, HttpConsumer, HttpContext, HttpHandshake, NoEvent, Rejection, Reply, Result,
    protocol::Body,
};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tower::ServiceExt;
use tracing::Instrument;
use tracing_subscriber::fmt::format::FmtSpan;

/// The recorded log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A consumer that logs a line before its response is sent, and one afterwards.
struct Speaker;

impl HttpConsumer for Speaker {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Reply> {
        tracing::info!("before");
        let body = ctx.stream(Response::new(())).await?;
        tokio::task::yield_now().await;
        tracing::info!("after");
        drop(body);
        Err(Error::user("the database is on fire").into())
    }
}

#[tokio::test]
async fn log_lines_after_the_response_are_in_the_span_of_the_request() {
    let log = Log::default();
    let writer = log.clone();
    // The last line has the level `debug` once other tests have used up its rate limit.
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let app = Speaker::application(&Channels::in_memory());

    let answering = app.oneshot(Request::new(Body::empty()));
    let response = answering.instrument(tracing::info_span!("request")).await;

    let lines = eventually(|| {
        let text = log.text();
        let parts = ["before", "after", "the database is on fire"];
        let line = |part| text.lines().find(|line| line.contains(part));
        let lines: Option<Vec<_>> = parts.into_iter().map(line).collect();
        lines.map(|lines| lines.into_iter().map(str::to_owned).collect::<Vec<_>>())
    });
    for line in lines.await {
        assert!(line.contains(" request: "), "{line}");
    }
    drop(response);
}

#[tokio::test]
async fn a_send_and_a_join_are_spans_with_their_group() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let channels = Channels::in_memory();
    let mailbox = channels.open().await.unwrap();
    let group = channels.group::<Said>("harbour").unwrap();

    async {
        group.add(mailbox.name()).await.unwrap();
        group
            .send(&Said {
                text: "hello".into(),
            })
            .await
            .unwrap();
    }
    .instrument(tracing::info_span!("page"))
    .await;

    let text = log.text();
    for part in [
        "page:group_add{group=harbour",
        "page:group_send{group=harbour bytes=",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
