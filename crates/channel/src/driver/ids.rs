//! Ids as the keys of a table.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by ids of the policy tree's. They are counted up, and no peer chooses them: they need no hash that cannot
/// be foreseen, which would cost more than the look itself.
pub(super) type ById<Id, T> = HashMap<Id, T, BuildHasherDefault<Spread>>;

/// Spreads a single number over all bits, as the table wants it.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use highball_balancer::SubchannelId;

    use super::*;

    #[test]
    fn ids_that_follow_one_another_lie_apart() {
        let hash = |id| BuildHasherDefault::<Spread>::default().hash_one(SubchannelId(id));
        let places: HashSet<_> = (0..1024).map(|id| hash(id) % 1024).collect();
        assert_eq!(places.len(), 1024);
        let tags: HashSet<_> = (0..1024).map(|id| hash(id) >> 57).collect();
        assert_eq!(tags.len(), 128);
    }
}
