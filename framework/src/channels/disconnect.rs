//! Closing connections through the channel layer.

use super::{Channels, Envelope, Event, Group, messagepack};
use crate::{
    error::{Error, ErrorKind, Result},
    message::Close,
    name::{ChannelName, GroupName},
};
use serde::{Deserialize, Serialize};

/// A disconnect request, from any process. In Python: `await channel_layer.group_send("chat.lobby",
/// {"type": "seaway.disconnect", "code": 4000, "reason": "closed"})`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum DisconnectRequest {
    #[serde(rename = "seaway.disconnect")]
    Disconnect {
        #[serde(default = "default_code")]
        code: u16,
        #[serde(default)]
        reason: String,
    },
}

/// Returns the close code of a request that names none.
fn default_code() -> u16 {
    Close::POLICY
}

impl Envelope {
    /// Creates the envelope that closes its receiver's connection.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the code must not be sent in a close frame (RFC 6455, 7.4).
    pub(super) fn disconnect(close: Close) -> Result<Self> {
        if !close.is_sendable() {
            return Err(Error::new(
                ErrorKind::Codec,
                format!("a close frame cannot carry the code {}", close.code),
            ));
        }
        let control = DisconnectRequest::Disconnect {
            code: close.code,
            reason: close.reason().to_owned(),
        };
        let bytes = rmp_serde::to_vec_named(&control);
        Ok(Self::from_bytes(bytes.expect("a number and a text")))
    }

    /// Returns the code and reason to close the receiver's connection with, if this is a disconnect
    /// request.
    pub(crate) fn disconnects(&self) -> Option<Close> {
        if !self.is_disconnect() {
            return None;
        }
        let control = messagepack::decode(self.as_bytes());
        let close = match control {
            Ok(DisconnectRequest::Disconnect { code, reason }) => Close::new(code, reason),
            Err(_) => Close::from(default_code()),
        };
        Some(match close.is_sendable() {
            true => close,
            false => Close::new(default_code(), close.reason()),
        })
    }
}

impl Channels {
    /// Closes one consumer's connection with this code and reason, in this process or another.
    ///
    /// If the consumer no longer exists, nothing happens. The request overtakes everything else
    /// that waits for the consumer; a running hook may continue for its `grace`.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the code must not be sent, [`ErrorKind::Layer`] if the layer did not
    /// accept the request.
    pub async fn disconnect(&self, channel: &ChannelName, close: impl Into<Close>) -> Result<()> {
        let envelope = Envelope::disconnect(close.into())?;
        self.send_envelope(channel, envelope).await
    }

    /// Closes the connections of all members of a group, whatever their event type; see
    /// [`Group::disconnect`].
    pub(crate) async fn disconnect_group(&self, group: &GroupName, close: Close) -> Result<()> {
        let envelope = Envelope::disconnect(close)?;
        self.group_send_envelope(group, envelope).await
    }
}

impl<E: Event> Group<E> {
    /// Closes the connections of all members, in every process, with this code and reason.
    ///
    /// ```
    /// # async fn example(room: seaway::Group<seaway::NoEvent>) -> seaway::Result<()> {
    /// room.disconnect(seaway::Close::new(4000, "this room is closed")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Same as [`Channels::disconnect`].
    pub async fn disconnect(&self, close: impl Into<Close>) -> Result<()> {
        self.channels()
            .disconnect_group(self.name(), close.into())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disconnection_is_one() {
        let envelope = Envelope::disconnect(Close::new(4401, "bye")).unwrap();
        let event =
            rmp_serde::to_vec_named(&serde_json::json!({ "type": "chat.message" })).unwrap();

        assert_eq!(envelope.disconnects(), Some(Close::new(4401, "bye")));
        assert_eq!(Envelope::from_bytes(event).disconnects(), None);
        assert_eq!(Envelope::from_bytes(&b"\x81"[..]).disconnects(), None);
    }

    #[test]
    fn what_python_leaves_out_has_a_default_and_what_may_not_travel_is_replaced() {
        for (event, expected) in [
            (serde_json::json!({ "type": "seaway.disconnect" }), 1008),
            (
                serde_json::json!({ "type": "seaway.disconnect", "code": 1006 }),
                1008,
            ),
            (
                serde_json::json!({ "type": "seaway.disconnect", "code": "x" }),
                1008,
            ),
            (
                serde_json::json!({ "type": "seaway.disconnect", "code": 4000 }),
                4000,
            ),
        ] {
            let bytes = rmp_serde::to_vec_named(&event).unwrap();
            let close = Envelope::from_bytes(bytes).disconnects().unwrap();
            assert_eq!(close.code, expected, "{event}");
        }
    }
}
