//! The groups and channels of this process that an interruption concerns.

use crate::name::{ChannelName, GroupName};

/// The groups and channels whose events may be missing after an interruption.
pub(super) trait LostPart {
    /// Returns whether events of a group may be missing.
    fn has_group(&self, group: &GroupName) -> bool;

    /// Returns whether events for a channel may be missing.
    fn has_channel(&self, channel: &ChannelName) -> bool;

    /// Returns whether events may also be missing for a channel that was opened during the
    /// interruption.
    fn misses_from_start(&self) -> bool;
}

/// All groups and channels.
pub(super) struct Everything;

impl LostPart for Everything {
    fn has_group(&self, _: &GroupName) -> bool {
        true
    }

    fn has_channel(&self, _: &ChannelName) -> bool {
        true
    }

    fn misses_from_start(&self) -> bool {
        false
    }
}
