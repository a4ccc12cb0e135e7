//! The names of channels, groups and keys in Redis.

use super::config::Wire;
use crate::{
    digest::digest,
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName, is_layer_prefix},
    redis_link::Hosts,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The names of a layer, and the hosts that they belong to.
#[derive(Clone)]
pub(super) struct LayerNames {
    wire: Wire,
    hosts: Hosts,
    prefix: Arc<str>,
    /// The name of all channels of this process, up to the `!`.
    pub(super) process: Arc<str>,
    /// What the channel or the key of a group begins with, after the tag of its host.
    group_prefix: Arc<str>,
}

/// Leaves room for what follows the prefix in a channel's name of at most 99 bytes.
const LONGEST_PREFIX: usize = 30;

impl LayerNames {
    pub(super) fn fresh(wire: Wire, hosts: Hosts, prefix: &str) -> Result<Self> {
        let fits = (1..=LONGEST_PREFIX).contains(&prefix.len());
        if !fits || !is_layer_prefix(prefix) {
            return Err(Error::new(
                ErrorKind::Name,
                format!(
                    "{prefix:?} is not a valid prefix for names in Redis: use 1 to {LONGEST_PREFIX} printable ASCII \
                     characters other than spaces and ! * ? [ ] {{ }} \\"
                ),
            ));
        }
        let process = process_id();
        let (process, group_prefix) = match wire {
            Wire::PubSub => (
                format!("{prefix}specific.{process:032x}"),
                format!("{prefix}__group__"),
            ),
            Wire::Queue => (
                format!("specific.{process:032x}"),
                format!("{prefix}:group:"),
            ),
        };
        Ok(Self {
            wire,
            hosts,
            prefix: prefix.into(),
            process: process.into(),
            group_prefix: group_prefix.into(),
        })
    }

    /// Returns the names on a host.
    pub(super) fn on(&self, host: usize) -> HostNames {
        let tag = self.hosts.tag(host);
        HostNames {
            tag,
            prefix: self.prefix.clone(),
            process: self.process.clone(),
            group_prefix: format!("{tag}{}", self.group_prefix).into(),
            is_sharded: self.are_sharded(),
        }
    }

    /// Returns whether the hosts are shards of a Cluster, with sharded pub/sub.
    pub(super) fn are_sharded(&self) -> bool {
        self.hosts.is_cluster()
    }

    /// Returns whether events for the queue of this process arrive on a host. Python sends directly
    /// to a queue on any host, but not in a Cluster.
    pub(super) fn reads_queue_on(&self, host: usize) -> bool {
        let own_queue = || self.hosts.of(&format!("{}!", self.process));
        !self.hosts.is_cluster() || own_queue() == host
    }

    /// Returns whether all events arrive through a queue of this process on a host.
    pub(super) fn receives_all_on(&self, host: usize) -> bool {
        self.wire == Wire::Queue && self.reads_queue_on(host)
    }

    /// Returns whether events arrive through more than one host.
    pub(super) fn are_on_several_hosts(&self) -> bool {
        self.hosts.are_several()
    }

    /// Returns the number of the host that has the queue of a named channel; `None` if all have
    /// one.
    pub(super) fn host_of_jobs(&self, channel: &ChannelName) -> Option<usize> {
        let is_cluster = self.hosts.is_cluster();
        is_cluster.then(|| self.hosts.of(channel.as_str()))
    }

    /// Returns the number of the host that a group belongs to.
    pub(super) fn host_of_group(&self, group: &GroupName) -> usize {
        match self.wire {
            Wire::PubSub => self.hosts.of(&format!("{}{group}", self.group_prefix)),
            Wire::Queue => self.hosts.of(group.as_str()),
        }
    }

    /// Returns the number of the host that the presence of a group belongs to.
    pub(super) fn host_of_presence(&self, group: &GroupName) -> usize {
        self.hosts.of(group.as_str())
    }

    /// Returns the number of the host on which events for a channel are sent. Python sends directly
    /// to a consumer's queue on another host, where no Python process reads it; a Seaway process
    /// reads its queue on all hosts.
    pub(super) fn host_of(&self, channel: &ChannelName) -> usize {
        match self.wire {
            Wire::PubSub => self.hosts.of(channel.as_str()),
            Wire::Queue => self.hosts.of(non_local(channel.as_str())),
        }
    }

