//! A position in a topic, and the positions of a client in several.

use crate::{
    error::{Error, ErrorKind, Result},
    name::GroupName,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct};
use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

/// The length of a new epoch.
const EPOCH: usize = 10;

/// The maximum length of an epoch that is accepted.
const LONGEST_EPOCH: usize = 32;

/// The maximum number of topics in the list of a client.
const MOST_TOPICS: usize = 100;

/// A position in a topic: the number of its last event, and the epoch in which it was numbered.
///
/// Its text is the number, a colon and the epoch, as `12:k3x9`. The first event of an epoch has the
/// number 1. A topic gets another epoch when its events were lost, or may have been: numbers of two
/// epochs have nothing to do with each other.
///
/// ```
/// use seaway::channels::Position;
///
/// let position: Position = "12:k3x9".parse()?;
/// assert_eq!((position.offset(), position.epoch()), (12, "k3x9"));
/// assert_eq!(position.to_string(), "12:k3x9");
/// assert!("12".parse::<Position>().is_err());
/// # Ok::<(), seaway::Error>(())
/// ```
///
/// In JSON it is the object that the browser client has as `topic.position`, so that a client may
/// send it in a message:
///
/// ```
/// use seaway::channels::Position;
///
/// let position: Position = serde_json::from_str(r#"{"offset":12,"epoch":"k3x9"}"#)?;
/// assert_eq!(position, "12:k3x9".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Position {
    offset: u64,
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    epoch: Arc<str>,
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut position = to.serialize_struct("Position", 2)?;
        position.serialize_field("offset", &self.offset)?;
        position.serialize_field("epoch", &*self.epoch)?;
        position.end()
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Unchecked {
            offset: u64,
            epoch: String,
        }
        let Unchecked { offset, epoch } = Unchecked::deserialize(from)?;
        Self::new(offset, &epoch).map_err(de::Error::custom)
    }
}

impl Position {
    /// Creates a position.
    ///
    /// ```
    /// use seaway::channels::Position;
    ///
    /// assert_eq!(Position::new(12, "k3x9")?.to_string(), "12:k3x9");
    /// # Ok::<(), seaway::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the epoch is not 1 to 32 ASCII letters and digits.
    pub fn new(offset: u64, epoch: &str) -> Result<Self> {
        let is_clean = epoch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_clean || !(1..=LONGEST_EPOCH).contains(&epoch.len()) {
            let message = format!(
                "an epoch must have 1 to {LONGEST_EPOCH} ASCII letters and digits; got {} bytes, or other characters",
                epoch.len()
            );
            return Err(Error::new(ErrorKind::Codec, message));
        }
        Ok(Self {
            offset,
            epoch: epoch.into(),
        })
    }

    /// Returns the position before the first event of a new epoch.
    pub(super) fn fresh() -> Self {
        Self {
            offset: 0,
            epoch: fresh_epoch().into(),
        }
    }

    /// Returns a position in no topic: resuming from it is a gap.
    pub(crate) fn unknown() -> Self {
        Self {
            offset: 0,
            epoch: "unknown".into(),
        }
    }

    /// Returns the number of the event; 0 is before the first.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the epoch.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the position of another event of the same epoch.
    pub(super) fn with_offset(&self, offset: u64) -> Self {
        Self {
            offset,
            epoch: self.epoch.clone(),
        }
    }

    /// Returns how many events of the same epoch are between this position and a later one; `None`
    /// if the other one is earlier, or of another epoch.
    pub(super) fn until(&self, later: &Self) -> Option<u64> {
        match self.epoch == later.epoch {
            true => later.offset.checked_sub(self.offset),
            false => None,
        }
    }
}

/// Returns a new epoch: random, so that no two topics of a name have the same.
pub(super) fn fresh_epoch() -> String {
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let digit = |_| char::from(digits[fastrand::usize(..digits.len())]);
    (0..EPOCH).map(digit).collect()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.offset, self.epoch)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            let message = "a position is a number, a colon and an epoch, as `12:k3x9`";
            Error::new(ErrorKind::Codec, message)
        };
        let (offset, epoch) = text.split_once(':').ok_or_else(malformed)?;
        // `parse` would accept a sign.
        if !offset.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        Self::new(offset.parse().map_err(|_| malformed())?, epoch)
    }
}

