//! The messages between a process and the hub: MessagePack, after its length in 4 bytes.

use seaway::{ChannelName, GroupName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest message in bytes. A longer one ends the connection.
const LARGEST: u32 = 4 * 1024 * 1024;

/// A request of a process. The hub replies to each with its number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) what: What,
}

/// What a process asks of the hub.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// Sends an event to all processes.
    Send(Event),
    /// Adds a job to a worker queue.
    AddJob { queue: ChannelName, job: Payload },
    /// Takes a job, or waits for one.
    TakeJob { queue: ChannelName, wait_ms: u64 },
}

/// An event for the members of a group, or for one channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Group(GroupName, Payload),
    Channel(ChannelName, Payload),
}

/// An encoded event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload(#[serde(with = "serde_bytes")] pub(crate) Vec<u8>);

/// A message of the hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromHub {
    /// The first message: from now on the process receives every event.
    Welcome,
    Event(Event),
    Reply {
        number: u64,
        outcome: Outcome,
    },
}

/// The outcome of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Done,
    Job(Option<Payload>),
    /// The queue is full; the message says how full.
    Full(String),
}

pub(crate) async fn write<T: Serialize + Sync>(
    stream: &mut (impl AsyncWrite + Unpin + Send),
    message: &T,
) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|length| *length <= LARGEST);
    let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "too long"))?;
    stream
        .write_all(&[&length.to_be_bytes(), &bytes[..]].concat())
        .await
}

/// # Cancel safety
/// Not cancel safe: bytes that were read are lost.
pub(crate) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin + Send),
) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > LARGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "too long"));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}
