//! A worker process for tests: it prints a line when a job begins and one when it is done.
//!
//! Arguments: the URL of a Redis.

use std::env;

use seaway::{
    Channels, Result, WorkerContext, routing::ChannelNameRouter, serve_workers, worker_fn,
};
use seaway_tests::support::jobs::{CountJob, JOBS, RELEASE, ReleaseEvent};

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::args().nth(1).expect("the URL of a Redis");
    let channels = Channels::redis(url).await?;
    let workers = ChannelNameRouter::new().route(JOBS, worker_fn(&channels, count));
    println!("ready");
    Ok(serve_workers(&channels, workers).await?)
}

async fn count(ctx: WorkerContext, job: CountJob) -> Result<()> {
    match job {
        CountJob::Count { number } => {
            println!("begun {number}");
            // Others run between the two lines, as in a real job.
            tokio::task::yield_now().await;
            println!("done {number}");
        }
        CountJob::Wait { number } => {
            let mut release = ctx.channels().listen::<ReleaseEvent>(RELEASE).await?;
            println!("begun {number}");
            release.next().await?;
            println!("done {number}");
        }
    }
    Ok(())
}