/// The positions of a client in several topics.
///
/// The text is a list, as `lot.7:12:k3x9,chat.3:5:abc`, of at most 100 topics: that of the query
/// parameter `resume`, and of the event id of a stream that serves several topics.
///
/// ```
/// use seaway::channels::Positions;
///
/// let mut positions: Positions = "lot.7:12:k3x9,chat.3:5:abc".parse()?;
/// assert_eq!(positions.get("lot.7").unwrap().offset(), 12);
/// assert!(positions.get("lot.8").is_none());
///
/// positions.set("lot.7", "13:k3x9".parse()?)?;
/// assert_eq!(positions.to_string(), "chat.3:5:abc,lot.7:13:k3x9");
/// # Ok::<(), seaway::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<GroupName, Position>);

impl Positions {
    /// Returns the position in this topic, if the list has it.
    pub fn get(&self, topic: &str) -> Option<&Position> {
        let topic = GroupName::new(topic).ok()?;
        self.0.get(&topic)
    }

    /// Sets the position in this topic.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not valid, [`ErrorKind::TooLarge`] if the list has 100
    /// other topics.
    pub fn set(&mut self, topic: &str, position: Position) -> Result<()> {
        let topic = GroupName::new(topic)?;
        if self.0.len() >= MOST_TOPICS && !self.0.contains_key(&topic) {
            let message = format!("a list of positions has at most {MOST_TOPICS} topics");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.0.insert(topic, position);
        Ok(())
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (topic, position)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{topic}:{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut positions = Self::default();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (topic, position) = item.split_once(':').ok_or_else(|| {
                let message =
                    "a list of positions has items of a topic and its position, as `lot.7:12:k3x9`";
                Error::new(ErrorKind::Codec, message)
            })?;
            positions.set(topic, position.parse()?)?;
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_are_malformed_are_errors() {
        for (text, is_valid) in [
            ("0:a", true),
            ("18446744073709551615:k3x9", true),
            ("18446744073709551616:k3x9", false),
            ("+1:k3x9", false),
            ("-1:k3x9", false),
            (":k3x9", false),
            ("1:", false),
            ("1", false),
            ("", false),
            ("1:k3:x9", false),
            ("1:k3,x9", false),
            ("1:k\u{e9}", false),
            ("1:aaaaaaaaaabbbbbbbbbbccccccccccdd", true),
            ("1:aaaaaaaaaabbbbbbbbbbccccccccccdde", false),
        ] {
            let parsed = text.parse::<Position>();

            assert_eq!(parsed.is_ok(), is_valid, "{text:?}");
            if let Ok(position) = parsed {
                assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn a_position_in_a_message_is_checked() {
        for (json, is_valid) in [
            (r#"{"offset":18446744073709551615,"epoch":"k3x9"}"#, true),
            (r#"{"offset":18446744073709551616,"epoch":"k3x9"}"#, false),
            (r#"{"offset":-1,"epoch":"k3x9"}"#, false),
            (r#"{"offset":1.5,"epoch":"k3x9"}"#, false),
            (r#"{"offset":1,"epoch":"k3:x9"}"#, false),
            (r#"{"offset":1,"epoch":""}"#, false),
            (r#"{"offset":1}"#, false),
            (r#""1:k3x9""#, false),
        ] {
            let parsed = serde_json::from_str::<Position>(json);

            assert_eq!(parsed.is_ok(), is_valid, "{json}");
            if let Ok(position) = parsed {
                assert_eq!(serde_json::to_string(&position).unwrap(), json);
            }
        }
    }

    #[test]
    fn a_list_of_positions_is_bounded_and_checked() {
        let list = |count: usize| {
            let items: Vec<_> = (0..count).map(|topic| format!("t{topic}:1:a")).collect();
            items.join(",").parse::<Positions>()
        };

        assert!(list(MOST_TOPICS).is_ok());
        assert_eq!(
            list(MOST_TOPICS + 1).unwrap_err().kind(),
            ErrorKind::TooLarge
        );
        assert_eq!("".parse::<Positions>().unwrap(), Positions::default());
        for text in ["lot.7", "lot 7:1:a", "lot.7:a", "lot.7:1:a;lot.8:1:a"] {
            assert!(text.parse::<Positions>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_later_places_of_the_same_epoch_are_ahead() {
        let position = |text: &str| text.parse::<Position>().unwrap();
        for (from, to, expected) in [
            ("3:a", "5:a", Some(2)),
            ("3:a", "3:a", Some(0)),
            ("5:a", "3:a", None),
            ("3:a", "5:b", None),
        ] {
            assert_eq!(position(from).until(&position(to)), expected);
        }
    }
}