    /// Returns whether a channel is one of this process.
    pub(super) fn is_own(&self, channel: &ChannelName) -> bool {
        let rest = channel.as_str().strip_prefix(&*self.process);
        rest.is_some_and(|rest| rest.starts_with('!'))
    }

    /// Returns whether a channel without `!` is that of a Python consumer over pub/sub, and not a
    /// worker queue: the prefix of the layer, `specific.` or another word of the program, and a UUID
    /// of version 4.
    pub(super) fn is_python_consumer(&self, channel: &ChannelName) -> bool {
        let rest = channel.as_str().strip_prefix(&*self.prefix);
        let id = rest.and_then(|rest| rest.rsplit_once('.'));
        id.is_some_and(|(_, id)| is_id(id) && is_of_version_4(id.as_bytes()))
    }

    /// Returns the id of this process in presences, with its lease in milliseconds: the beginning of
    /// its id, `x`, and 11 digits, which are enough for the longest lease, 365 days.
    ///
    /// It is as long as the id of a process that does not state its lease, and distinguished by the
    /// `x`, which is no hexadecimal digit.
    pub(super) fn presence_process(&self, lease_ms: u64) -> String {
        let id = self.process.rsplit_once('.');
        let id = id.map_or(&*self.process, |(_, id)| id);
        format!("{id:.20}x{lease_ms:011}")
    }
}

/// The names on one host: in a Cluster, they differ by their hash tag.
#[derive(Clone)]
pub(super) struct HostNames {
    /// What all of them begin with.
    tag: &'static str,
    prefix: Arc<str>,
    process: Arc<str>,
    /// What the channel or the key of a group begins with.
    pub(super) group_prefix: Arc<str>,
    is_sharded: bool,
}

impl HostNames {
    /// Returns whether the host is a shard of a Cluster, with sharded pub/sub.
    pub(super) fn are_sharded(&self) -> bool {
        self.is_sharded
    }

    /// Returns the channel or the key of a group.
    pub(super) fn of_group(&self, group: &GroupName) -> String {
        format!("{}{group}", self.group_prefix)
    }

    /// Returns the key of the events of a topic, with which its other keys begin.
    pub(super) fn of_topic(&self, topic: &GroupName) -> String {
        format!("{}{}:topic:{topic}", self.tag, self.prefix)
    }

    /// Returns the pattern that matches every channel of this process. The names hold no character
    /// that is special in a pattern.
    pub(super) fn own_channels(&self) -> String {
        format!("{}!*", self.process)
    }

    /// Returns the Redis channel that the events for all channels of a process are published to,
    /// with sharded pub/sub, which has no patterns.
    pub(super) fn sharded(&self, channel: &ChannelName) -> String {
        format!("{}{}", self.tag, non_local(channel.as_str()))
    }

    /// Returns that of this process.
    pub(super) fn own_sharded(&self) -> String {
        format!("{}{}!", self.tag, self.process)
    }

    /// Returns the key of the queue that events for a channel are put into: all channels of a
    /// process share one.
    pub(super) fn queue_of(&self, channel: &ChannelName) -> String {
        let name = non_local(channel.as_str());
        format!("{}{}{name}", self.tag, self.prefix)
    }

    /// Returns the key of the queue of this process.
    pub(super) fn own_queue(&self) -> String {
        format!("{}{}{}!", self.tag, self.prefix, self.process)
    }

    /// Returns the keys of presence.
    pub(super) fn presence(&self) -> PresenceKeys {
        self.presence_keys("presence")
    }

    /// Returns the keys of the numbers of members, which are kept as those of presence are.
    pub(super) fn members(&self) -> PresenceKeys {
        self.presence_keys("members")
    }

    fn presence_keys(&self, list: &'static str) -> PresenceKeys {
        PresenceKeys {
            tag: self.tag,
            prefix: self.prefix.clone(),
            list,
        }
    }
}

/// The keys of the scripts of presence, on one host.
pub(super) struct PresenceKeys {
    tag: &'static str,
    prefix: Arc<str>,
    /// What the scripts keep.
    list: &'static str,
}

impl PresenceKeys {
    /// Returns the key of the people in a group, and the channel of its changes.
    pub(super) fn people(&self, group: &str) -> String {
        format!("{}{}:{}:{group}", self.tag, self.prefix, self.list)
    }

