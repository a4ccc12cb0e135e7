//! A user's sockets, ended everywhere.

use crate::{channels::Channels, error::Result, message::Close, name::GroupName, session::digest};

impl Channels {
    /// Ends all sockets of a user, in every process, with code 4401: after a ban, or a change of the password.
    ///
    /// The id is the one that [`Authenticator::id`](crate::middleware::Authenticator::id) gives. A socket belongs to a
    /// user if its consumer, or middleware before it, has asked who it is. Take away the right to come in first, and
    /// then call this: a socket that is just opening is looked at once more.
    ///
    /// From Python: `await channel_layer.group_send("seaway.user.42", {"type": "seaway.disconnect", "code": 4401})`.
    ///
    /// ```
    /// # async fn example(channels: seaway::Channels) -> seaway::Result<()> {
    /// channels.disconnect_user("42").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not take it.
    pub async fn disconnect_user(&self, id: &str) -> Result<()> {
        self.disconnect_user_of("user", id).await
    }

    /// The same for the users of another [realm](crate::middleware::Authenticator::REALM): group `seaway.<realm>.<id>`.
    ///
    /// # Errors
    /// As [`disconnect_user`](Channels::disconnect_user).
    pub async fn disconnect_user_of(&self, realm: &str, id: &str) -> Result<()> {
        let close = Close::new(Close::UNAUTHORIZED, "log in again");
        self.disconnect_group(&group(realm, id), close).await
    }
}

/// The group of all sockets of a user: readable, so that Python finds it too; an id that makes no group name gets one of
/// its own.
pub(super) fn group(realm: &str, id: &str) -> GroupName {
    GroupName::new(format!("seaway.{realm}.{id}")).unwrap_or_else(|_| {
        let digest = digest(format!("{realm}.{id}").as_bytes());
        GroupName::new(format!("seaway.sha256.{digest}")).expect("hexadecimal digits are valid")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_group_of_its_own() {
        assert_eq!(group("user", "42").as_str(), "seaway.user.42");
        assert!(
            group("user", "ana@example.org")
                .as_str()
                .starts_with("seaway.sha256.")
        );
        assert_ne!(group("staff", "1"), group("user", "1"));
        assert_ne!(
            group("user", "ana@example.org"),
            group("user", "bo@example.org")
        );
        assert!(group("user", &"x".repeat(500)).as_str().len() < 100);
    }
}
