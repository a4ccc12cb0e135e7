//! The names of channels and groups, checked once when they are created.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

/// One less than the limit of Django Channels, 100, which is exclusive.
const LONGEST: usize = 99;

/// The address of one consumer, or of a worker's queue.
///
/// 1 to 99 ASCII letters, digits, hyphens, underscores or periods, then optionally a `!` and more
/// of the same: the grammar of Django Channels, so that both sides can address each other. A name
/// without `!` is that of a worker queue. Deserializing a name checks it.
///
/// The name of a consumer over Redis pub/sub, in Python or here, begins with a prefix, `specific.`
/// and 32 hexadecimal digits. The prefix may have other printable ASCII characters, such as `:`.
///
/// ```
/// use seaway::ChannelName;
///
/// assert!(ChannelName::new("thumbnails").is_ok());
/// assert!(ChannelName::new("specific.a1b2!7").is_ok());
/// assert!(ChannelName::new("no spaces").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// The name of a group.
///
/// 1 to 99 ASCII letters, digits, hyphens, underscores or periods, as in Django Channels.
/// Deserializing a name checks it.
///
/// ```
/// use seaway::GroupName;
///
/// assert!(GroupName::new("chat.lobby").is_ok());
/// assert!(GroupName::new("chat/lobby").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

impl ChannelName {
    /// Checks a channel name and returns it.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if it does not match the grammar above.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        let (process, consumer) = name.split_once('!').unwrap_or((&name, ""));
        let is_process = is_clean(process) || is_process_over_pubsub(process);
        let valid = !process.is_empty() && is_process && is_clean(consumer);
        if valid && name.len() <= LONGEST {
            return Ok(Self(name));
        }
        let grammar = "then for the channel of a consumer a `!` and more of the same";
        Err(invalid_name("channel", grammar, &name))
    }

    /// Returns the name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the name of a worker queue, which has no `!`; others are channels of
    /// consumers.
    pub fn is_worker_queue(&self) -> bool {
        !self.0.contains('!')
    }
}

impl GroupName {
    /// Checks a group name and returns it.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if it does not match the grammar above.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        if !name.is_empty() && is_clean(&name) && name.len() <= LONGEST {
            return Ok(Self(name));
        }
        Err(invalid_name("group", "", &name))
    }

    /// Returns the name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name of a group: a text, which is checked, a [`GroupName`], or a handle to the group.
///
/// ```
/// use seaway::{Channels, Group, NoEvent, Result};
///
/// fn names(channels: &Channels, number: u32) -> Result<()> {
///     let lobby: Group<NoEvent> = channels.group("lobby")?;
///     let lot: Group<NoEvent> = channels.group(format!("lot.{number}"))?;
///     // The same group as a topic:
///     channels.topic::<NoEvent>(&lot)?;
///     channels.presence::<()>(lobby.name())?;
///     Ok(())
/// }
/// # names(&Channels::in_memory(), 7).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a group",
    label = "use a `&str`, `String` or `GroupName`, or a reference to a `Group`, `Topic` or `Presence`"
)]
pub trait IntoGroupName: NamesGroup {}

/// Seals [`IntoGroupName`].
pub trait NamesGroup: Send {
    /// Returns the name, checked.
    fn into_group_name(self) -> Result<GroupName>;
}

impl IntoGroupName for &str {}
impl NamesGroup for &str {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(self)
    }
}

impl IntoGroupName for &&str {}
impl NamesGroup for &&str {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(*self)
    }
}

impl IntoGroupName for Cow<'_, str> {}
impl NamesGroup for Cow<'_, str> {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(&*self)
    }
}

impl IntoGroupName for Arc<str> {}
impl NamesGroup for Arc<str> {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(self)
    }
}

impl IntoGroupName for String {}
impl NamesGroup for String {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(self)
    }
}

impl IntoGroupName for &String {}
impl NamesGroup for &String {
    fn into_group_name(self) -> Result<GroupName> {
        GroupName::new(self.as_str())
    }
}

impl IntoGroupName for GroupName {}
impl NamesGroup for GroupName {
    fn into_group_name(self) -> Result<GroupName> {
        Ok(self)
    }
}

impl IntoGroupName for &GroupName {}
impl NamesGroup for &GroupName {
    fn into_group_name(self) -> Result<GroupName> {
        Ok(self.clone())
    }
}

