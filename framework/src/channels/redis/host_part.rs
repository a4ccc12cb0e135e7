//! The groups and channels of this process whose events arrive through one Redis.

use super::names::LayerNames;
use crate::{
    channels::lost_part::LostPart,
    name::{ChannelName, GroupName},
};

/// The groups and channels of this process that lose events with one Redis, by its number.
///
/// With queues, all events arrive through a queue of this process, so a Redis that has one concerns
/// everything. In a Cluster the others have memberships only, which concern their groups.
#[derive(Clone)]
pub(super) struct HostPart {
    names: LayerNames,
    number: usize,
    is_everything: bool,
}

impl HostPart {
    pub(super) fn new(names: &LayerNames, number: usize) -> Self {
        Self {
            is_everything: names.receives_all_on(number),
            names: names.clone(),
            number,
        }
    }
}

impl LostPart for HostPart {
    fn has_group(&self, group: &GroupName) -> bool {
        self.is_everything || self.names.host_of_group(group) == self.number
    }

    fn has_channel(&self, channel: &ChannelName) -> bool {
        self.is_everything || self.names.host_of(channel) == self.number
    }

    /// A process without subscriptions on its only host sends nothing, so nobody knows a new
    /// channel of it; through another host, it may have sent its name.
    fn misses_from_start(&self) -> bool {
        !self.is_everything && self.names.are_on_several_hosts()
    }
}
