//! The timers that policies have set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highball_balancer::{Path, TimerId};
use tokio::time::Instant;

/// Timers, the next due first. Both trees give their memory back as timers go.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: BTreeMap<TimerId, (Instant, Path)>,
    queue: BTreeSet<(Instant, TimerId)>,
}

impl Timers {
    /// Adds a timer. One that lies beyond what the clock can say never fires.
    pub(crate) fn set(&mut self, id: TimerId, owner: Path, after: Duration) {
        if let Some(at) = Instant::now().checked_add(after) {
            self.set.insert(id, (at, owner));
            self.queue.insert((at, id));
        }
    }

    pub(crate) fn cancel(&mut self, id: TimerId) {
        if let Some((at, _)) = self.set.remove(&id) {
            self.queue.remove(&(at, id));
        }
    }

    /// The next one to fire, and when.
    pub(crate) fn next(&self) -> Option<(Instant, TimerId)> {
        self.queue.first().copied()
    }

    /// Takes a timer that fires out; `None` if it was cancelled meanwhile.
    pub(crate) fn fire(&mut self, id: TimerId) -> Option<Path> {
        let (at, owner) = self.set.remove(&id)?;
        self.queue.remove(&(at, id));
        Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earliest_timer_is_next_and_a_cancelled_one_never_fires() {
        let mut timers = Timers::default();
        timers.set(TimerId(1), Path::root(), Duration::from_secs(2));
        timers.set(TimerId(2), Path::root(), Duration::from_secs(1));
        timers.set(TimerId(3), Path::root(), Duration::MAX);
        assert_eq!(timers.next().map(|(_, id)| id), Some(TimerId(2)));
        timers.cancel(TimerId(2));
        assert_eq!(timers.fire(TimerId(2)), None);
        assert_eq!(timers.fire(TimerId(1)), Some(Path::root()));
        assert_eq!(timers.next(), None);
    }
}