impl Serialize for ChannelName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ChannelName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Serialize for GroupName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl FromStr for ChannelName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<&str> for ChannelName {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for ChannelName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl FromStr for GroupName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<&str> for GroupName {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for GroupName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for GroupName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_clean(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Returns whether this is the name of a process or consumer over Redis pub/sub, which begins with
/// the prefix of a layer.
fn is_process_over_pubsub(process: &str) -> bool {
    let Some((prefix, id)) = process.rsplit_once("specific.") else {
        return false;
    };
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    is_layer_prefix(prefix) && id.len() == 32 && id.bytes().all(is_hex)
}

/// Returns whether the names of a Redis layer can begin so: printable ASCII characters without
/// those that have a meaning in names, patterns and hash tags.
pub(crate) fn is_layer_prefix(prefix: &str) -> bool {
    prefix
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !br"!*?[]{}\".contains(&byte))
}

/// Returns the error for an invalid name, which may come from a client: it is escaped and
/// truncated.
fn invalid_name(what: &str, further: &str, name: &str) -> Error {
    let shown: String = name.chars().take(40).collect();
    let comma = if further.is_empty() { "" } else { ", " };
    Error::new(
        ErrorKind::Name,
        format!(
            "{shown:?} is not a {what} name: use 1 to {LONGEST} ASCII letters, digits, hyphens, underscores or periods{comma}{further}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_channels() {
        let long = "x".repeat(99);
        let too_long = "x".repeat(100);
        for (name, channel, group) in [
            ("chat", true, true),
            ("chat.lobby-1_a", true, true),
            ("specific.ab!cd", true, false),
            ("ends.here!", true, false),
            (long.as_str(), true, true),
            (too_long.as_str(), false, false),
            ("", false, false),
            ("!x", false, false),
            ("a!b!c", false, false),
            ("a b", false, false),
            ("a:b", false, false),
            ("a/b", false, false),
            ("caf\u{e9}", false, false),
            ("newline\n", false, false),
        ] {
            assert_eq!(ChannelName::new(name).is_ok(), channel, "channel {name:?}");
            assert_eq!(GroupName::new(name).is_ok(), group, "group {name:?}");
        }
    }

    #[test]
    fn the_error_states_the_grammar_of_its_kind() {
        let channel = ChannelName::new("a b").unwrap_err().to_string();
        let group = GroupName::new("a b").unwrap_err().to_string();

        assert!(
            channel.starts_with("\"a b\" is not a channel name"),
            "{channel}"
        );
        assert!(channel.contains("a `!` and more of the same"), "{channel}");
        assert!(
            group.ends_with("hyphens, underscores or periods"),
            "{group}"
        );
    }

    #[test]
    fn a_name_without_an_exclamation_mark_is_that_of_a_worker_queue() {
        for (name, expected) in [
            ("thumbnails", true),
            ("specific.ab!cd", false),
            ("ends.here!", false),
        ] {
            assert_eq!(
                ChannelName::new(name).unwrap().is_worker_queue(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn converted_names_are_checked() {
        let group: GroupName = "chat.lobby".parse().unwrap();
        assert_eq!(GroupName::try_from(group.to_string()).unwrap(), group);
        assert!(GroupName::try_from("a!b").is_err());

        let channel: ChannelName = "specific.ab!cd".parse().unwrap();
        assert_eq!(ChannelName::try_from(channel.as_str()).unwrap(), channel);
        assert!("a b".parse::<ChannelName>().is_err());
    }

    #[test]
    fn deserialized_names_are_checked() {
        let names = r#"["specific.ab!cd", "chat.lobby"]"#;

        let (channel, group): (ChannelName, GroupName) = serde_json::from_str(names).unwrap();

        assert_eq!(
            serde_json::to_string(&(channel, group)).unwrap(),
            names.replace(' ', "")
        );
        let error = serde_json::from_str::<ChannelName>(r#""a b""#).unwrap_err();
        assert!(
            error.to_string().contains("is not a channel name"),
            "{error}"
        );
        let error = serde_json::from_str::<GroupName>(r#""a!b""#).unwrap_err();
        assert!(error.to_string().contains("is not a group name"), "{error}");
        assert!(serde_json::from_str::<GroupName>("7").is_err());
    }
}
