//! Which of several independent hosts a name belongs to.

/// The number of independent Redis servers that share the names, as channels_redis shares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hosts(usize);

impl Hosts {
    /// `count` is 1 at least.
    pub(super) fn new(count: usize) -> Self {
        Self(count.max(1))
    }

    /// Returns the number of the host that a name belongs to: the lower 12 bits of its CRC-32, scaled
    /// to the number of hosts.
    pub(super) fn of(self, name: &str) -> usize {
        let hash = crc32fast::hash(name.as_bytes()) as usize & 0xfff;
        hash * self.0 / 0x1000
    }
}
