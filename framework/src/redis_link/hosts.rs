//! Which of several servers a name belongs to.

/// The servers that share the names: independent ones as channels_redis shares them, or the shards
/// of a Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hosts {
    count: usize,
    is_cluster: bool,
}

/// A part of the names in a Cluster: what has the tag in its name is in the slot. A primary has one
/// or more of them.
pub(super) struct Shard {
    tag: &'static str,
    pub(super) slot: u16,
}

/// The shards, whose slots are evenly spread: 2 to 16 primaries of equal size get almost equal
/// parts. All programs need the same ones.
pub(super) const SHARDS: [Shard; 16] = [
    shard("{1768}", 512),
    shard("{1678}", 1537),
    shard("{2184}", 2559),
    shard("{223}", 3586),
    shard("{3453}", 4608),
    shard("{3543}", 5633),
    shard("{1845}", 6654),
    shard("{1955}", 7679),
    shard("{265}", 8704),
    shard("{375}", 9729),
    shard("{3808}", 10751),
    shard("{3918}", 11774),
    shard("{3725}", 12801),
    shard("{3635}", 13824),
    shard("{2912}", 14848),
    shard("{2802}", 15873),
];

const fn shard(tag: &'static str, slot: u16) -> Shard {
    Shard { tag, slot }
}

impl Hosts {
    /// Returns independent servers; `count` is 1 at least.
    pub(crate) fn independent(count: usize) -> Self {
        Self {
            count: count.max(1),
            is_cluster: false,
        }
    }

    /// Returns whether there is more than one.
    pub(crate) fn are_several(self) -> bool {
        self.count > 1
    }

    /// Returns the shards of a Cluster.
    pub(super) fn cluster() -> Self {
        Self {
            count: SHARDS.len(),
            is_cluster: true,
        }
    }

    /// Returns whether these are the shards of a Cluster.
    pub(crate) fn is_cluster(self) -> bool {
        self.is_cluster
    }

    /// Returns the number of the host that a name belongs to: the lower 12 bits of its CRC-32,
    /// scaled to the number of hosts.
    pub(crate) fn of(self, name: &str) -> usize {
        let hash = crc32fast::hash(name.as_bytes()) as usize & 0xfff;
        hash * self.count / 0x1000
    }

    /// Returns what the names on a host begin with, so that they are all in its slot.
    pub(crate) fn tag(self, host: usize) -> &'static str {
        match self.is_cluster {
            true => SHARDS[host].tag,
            false => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-16 as in Redis' specification of a Cluster.
    fn crc16(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
                crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
            })
        })
    }

    #[test]
    fn each_tag_is_in_its_slot() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for Shard { tag, slot } in SHARDS {
            let hashed = tag.trim_matches(['{', '}']);
            assert_eq!(crc16(hashed.as_bytes()) % 16384, slot, "{tag}");
        }
    }

    #[test]
    fn primaries_of_equal_size_get_almost_equal_parts() {
        for primaries in 2..=16 {
            let mut parts = vec![0; primaries];
            for shard in SHARDS {
                parts[usize::from(shard.slot) * primaries / 16384] += 1;
            }
            let (least, most) = (parts.iter().min(), parts.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{parts:?}");
        }
    }
}
