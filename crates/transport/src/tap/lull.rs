//! When a connection that was busy is quiet again, and its large buffers go.
//!
//! A busy connection has little bursts, too: a server answers a burst in portions that begin with one call. A buffer
//! that went with each of them would be allocated and cleared anew for each that follows.

/// So many little bursts in a row are a lull.
const BURSTS: u8 = 8;

/// Counts little bursts in a row.
#[derive(Debug, Default)]
pub(super) struct Lull {
    little: u8,
}

impl Lull {
    /// A burst is over. Whether the connection is quiet.
    pub(super) fn after(&mut self, is_little: bool) -> bool {
        self.little = match is_little {
            true => self.little.saturating_add(1),
            false => 0,
        };
        self.little >= BURSTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lull_is_eight_little_bursts_in_a_row() {
        let mut lull = Lull::default();
        let bursts = [vec![true; 7], vec![false], vec![true; 8]].concat();
        let quiet: Vec<_> = bursts.into_iter().map(|burst| lull.after(burst)).collect();
        assert_eq!(quiet.iter().position(|quiet| *quiet), Some(15));
        assert!(lull.after(true));
        assert!(!lull.after(false));
    }
}
