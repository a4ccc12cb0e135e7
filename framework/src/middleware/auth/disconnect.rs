//! Closing a user's connections in every process.

use crate::{channels::Channels, digest::digest, error::Result, message::Close, name::GroupName};

impl Channels {
    /// Closes all connections of a user, in every process, with 4401: after a ban, or a change of
    /// the password.
    ///
    /// `id` is the result of [`Authenticator::id`](crate::middleware::Authenticator::id). A
    /// connection belongs to a user if its consumer, or middleware before it, has asked for the
    /// user. Revoke access first, then call this: a connection that is being opened is rechecked
    /// once.
    ///
    /// From Python: `await channel_layer.group_send("seaway.user.42", {"type": "seaway.disconnect",
    /// "code": 4401})`.
    ///
    /// ```
    /// # async fn example(channels: seaway::Channels) -> seaway::Result<()> {
    /// channels.disconnect_user("42").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not accept the event.
    pub async fn disconnect_user(&self, id: &str) -> Result<()> {
        self.disconnect_user_of("user", id).await
    }

    /// Closes all connections of a user of another
    /// [realm](crate::middleware::Authenticator::REALM), through the group `seaway.<realm>.<id>`.
    ///
    /// ```
    /// # async fn example(channels: seaway::Channels) -> seaway::Result<()> {
    /// channels.disconnect_user_of("staff", "42").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`disconnect_user`](Channels::disconnect_user).
    pub async fn disconnect_user_of(&self, realm: &str, id: &str) -> Result<()> {
        let close = Close::new(Close::UNAUTHORIZED, "log in again");
        self.disconnect_group(&group(realm, id), close).await
    }
}

/// Returns the group of all connections of a user. Its name is readable, so that Python code can
/// use it; an id that does not fit into a group name is replaced by a digest.
pub(crate) fn group(realm: &str, id: &str) -> GroupName {
    GroupName::new(format!("seaway.{realm}.{id}")).unwrap_or_else(|_| {
        let digest = digest(format!("{realm}.{id}").as_bytes());
        GroupName::new(format!("seaway.sha256.{digest}")).expect("hexadecimal digits are valid")
    })
}

/// The realms whose groups (`seaway.<realm>.…`) or session key (`_<realm>`) the framework uses for
/// something else.
const RESERVED: &[&str] = &["ended", "expiry", "session", "sha256", "sse"];

/// Returns what is wrong with the name of a realm, and what to write instead.
pub(super) fn realm_mistake(realm: &str) -> Option<&'static str> {
    if RESERVED.contains(&realm) {
        return Some(
            "Seaway uses this name for something else; write another one, such as \"staff\"",
        );
    }
    // With a period, user `b.c` of realm `a` would have the group of user `c` of realm `a.b`.
    let is_valid = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    match !realm.is_empty() && realm.bytes().all(is_valid) {
        true => None,
        false => {
            Some("write only ASCII letters, digits, hyphens and underscores, such as \"staff\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_has_groups_and_a_session_key_of_its_own() {
        for realm in ["user", "staff", "shop-7_b"] {
            assert_eq!(realm_mistake(realm), None, "{realm}");
        }
        for realm in [
            "",
            "a.b",
            "a b",
            "a!b",
            "caf\u{e9}",
            "ended",
            "expiry",
            "session",
            "sse",
            "sha256",
        ] {
            assert!(realm_mistake(realm).is_some(), "{realm}");
        }
    }

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
