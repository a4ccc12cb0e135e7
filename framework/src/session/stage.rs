//! What a connection knows of its session: a state machine without I/O.

use super::{
    Expiry, Id, Record, Value, expiry,
    merge::{Data, differences, merge},
};
use cookie::time::OffsetDateTime;
use std::{collections::HashSet, mem};

/// What a connection knows of its session.
pub(super) enum SessionStage {
    /// The cookie has this id, which was not looked up yet.
    Unread(Id),
    /// The same, but the values were cleared meanwhile: these replace all that the store has.
    Cleared(Id, Data),
    /// The store has no session for this client. These values can begin one.
    Absent(Data),
    /// The store has the session.
    Stored(WorkingCopy),
    /// The store has the session, which gets a new id when it is saved.
    Renewed(WorkingCopy),
    /// The session has ended. Values that are changed after that can begin another one.
    Ended(WorkingCopy),
}

/// A session as this connection has read it, and as it has changed it since.
#[derive(Clone)]
pub(super) struct WorkingCopy {
    pub(super) id: Id,
    pub(super) mine: Data,
    /// The keys that were inserted or removed since the values were read or saved, even if the
    /// values are the same: others may have changed them in the store.
    pub(super) written: HashSet<String>,
    /// The expiry that was set for this session alone, if any.
    pub(super) expiry: Option<Expiry>,
    pub(super) expires: OffsetDateTime,
}

impl WorkingCopy {
    pub(super) fn of(mut record: Record) -> Self {
        Self {
            id: record.id,
            expiry: expiry::take(&mut record.data),
            expires: record.expiry_date,
            mine: record.data,
            written: HashSet::new(),
        }
    }

    /// Returns the copy of a record to which a save writes these values.
    fn of_with(record: Record, mine: Data) -> Self {
        let copy = Self::of(record);
        Self {
            written: differences(&copy.mine, &mine),
            mine,
            ..copy
        }
    }

    /// Returns whether a save that keeps all other keys of `stored` removes a login.
    pub(super) fn removes_login(&self, stored: &Data) -> bool {
        let is_removed = |key: &String| self.written.contains(key) && !self.mine.contains_key(key);
        stored.keys().any(|key| is_reserved(key) && is_removed(key))
    }

    /// Returns whether `stored`, which the store has now, has the same logins, except those that
    /// were changed here.
    pub(super) fn has_logins_of(&self, stored: &Data) -> bool {
        let changed = differences(&self.mine, stored);
        let mut changed = changed.iter().filter(|key| is_reserved(key));
        changed.all(|key| self.written.contains(key))
    }

    fn clear(&mut self) {
        let removed = self.mine.drain().map(|(key, _)| key);
        self.written.extend(removed);
    }
}

/// Returns whether only the framework writes this key: the login `_<realm>`, `_expiry`, and
/// `_ended`.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with('_')
}

impl Default for SessionStage {
    fn default() -> Self {
        Self::Absent(Data::new())
    }
}

impl SessionStage {
    /// Returns the stage of a request with this id in its cookie.
    pub(super) fn from_cookie(id: Option<Id>) -> Self {
        id.map_or_else(Self::default, Self::Unread)
    }

    /// Returns the id of the session; `None` if the client has none, or if it has no id yet.
    pub(super) fn id(&self) -> Option<Id> {
        match self {
            Self::Unread(id) | Self::Cleared(id, _) => Some(*id),
            Self::Stored(copy) => Some(copy.id),
            Self::Absent(_) | Self::Renewed(_) | Self::Ended(_) => None,
        }
    }

    /// Returns the id to look up before the session can be saved.
    pub(super) fn unresolved(&self) -> Option<Id> {
        match self {
            Self::Unread(id) | Self::Cleared(id, _) => Some(*id),
            _ => None,
        }
    }

    /// Returns the session that this connection has read or begun, even if it has ended.
    pub(super) fn known(&self) -> Option<&WorkingCopy> {
        match self {
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => Some(copy),
            Self::Unread(_) | Self::Cleared(..) | Self::Absent(_) => None,
        }
    }

    /// Returns the session that this connection has read or begun, unless it has ended.
    pub(super) fn active(&self) -> Option<&WorkingCopy> {
        match self {
            Self::Stored(copy) | Self::Renewed(copy) => Some(copy),
            _ => None,
        }
    }

