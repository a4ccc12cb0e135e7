//! What a connection knows of its session: a state machine without I/O.

use super::{
    Expiry, Id, Record, expiry,
    merge::{Data, merge},
};
use cookie::time::OffsetDateTime;
use std::mem;

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
    /// The values as they were last read or saved.
    pub(super) base: Data,
    pub(super) mine: Data,
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
            base: record.data.clone(),
            mine: record.data,
        }
    }
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

    /// Returns the values to change, unless they must be read first.
    pub(super) fn values_mut(&mut self) -> Option<&mut Data> {
        match self {
            Self::Unread(_) => None,
            Self::Cleared(_, mine) | Self::Absent(mine) => Some(mine),
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => Some(&mut copy.mine),
        }
    }

    /// Returns the values of the session that a save would begin, where `old` has the values that
    /// the store has for a session with a new id.
    pub(super) fn initial_values(&self, old: Data) -> Data {
        match self {
            Self::Unread(_) => Data::new(),
            Self::Cleared(_, mine) | Self::Absent(mine) => mine.clone(),
            Self::Stored(copy) | Self::Renewed(copy) | Self::Ended(copy) => {
                merge(&copy.base, &copy.mine, old)
            }
        }
    }

    /// Removes all values, without reading them.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Unread(id) => *self = Self::Cleared(*id, Data::new()),
            known => _ = known.values_mut().map(Data::clear),
        }
    }

    /// Sets what the store has under the id of the cookie, at the first look.
    pub(super) fn resolved(&mut self, found: Option<Record>) {
        *self = match (mem::take(self), found) {
            (Self::Unread(_), Some(record)) => Self::Stored(WorkingCopy::of(record)),
            (Self::Unread(_), None) => Self::default(),
            (Self::Cleared(_, mine), Some(record)) => Self::Stored(WorkingCopy {
                mine,
                ..WorkingCopy::of(record)
            }),
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
        *self = Self::Stored(WorkingCopy {
            mine,
            ..WorkingCopy::of(record)
        });
    }

    /// Sets what a save has written of an existing session.
    pub(super) fn saved(&mut self, saved: WorkingCopy) {
        if let Self::Stored(copy) = self {
            copy.base = saved.mine;
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

    /// Returns the stage of an ended session, all of whose values count as unchanged, so that none
    /// of them begins another session.
    fn into_ended(copy: WorkingCopy) -> Self {
        Self::Ended(WorkingCopy {
            base: copy.mine.clone(),
            expiry: None,
            ..copy
        })
    }
}
