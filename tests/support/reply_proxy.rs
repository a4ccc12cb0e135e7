//! A proxy before Redis that loses or adds replies.

use std::{
    collections::VecDeque,
    io, str,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::redis::Redis;

/// A proxy that forwards all commands and replies, except for those with a fault.
#[derive(Debug)]
pub struct ReplyProxy {
    port: u16,
    planned: Planned,
    accepting: JoinHandle<()>,
}

/// What happens to the replies to commands that arrive together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All are lost.
    Lose,
    /// The first one is lost.
    LoseFirst,
    /// All come again before the next reply.
    Repeat,
}

/// The fault that is to come, if any, and a part of the commands that are awaited.
type Planned = Arc<watch::Sender<Option<(Option<Fault>, String)>>>;

/// The replies that have not come yet, with their faults.
type Replies = Arc<Mutex<VecDeque<Option<Fault>>>>;

impl ReplyProxy {
    /// Starts a proxy in front of a Redis.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn before(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port for the proxy");
        let port = listener.local_addr().expect("its port").port();
        let planned = Planned::new(watch::Sender::new(None));
        let (server, plans) = (redis.port(), planned.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, plans.clone()));
            }
        });
        Self {
            port,
            planned,
            accepting,
        }
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Plans a fault for the next commands that contain this text.
    pub fn plan(&self, fault: Fault, text: &str) {
        let plan = (Some(fault), text.to_owned());
        self.planned.send_replace(Some(plan));
    }

    /// Waits for the next command that contains this text.
    pub async fn next(&self, text: &str) {
        self.planned.send_replace(Some((None, text.to_owned())));
        self.has_arrived().await;
    }

    /// Waits until the commands with the planned fault have arrived.
    ///
    /// # Panics
    /// Never: the sender of the plans is in `self`.
    pub async fn has_arrived(&self) {
        let mut planned = self.planned.subscribe();
        let arrived = planned.wait_for(Option::is_none).await;
        arrived.expect("the sender is in `self`");
    }
}

impl Drop for ReplyProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Forwards a connection until one end has closed it.
async fn carry(client: TcpStream, server: u16, planned: Planned) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).await?;
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let expected = Replies::default();
    tokio::select! {
        ended = forward_commands(from_client, to_server, planned, expected.clone()) => ended,
        ended = forward_replies(from_server, to_client, expected) => ended,
    }
}

async fn forward_commands(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    planned: Planned,
    expected: Replies,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut commands = vec![value(&mut from).await?];
        while !from.buffer().is_empty() {
            commands.push(value(&mut from).await?);
        }
        let bytes = commands.concat();
        let mut fault = None;
        planned.send_if_modified(|planned| {
            let is_due = |(_, text): &mut (_, String)| has(&bytes, text);
            let due = planned.take_if(is_due);
            fault = due.as_ref().and_then(|(fault, _)| *fault);
            due.is_some()
        });
        let answered = commands.iter().filter(|command| is_answered(command));
        let faults = answered.enumerate().map(|(index, _)| match fault {
            Some(Fault::LoseFirst) if index > 0 => None,
            fault => fault,
        });
        expected.lock().expect("no code panics here").extend(faults);
        to.write_all(&bytes).await?;
    }
}

async fn forward_replies(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    expected: Replies,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut repeated = Vec::new();
    loop {
        let reply = value(&mut from).await?;
        let is_push = reply.first() == Some(&b'>');
        let fault = match is_push {
            true => None,
            false => expected
                .lock()
                .expect("no code panics here")
                .pop_front()
                .flatten(),
        };
        match fault {
            Some(Fault::Lose | Fault::LoseFirst) => continue,
            Some(Fault::Repeat) => repeated.extend(&reply),
            None if !is_push => to.write_all(&std::mem::take(&mut repeated)).await?,
            None => {}
        }
        to.write_all(&reply).await?;
    }
}

/// Returns whether Redis replies to a command otherwise than by a push message.
fn is_answered(command: &[u8]) -> bool {
    !has(command, "SUBSCRIBE\r\n")
}

fn has(bytes: &[u8], text: &str) -> bool {
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

/// Reads one value of RESP.
async fn value(from: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let (mut bytes, mut missing) = (Vec::new(), 1_usize);
    while missing > 0 {
        missing -= 1;
        let start = bytes.len();
        if from.read_until(b'\n', &mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, length) = (bytes[start], str::from_utf8(&bytes[start + 1..]));
        // The length of a value that is not there is -1.
        let length = length
            .ok()
            .and_then(|length| length.trim().parse::<usize>().ok());
        match (kind, length) {
            (b'$' | b'=' | b'!', Some(length)) => {
                let start = bytes.len();
                bytes.resize(start + length + 2, 0);
                from.read_exact(&mut bytes[start..]).await?;
            }
            (b'*' | b'~' | b'>', Some(length)) => missing += length,
            (b'%', Some(length)) => missing += 2 * length,
            _ => {}
        }
    }
    Ok(bytes)
}
