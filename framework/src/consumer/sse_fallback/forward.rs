//! What a POST and the stream of its connection send each other through the channel layer.

use crate::{
    channels::{Channels, Event, Group},
    digest::digest,
    error::{Error, ErrorKind, Result},
    name::ChannelName,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The id of a connection, 128 random bits that only its client knows.
///
/// Its digest names the group of the stream. It is not the name of the channel: that is no secret,
/// and a client could send to the channels of consumers.
#[derive(Clone, Copy)]
pub(super) struct ConnectionId(u128);

impl ConnectionId {
    pub(super) fn new() -> Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            let message = format!("the operating system returned no random bytes: {error}");
            Error::new(ErrorKind::Io, message)
        })?;
        Ok(Self(u128::from_be_bytes(id)))
    }

    /// Reads an id that a client sent; `None` if it cannot be that of a stream.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_hexadecimal = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok()?;
        (text.len() == 32 && is_hexadecimal).then_some(Self(id))
    }

    /// Returns the group whose only member is the stream of this connection. Its name is a digest,
    /// because the id is secret and a group name is not.
    pub(super) fn group(self, channels: &Channels) -> Result<Group<Forwarded>> {
        let digest = digest(&self.0.to_be_bytes());
        channels.group(format!("seaway.sse.{digest}"))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An event between a POST and a stream.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Forwarded {
    /// Asks whether there is such a connection, before a large message is read.
    #[serde(rename = "seaway.sse.ask")]
    Ask { answer_to: ChannelName },
    #[serde(rename = "seaway.sse.post")]
    Post(Post),
    #[serde(rename = "seaway.sse.answer")]
    Answer { answer: PostOutcome },
}

impl Event for Forwarded {}

/// A message of the client, and who sent it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Post {
    pub(super) text: String,
    /// The digest of the `Origin` header, unless that is the origin of this server. The header may be
    /// as large as a head, and is not sent to Redis for an invented id.
    pub(super) foreign_origin: Option<String>,
    pub(super) answer_to: ChannelName,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PostOutcome {
    /// The connection is open, and its message may be sent.
    Open,
    /// It is queued for the consumer.
    Taken,
    /// There is no such connection.
    Unknown,
    /// The page may not send to this connection.
    Origin,
    /// It is larger than this number of bytes.
    TooLarge(usize),
    /// The client may send again in this number of seconds.
    TooFast(u64),
    /// The consumer is busy, and as much as it may have waits for it.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Envelope;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = ConnectionId::new().unwrap();
        let read = ConnectionId::parse(&id.to_string()).unwrap();
        assert_eq!(read.0, id.0);

        let too_long = format!("{id}0");
        let signed = format!("+{:031x}", 7);
        for text in ["", "7", "specific.ab!7", &too_long, &signed] {
            assert!(ConnectionId::parse(text).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_group_of_a_connection_does_not_name_its_secret_id() {
        let channels = Channels::in_memory();
        let id = ConnectionId::new().unwrap();
        let group = id.group(&channels).unwrap();

        assert!(!group.name().as_str().contains(&id.to_string()));
        let read = ConnectionId::parse(&id.to_string()).unwrap();
        assert_eq!(read.group(&channels).unwrap().name(), group.name());
        let other = ConnectionId::new().unwrap();
        assert_ne!(other.group(&channels).unwrap().name(), group.name());
    }

    #[test]
    fn an_answer_survives_the_encoding_of_the_channel_layer() {
        for answer in [
            PostOutcome::Open,
            PostOutcome::Taken,
            PostOutcome::TooLarge(7),
            PostOutcome::TooFast(3),
            PostOutcome::Full,
        ] {
            let envelope = Envelope::encode(&Forwarded::Answer { answer }).unwrap();
            let decoded = Envelope::from_bytes(envelope.as_bytes().clone());
            match &*decoded.decode::<Forwarded>().unwrap() {
                Forwarded::Answer { answer: read } => assert_eq!(*read, answer),
                Forwarded::Ask { .. } | Forwarded::Post(_) => panic!("it became a post"),
            }
        }
    }
}
