//! The groups and channels of this process whose events arrive through one Redis.

use super::{config::Wire, names::HostNames};
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
    names: HostNames,
    number: usize,
    is_everything: bool,
}

impl HostPart {
    pub(super) fn new(names: &HostNames, wire: Wire, number: usize) -> Self {
        Self {
            is_everything: wire == Wire::Queue && names.reads_queue_on(number),
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
}
