//! Where a policy sits in the tree: the child slots to follow from the root.

use std::fmt;
use std::sync::Arc;

/// The way from the root of the tree to one policy: one child slot per level, none of them ever reused.
///
/// A [`Command`](crate::Command) names the policy that asked by its path; an event travels down the same
/// path, each level popping one slot, and is lost without harm where a policy is gone. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<[u64]>);

impl Path {
    /// The way to the root itself; an event sent here is for everyone.
    pub fn root() -> Self {
        Self::default()
    }

    /// From `depth` slots, the last to follow first. Allocates once.
    pub(crate) fn upwards(depth: usize, slots: impl Iterator<Item = u64>) -> Self {
        let mut path: Arc<[u64]> = std::iter::repeat_n(0, depth).collect();
        if let Some(path) = Arc::get_mut(&mut path) {
            for (place, slot) in path.iter_mut().rev().zip(slots) {
                *place = slot;
            }
        }
        Self(path)
    }

    /// The child slots to follow, the root's first.
    pub fn slots(&self) -> &[u64] {
        &self.0
    }
}

impl FromIterator<u64> for Path {
    fn from_iter<I: IntoIterator<Item = u64>>(slots: I) -> Self {
        Self(slots.into_iter().collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