    /// Returns the values, unless they must be read first.
    pub(super) fn values(&self) -> Option<&Data> {
        match self {
            Self::Unread(_) => None,
            Self::Cleared(_, mine) | Self::Absent(mine) => Some(mine),
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => Some(&copy.mine),
        }
    }

    /// Sets the value of a key, or removes it; returns the value before. Values that must be read
    /// first are not changed.
    pub(super) fn write(&mut self, key: &str, value: Option<Value>) -> Option<Value> {
        let values = match self {
            Self::Unread(_) => return None,
            Self::Cleared(_, mine) | Self::Absent(mine) => mine,
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => {
                copy.written.insert(key.to_owned());
                &mut copy.mine
            }
        };
        match value {
            Some(value) => values.insert(key.to_owned(), value),
            None => values.remove(key),
        }
    }

    /// Returns the values of the session that a save would begin, where `old` has the values that
    /// the store has for a session with a new id.
    pub(super) fn initial_values(&self, old: Data) -> Data {
        match self {
            Self::Unread(_) => Data::new(),
            Self::Cleared(_, mine) | Self::Absent(mine) => mine.clone(),
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => {
                merge(&copy.written, &copy.mine, old)
            }
        }
    }

    /// Removes all values, without reading them.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Unread(id) => *self = Self::Cleared(*id, Data::new()),
            Self::Cleared(_, mine) | Self::Absent(mine) => mine.clear(),
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => copy.clear(),
        }
    }

    /// Sets what the store has under the id of the cookie, at the first look.
    pub(super) fn resolved(&mut self, found: Option<Record>) {
        *self = match (mem::take(self), found) {
            (Self::Unread(_), Some(record)) => Self::Stored(WorkingCopy::of(record)),
            (Self::Unread(_), None) => Self::default(),
            (Self::Cleared(_, mine), Some(record)) => {
                Self::Stored(WorkingCopy::of_with(record, mine))
            }
            (Self::Cleared(_, mine), None) => Self::Absent(mine),
            (resolved, _) => resolved,
        };
    }

    /// Sets what the store has now, and discards all changes.
    pub(super) fn reloaded(&mut self, found: Option<Record>) {
        *self = match (mem::take(self), found) {
            (Self::Unread(_) | Self::Cleared(..) | Self::Stored(_), Some(record)) => {
                Self::Stored(WorkingCopy::of(record))
            }
            (Self::Unread(_) | Self::Cleared(..), None) => Self::default(),
            (Self::Stored(mut copy), None) => {
                copy.mine.clear();
                Self::into_ended(copy)
            }
            (not_stored, _) => not_stored,
        };
    }

    /// Gives the session a new id with the next save.
    pub(super) fn renew(&mut self) {
        *self = match mem::take(self) {
            Self::Stored(copy) => Self::Renewed(copy),
            not_stored => not_stored,
        };
    }

    /// Sets the record that a save has begun; `old` is the argument of
    /// [`SessionStage::initial_values`].
    pub(super) fn begun(&mut self, record: Record, old: Data) {
        // The values may have changed during the save.
        let mine = self.initial_values(old);
        *self = Self::Stored(WorkingCopy::of_with(record, mine));
    }

    /// Sets what a save has written of an existing session.
    pub(super) fn saved(&mut self, saved: WorkingCopy) {
        if let Self::Stored(copy) = self {
            // The values may have changed during the save.
            copy.written.retain(|key| {
                !saved.written.contains(key) || copy.mine.get(key) != saved.mine.get(key)
            });
            copy.expiry = saved.expiry;
            copy.expires = saved.expires;
        }
    }

    /// Ends the session. Its values can still be read.
    pub(super) fn end(&mut self) {
        *self = match mem::take(self) {
            Self::Unread(_) | Self::Cleared(..) => Self::default(),
            Self::Stored(copy) | Self::Renewed(copy) => Self::into_ended(copy),
            not_stored => not_stored,
        };
    }

    /// Returns the stage of an ended session, none of whose keys count as written, so that none of
    /// its values begins another session.
    fn into_ended(copy: WorkingCopy) -> Self {
        Self::Ended(WorkingCopy {
            written: HashSet::new(),
            expiry: None,
            ..copy
        })
    }
}
