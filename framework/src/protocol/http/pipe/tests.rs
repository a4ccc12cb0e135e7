//! Tests of a pipe's two ends.

use super::{PipeBody, PipeEnd, PipeSender, SLICE};
use crate::error::Error;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::{future::poll_fn, time::Duration};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

async fn next(body: &mut PipeBody) -> Option<Bytes> {
    let frame = body.frame().await?;
    frame.unwrap().into_data().ok()
}

#[tokio::test(start_paused = true)]
async fn a_full_pipe_makes_its_sender_wait_until_something_is_read() {
    let pipe = PipeSender::new(10, PATIENCE);
    let mut body = PipeBody::new(pipe.clone(), None);

    // The chunk that exceeds the bound is still accepted whole.
    pipe.send("123456".into()).await.unwrap();
    pipe.send("7890123".into()).await.unwrap();
    let full = tokio::time::timeout(Duration::from_secs(1), pipe.send("4".into())).await;
    assert!(full.is_err(), "it waits");

    assert_eq!(next(&mut body).await.unwrap(), "123456");
    pipe.send("4".into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_has_stalled_and_a_slow_one_is_not() {
    let pipe = PipeSender::new(1, PATIENCE);
    let mut body = PipeBody::new(pipe.clone(), None);
    pipe.send("full".into()).await.unwrap();
    let sender = pipe.clone();
    let feeding = tokio::spawn(async move {
        for _ in 0..3 {
            sender.send("more".into()).await?;
        }
        Ok::<_, Error>(())
    });

    for _ in 0..3 {
        tokio::time::sleep(PATIENCE * 9 / 10).await;
        next(&mut body).await.unwrap();
    }
    feeding.await.unwrap().unwrap();

    assert!(pipe.send("in vain".into()).await.unwrap_err().is_closed());
    poll_fn(|cx| pipe.poll_gone(cx)).await;
    assert!(body.frame().await.unwrap().is_err(), "it is incomplete");
}

#[tokio::test]
async fn a_send_that_waits_for_room_fails_once_the_reader_is_gone() {
    let pipe = PipeSender::new(1, PATIENCE);
    let body = PipeBody::new(pipe.clone(), None);
    pipe.send("full".into()).await.unwrap();
    let sender = pipe.clone();
    let waiting = tokio::spawn(async move { sender.send("more".into()).await });
    tokio::task::yield_now().await;

    drop(body);

    assert!(waiting.await.unwrap().unwrap_err().is_closed());
    assert!(pipe.send("more".into()).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_large_chunk_is_read_in_slices() {
    let pipe = PipeSender::new(1, PATIENCE);
    let mut body = PipeBody::new(pipe.clone(), None);

    pipe.send(vec![b'x'; SLICE + 1].into()).await.unwrap();

    assert_eq!(next(&mut body).await.unwrap().len(), SLICE);
    assert_eq!(next(&mut body).await.unwrap(), "x");
    pipe.send("more".into()).await.unwrap();
}

#[tokio::test]
async fn an_aborted_body_ends_with_an_error() {
    for (end, is_error) in [(PipeEnd::Complete, false), (PipeEnd::Incomplete, true)] {
        let pipe = PipeSender::new(10, PATIENCE);
        let mut body = PipeBody::new(pipe.clone(), None);
        pipe.send("a part".into()).await.unwrap();

        pipe.end(end);

        assert_eq!(next(&mut body).await.unwrap(), "a part");
        assert_eq!(body.frame().await.is_some(), is_error, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_silent_pipe_sends_keep_alive_comments() {
    let second = Duration::from_secs(1);
    let pipe = PipeSender::new(10, PATIENCE);
    let mut body = PipeBody::new(pipe.clone(), Some((15 * second, Bytes::from_static(b":"))));
    let began = Instant::now();

    assert_eq!(next(&mut body).await.unwrap(), ":");
    assert_eq!(began.elapsed(), 15 * second);
    let sender = pipe.clone();
    tokio::spawn(async move {
        tokio::time::sleep(10 * second).await;
        sender.send("word".into()).await
    });
    assert_eq!(next(&mut body).await.unwrap(), "word");
    assert_eq!(next(&mut body).await.unwrap(), ":");
    assert_eq!(began.elapsed(), (15 + 10 + 15) * second);
}