    /// Returns the key of the connections in a group, by process. A `$` is not valid in a name.
    pub(super) fn connections(&self, group: &GroupName) -> String {
        format!("{}{}:{}$of:{group}", self.tag, self.prefix, self.list)
    }

    /// Returns the key of the groups in which a process has people.
    pub(super) fn groups(&self, process: &str) -> String {
        format!(
            "{}{}:{}$process:{process}",
            self.tag, self.prefix, self.list
        )
    }

    /// Returns the key of the processes that have people.
    pub(super) fn processes(&self) -> String {
        format!("{}{}:{}$processes", self.tag, self.prefix, self.list)
    }
}

/// Returns the name up to its first `!`, that included, or the whole name.
fn non_local(name: &str) -> &str {
    match name.find('!') {
        Some(end) => &name[..=end],
        None => name,
    }
}

/// Returns a random UUID of version 8, the one for custom formats (RFC 9562, 5.8). Python's ids are
/// of version 4, so [`is_of_seaway`] can distinguish them.
fn process_id() -> u128 {
    let random = fastrand::u128(..);
    let version = random & !(0xf << 76) | 0x8 << 76;
    version & !(0b11 << 62) | 0b10 << 62
}

/// Returns whether a channel belongs to a consumer of a Seaway process.
pub(super) fn is_of_seaway(channel: &ChannelName) -> bool {
    let process = non_local(channel.as_str()).strip_suffix('!');
    let id = process.and_then(|process| process.rsplit_once('.'));
    id.is_some_and(|(_, id)| is_id(id) && id.as_bytes()[12] == b'8')
}

