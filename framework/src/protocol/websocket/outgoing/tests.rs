//! Tests of the sender of one WebSocket.

use super::{
    super::{socket::Transport, transport::ByteTransport},
    *,
};
use crate::rejection_log::Peer;
use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, Wake},
};
use tokio::{
    io::{AsyncReadExt, duplex},
    time::Instant,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns the sender of a client for which one message may be queued.
fn sender() -> Sender {
    let config = WebSocketConfig::new()
        .send_messages(1)
        .slow_client(SlowClient::Wait(LIMIT));
    Sender::new(config.into(), None)
}

/// Takes the next queued message, as a transport does.
fn take(sender: &Sender) -> Option<Bytes> {
    let cx = Context::from_waker(Waker::noop());
    let taken = sender.drain(&cx, SendQueue::pop);
    taken.map(|message| message.payload().clone())
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_closed_and_one_that_stops_is() {
    const LARGE: usize = 64 * 1024;
    let sender = sender();
    let (mut client, server) = duplex(1024);
    let config = sender.0.config.clone();
    let peer = Peer::without_request(None);
    let mut transport = ByteTransport::new(Box::new(server), &[], config, None, peer);
    let flushed = sender.clone();
    tokio::spawn(poll_fn(move |cx| {
        _ = transport.poll_flush(&flushed, cx);
        Poll::<()>::Pending
    }));
    sender.send(vec![7; LARGE]).await.unwrap();
    tokio::task::yield_now().await;
    sender.send("second").await.unwrap();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send("third").await }
    });

    let start = Instant::now();
    for _ in 0..LARGE / 1024 / 2 {
        tokio::time::sleep(LIMIT * 3 / 4).await;
        client.read_exact(&mut [0; 1024]).await.unwrap();
        assert!(!sender.is_closing(), "{:?}", start.elapsed());
    }

    let stopped = Instant::now();
    assert!(waiting.await.unwrap().unwrap_err().is_closed());
    assert_eq!(sender.closing().unwrap().code, Close::TRY_AGAIN);
    let elapsed = stopped.elapsed();
    assert!((LIMIT..=2 * LIMIT).contains(&elapsed), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_blocks_a_thread_waits_for_a_client_that_reads_slowly_no_longer_than_the_limit()
{
    let sender = sender();
    sender.send("0").await.unwrap();
    let others = (1..100).map(|number| sender.queue(number.to_string().into(), SendSource::Anyone));
    let mut others: Vec<_> = others.map(Box::pin).collect();
    for other in &mut others {
        assert!(poll(other.as_mut()).is_pending());
    }
    let blocking = tokio::spawn({
        let sender = sender.clone();
        async move {
            let start = Instant::now();
            let sent = sender.queue_blocking("last".into()).await;
            (sent, start.elapsed())
        }
    });

    while !blocking.is_finished() {
        tokio::time::sleep(LIMIT / 2).await;
        take(&sender);
        sender.record_progress();
    }

    let (sent, elapsed) = blocking.await.unwrap();
    assert!(sent.unwrap_err().is_closed());
    assert_eq!(elapsed, LIMIT);
    assert_eq!(sender.closing().unwrap().code, Close::TRY_AGAIN);
}

#[tokio::test]
async fn sends_that_wait_get_room_before_newer_ones_and_in_order() {
    let sender = sender();
    sender.send("1").await.unwrap();
    let (mut second, mut third) = (pin!(sender.send("2")), pin!(sender.send("3")));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());

    assert_eq!(take(&sender).unwrap(), "1");
    assert_eq!(sender.send_volatile("newer").unwrap(), Sent::Dropped);
    let mut fourth = pin!(sender.send("4"));
    assert!(poll(fourth.as_mut()).is_pending());

    assert!(poll(second).is_ready());
    for expected in ["2", "3", "4"] {
        assert_eq!(take(&sender).unwrap(), expected);
    }
    assert!(poll(third).is_ready() && poll(fourth).is_ready());
    assert!(take(&sender).is_none());
}

#[tokio::test]
async fn room_that_a_replacement_makes_goes_to_no_newer_send() {
    let config = WebSocketConfig::new().send_buffer(1000);
    let sender = Sender::new(config.into(), None);
    let large = sender.send_latest("key", vec![0; 1000]).unwrap();
    let (mut second, mut third) = (pin!(sender.send("2")), pin!(sender.send("3")));
    assert!(poll(second.as_mut()).is_pending());

    let small = sender.send_latest("key", "1").unwrap();

    assert_eq!((large, small), (Sent::Queued, Sent::Replaced));
    assert!(poll(third.as_mut()).is_pending());
    for expected in ["1", "2", "3"] {
        assert_eq!(take(&sender).unwrap(), expected);
    }
    assert!(poll(second).is_ready() && poll(third).is_ready());
}

#[tokio::test]
async fn a_cancelled_send_leaves_nothing_behind() {
    let sender = sender();
    sender.send("1").await.unwrap();
    for _ in 0..3 {
        let mut cancelled = Box::pin(sender.send("2"));
        assert!(poll(cancelled.as_mut()).is_pending());
    }

    assert!(sender.outgoing().waiting.is_empty());
    assert_eq!(take(&sender).unwrap(), "1");
    assert!(take(&sender).is_none());
}

#[tokio::test]
async fn sends_that_wait_fail_when_the_connection_closes() {
    for end in [Sender::end, |sender: &Sender| sender.close(4000).unwrap()] {
        let sender = sender();
        sender.send("1").await.unwrap();
        let mut waiting = pin!(sender.send("2"));
        assert!(poll(waiting.as_mut()).is_pending());

        end(&sender);

        assert!(waiting.await.unwrap_err().is_closed());
    }
}

/// A task that is woken only while the queue is not locked.
struct Unlocked(Sender);

impl Wake for Unlocked {
    fn wake(self: Arc<Self>) {
        let outgoing = self.0.0.outgoing.try_lock();
        assert!(outgoing.is_ok(), "woken under the lock");
    }
}

#[tokio::test]
async fn no_task_is_woken_under_the_lock() {
    type Act = fn(&Sender);
    let acts: [(&str, Act); 4] = [
        ("room", |sender| _ = take(sender)),
        ("a message", |sender| {
            _ = sender.send_latest("new", "x").unwrap();
        }),
        ("a close", |sender| sender.close(4000).unwrap()),
        ("the end", Sender::end),
    ];
    for (name, act) in acts {
        println!("{name}");
        let config = WebSocketConfig::new().send_messages(2);
        let sender = Sender::new(config.into(), None);
        let waker = Waker::from(Arc::new(Unlocked(sender.clone())));
        let cx = &mut Context::from_waker(&waker);
        sender.drain(cx, |_| ());
        _ = sender.send_latest("new", "x").unwrap();
        sender.drain(cx, |_| ());
        sender.send("2").await.unwrap();
        let mut waiting = pin!(sender.send("3"));
        assert!(waiting.as_mut().poll(cx).is_pending());
        sender.drain(cx, |_| ());

        act(&sender);
    }
}
