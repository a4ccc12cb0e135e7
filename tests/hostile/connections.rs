//! Attacks by many clients, concurrently or sequentially.

use super::{
    floods::{UNREAD, write_on},
    shape::assert_unharmed,
    target::Target,
    websocket::{TEXT, frame},
};
use futures_util::future::join_all;
use seaway_tests::support::{RawClient, raw};

/// The behaviour of the clients.
#[derive(Clone, Copy, Debug)]
pub enum Clients {
    /// 500 connect, and send nothing.
    Silent,
    /// 500 connect and leave at once.
    Leaving,
    /// 500 connect, and reset their connections.
    Resetting,
    /// 1,000 send bytes that are no request.
    Broken,
    /// 1,000 open a WebSocket from a foreign origin.
    Foreign,
    /// 1,000 send a handshake with two keys.
    Mistaken,
    /// 300 open a WebSocket, and reset it in the middle of a frame.
    HalfSent,
    /// 10 send a body that never ends, to a page that does not read it.
    Endless,
}

pub const ALL: [Clients; 8] = [
    Clients::Silent,
    Clients::Leaving,
    Clients::Resetting,
    Clients::Broken,
    Clients::Foreign,
    Clients::Mistaken,
    Clients::HalfSent,
    Clients::Endless,
];

/// Runs the attacks one after the other.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    for clients in ALL {
        let attack = clients.attack(target.port());
        target
            .serves_others_during(&format!("{clients:?}"), attack)
            .await;
    }
    assert_unharmed(Vec::new(), target).await;
}

impl Clients {
    async fn attack(self, port: u16) {
        let connect = || RawClient::connect(port);
        match self {
            Self::Silent => {
                let silent = join_all((0..500).map(|_| connect())).await;
                assert_eq!(raw::get(port, "/healthz").await, Some(200));
                drop(silent);
            }
            Self::Leaving => {
                for _ in 0..500 {
                    drop(connect().await);
                }
            }
            Self::Resetting => {
                let clients = join_all((0..500).map(|_| connect())).await;
                clients.into_iter().for_each(RawClient::reset);
            }
            Self::Broken => {
                for _ in 0..1_000 {
                    let mut client = connect().await;
                    client.write(b"broken\r\n\r\n").await;
                    client.hung_up().await;
                }
            }
            Self::Foreign => {
                for _ in 0..1_000 {
                    let origin = "Origin: http://evil.example\r\n";
                    assert_eq!(connect().await.upgrade("/ws/echo", origin).await, 403);
                }
            }
            Self::Mistaken => {
                for _ in 0..1_000 {
                    let second_key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
                    assert_eq!(connect().await.upgrade("/ws/echo", second_key).await, 400);
                }
            }
            Self::HalfSent => {
                let sockets = join_all((0..300).map(|_| async {
                    let mut client = connect().await;
                    assert_eq!(client.upgrade("/ws/echo", "").await, 101);
                    client.write(&frame(TEXT, "hello")[..7]).await;
                    client
                }));
                sockets.await.into_iter().for_each(RawClient::reset);
            }
            Self::Endless => {
                let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = [&b"100\r\n"[..], &[b'x'; 0x100], b"\r\n"].concat();
                let chunks = chunk.repeat(100);
                join_all((0..10).map(|_| async {
                    let mut client = connect().await;
                    client.write(head).await;
                    assert!(write_on(&mut client, &chunks).await <= UNREAD);
                }))
                .await;
            }
        }
    }
}
