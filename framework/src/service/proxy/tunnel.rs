//! A WebSocket that is passed through, byte by byte.

use crate::protocol::UpgradedStream;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, split},
    time::timeout,
};

/// How long one side may take to end after the other.
const CLOSING: Duration = Duration::from_secs(5);

/// Copies between the client and the server until both have ended, or one has for 5 s.
pub(super) async fn run(client: UpgradedStream, server: Upgraded) {
    let (from_client, mut to_client) = split(client.io);
    let (mut from_server, mut to_server) = split(TokioIo::new(server));
    let mut from_client = client.early.chain(from_client);
    // A stream that fails has ended: there is nobody to tell.
    let upward = async {
        _ = copy(&mut from_client, &mut to_server).await;
        _ = to_server.shutdown().await;
    };
    let downward = async {
        _ = copy(&mut from_server, &mut to_client).await;
        _ = to_client.shutdown().await;
    };
    tokio::pin!(upward, downward);
    tokio::select! {
        () = &mut upward => { _ = timeout(CLOSING, downward).await; }
        () = &mut downward => { _ = timeout(CLOSING, upward).await; }
    }
}
