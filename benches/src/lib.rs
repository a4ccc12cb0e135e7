//! What the servers that the benchmark compares have in common.

use std::{
    env,
    io::{Error, Result},
    net::Ipv4Addr,
};

use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Returns the listener that the benchmark has passed to this process, or one on the port of
/// `--port`.
///
/// # Errors
///
/// If there is neither, or the port is taken.
pub async fn listen() -> Result<TcpListener> {
    if let Some(listener) = ListenFd::from_env().take_tcp_listener(0)? {
        listener.set_nonblocking(true)?;
        return TcpListener::from_std(listener);
    }
    let port = argument("--port").and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| Error::other("the option --port P is missing"))?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Returns the value after this option of the command line.
pub fn argument(name: &str) -> Option<String> {
    let mut arguments = env::args().skip(1);
    arguments.find(|argument| argument == name)?;
    arguments.next()
}