fn is_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether an id of a valid length has the version and variant of a random UUID (RFC 9562,
/// 5.4).
fn is_of_version_4(id: &[u8]) -> bool {
    id[12] == b'4' && matches!(id[16], b'8' | b'9' | b'a' | b'b')
}

/// The proxies of this process in groups: one member for all consumers of this process.
pub(super) struct Proxies {
    process: Arc<str>,
    /// The groups whose names do not fit into that of a channel.
    long: Mutex<HashMap<String, GroupName>>,
}

/// The name of a proxy after the `!`, before the name of the group.
const PROXY: &str = "seaway.";
/// The same, before a hash of the group's name.
const HASHED_PROXY: &str = "seaway-";

impl Proxies {
    pub(super) fn new(names: &LayerNames) -> Self {
        Self {
            process: names.process.clone(),
            long: Mutex::default(),
        }
    }

    /// Returns the name of the proxy in a group that is joined.
    pub(super) fn of(&self, group: &GroupName) -> ChannelName {
        let name = self.name(group);
        if let Some((_, local)) = name.as_str().split_once('!')
            && local.starts_with(HASHED_PROXY)
        {
            self.long().insert(local.to_owned(), group.clone());
        }
        name
    }

    /// Returns the same name; [`group_of`](Self::group_of) may not know it.
    pub(super) fn name(&self, group: &GroupName) -> ChannelName {
        let plain = format!("{}!{PROXY}{group}", self.process);
        ChannelName::new(plain).unwrap_or_else(|_| {
            let name = format!("{}!{}", self.process, hashed(group));
            ChannelName::new(name).expect("a hash fits into the name of a channel")
        })
    }

    /// Forgets the proxy in a group.
    pub(super) fn remove(&self, group: &GroupName) {
        let mut long = self.long();
        if !long.is_empty() {
            long.remove(&hashed(group));
        }
    }

    /// Returns the group whose proxy this channel is.
    pub(super) fn group_of(&self, channel: &ChannelName) -> Option<GroupName> {
        let local = channel.as_str().strip_prefix(&*self.process)?;
        let local = local.strip_prefix('!')?;
        match local.strip_prefix(PROXY) {
            Some(group) => GroupName::new(group).ok(),
            None => self.long().get(local).cloned(),
        }
    }

    fn long(&self) -> MutexGuard<'_, HashMap<String, GroupName>> {
        self.long
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// Returns whether a channel is the proxy of some Seaway process in a group.
pub(super) fn is_proxy(channel: &ChannelName) -> bool {
    let local = channel.as_str().split_once('!');
    local.is_some_and(|(_, local)| local.starts_with(PROXY) || local.starts_with(HASHED_PROXY))
        && is_of_seaway(channel)
}

fn hashed(group: &GroupName) -> String {
    format!("{HASHED_PROXY}{}", digest(group.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    #[test]
    fn keys_are_those_of_channels_redis() {
        let layer = LayerNames::fresh(Wire::Queue, Hosts::independent(1), "asgi").unwrap();

        let names = layer.on(0);

        assert_eq!(names.queue_of(&channel("thumbnails")), "asgithumbnails");
        assert_eq!(
            names.queue_of(&channel("specific.ab!cd")),
            "asgispecific.ab!"
        );
        let room = GroupName::new("room").unwrap();
        assert_eq!(names.of_group(&room), "asgi:group:room");
        let own = channel(&format!("{}!7", layer.process));
        assert_eq!(names.queue_of(&own), names.own_queue());
        assert!(layer.is_own(&own) && is_of_seaway(&own) && !is_proxy(&own));
    }

    #[test]
    fn a_prefix_may_have_what_is_not_special_in_names_and_patterns() {
        let fresh = |wire, prefix: &str| LayerNames::fresh(wire, Hosts::independent(1), prefix);
        let long = "p".repeat(30);
        for wire in [Wire::PubSub, Wire::Queue] {
            for prefix in ["asgi", "myapp:", "my/app@1", "a:b:$c", &long] {
                let names = fresh(wire, prefix).expect(prefix);

                let own = channel(&format!("{}!ffffffffffffffff", names.process));
                assert!(names.is_own(&own) && is_of_seaway(&own), "{own}");
            }
            for prefix in ["", "a b", "a!", "a*", "a?", "[a]", "{a}", "a\\", "ü", "a\n"] {
                let error = fresh(wire, prefix).err().expect(prefix);
                assert_eq!(error.kind(), ErrorKind::Name, "{prefix}");
            }
            assert!(fresh(wire, &"p".repeat(31)).is_err());
        }
        let names = fresh(Wire::PubSub, "myapp:").unwrap();
        let room = GroupName::new("room").unwrap();
        assert_eq!(names.on(0).of_group(&room), "myapp:__group__room");
        let of_python = channel("myapp:specific.1d8a13234762400e9410c6ca76b0da94");
        assert!(names.is_python_consumer(&of_python));
        let names = fresh(Wire::Queue, "myapp:").unwrap();
        assert_eq!(names.on(0).of_group(&room), "myapp::group:room");
        assert_eq!(names.on(0).queue_of(&channel("jobs")), "myapp:jobs");
    }

    #[test]
    fn a_proxy_leads_back_to_its_group_however_long_its_name() {
        let names = LayerNames::fresh(Wire::Queue, Hosts::independent(1), "asgi").unwrap();
        let proxies = Proxies::new(&names);
        for length in [1, 50, 51, 99] {
            let group = GroupName::new("g".repeat(length)).unwrap();

            let proxy = proxies.of(&group);

            assert!(is_proxy(&proxy), "{proxy}");
            assert_eq!(proxies.group_of(&proxy), Some(group.clone()));
            proxies.remove(&group);
            assert_eq!(proxies.group_of(&proxy).is_some(), length <= 50);
        }
    }

    #[test]
    fn the_channels_of_python_are_told_from_those_of_seaway_and_from_named_ones() {
        let uuid = "1d8a13234762400e9410c6ca76b0da94";
        let of_core = channel(&format!("specific.{uuid}!8b25c5723ef94d12b9516459f5c0ab86"));
        assert!(!is_of_seaway(&of_core));
        let names = LayerNames::fresh(Wire::PubSub, Hosts::independent(1), "asgi").unwrap();
        for (name, expected) in [
            (format!("asgispecific.{uuid}"), true),
            (format!("asgix.{uuid}"), true),
            (format!("build.{uuid}"), false),
            ("asgi.d41d8cd98f00b204e9800998ecf8427e".to_owned(), false),
            ("asgi.1d8a132347624e00c410c6ca76b0da94".to_owned(), false),
            ("thumbnails".to_owned(), false),
            ("mail.urgent".to_owned(), false),
        ] {
            let is_of_python = names.is_python_consumer(&channel(&name));
            assert_eq!(is_of_python, expected, "{name}");
        }
    }
}
