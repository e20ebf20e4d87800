//! How much of a burst is answered before the answers leave.
//!
//! ```text
//!   client   ░░░░░░░░░░░░░░░░ ▓▓▓▓▓▓▓▓          client   ░▓░▓▓▓▓▓▓▓▓▓▓▓▓
//!   server   ▓▓▓▓▓▓▓▓ ░░░░░░░░░░░░░░░░          server   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//!            all answers in one write                    the first, then portions
//! ```
//!
//! A client with many calls on one connection sends what it has to say in one burst, and falls silent until it is
//! answered. Were all answers to leave in one write, each end would wait while the other works. So when a server has
//! waited for a burst, the first answer leaves by itself, which gives the client something to do; of those that follow,
//! eight times as many leave together each time, so that writes stay few. From then on both ends have work, and a server
//! that has not waited writes once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Who has had nothing to do for longer than this has waited. Going to look for work takes a few microseconds.
const WAITED: Duration = Duration::from_micros(15);

/// How many times larger each portion is than the one before.
const GROWTH: u32 = 8;

/// When connections of a server last had more than a call to answer.
#[derive(Clone, Debug)]
pub(super) struct LastWork(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    begin: Instant,
    /// Since the beginning.
    nanoseconds: AtomicU64,
}

impl Default for LastWork {
    fn default() -> Self {
        Self(Arc::new(Clock {
            begin: Instant::now(),
            nanoseconds: AtomicU64::new(0),
        }))
    }
}

impl LastWork {
    fn ended_now(&self) {
        let since = self.0.begin.elapsed().as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.nanoseconds.store(since, Ordering::Relaxed);
    }

    fn was_over(&self, at: Instant) -> Duration {
        let end = Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed));
        at.saturating_duration_since(self.0.begin)
            .saturating_sub(end)
    }
}

/// Counts the calls of a burst: those that come in one turn of a connection.
#[derive(Debug)]
pub(super) struct Portions {
    last_work: LastWork,
    burst: Burst,
}

#[derive(Debug, PartialEq)]
enum Burst {
    /// No call yet.
    Awaited,
    /// One call.
    Begun,
    /// Written as a whole.
    Whole,
    /// Written in portions, of which each has so many calls, and this one still lacks some.
    Split { portion: u32, lacking: u32 },
}

impl Portions {
    pub(super) fn new(last_work: &LastWork) -> Self {
        Self {
            last_work: last_work.clone(),
            burst: Burst::Awaited,
        }
    }

    /// A call comes, which was read at that time. Says whether what has been answered in this turn is to be written now.
    pub(super) fn call_comes(&mut self, read: Instant) -> bool {
        match &mut self.burst {
            Burst::Awaited => self.burst = Burst::Begun,
            Burst::Whole => {}
            Burst::Begun => {
                if self.last_work.was_over(read) < WAITED {
                    self.burst = Burst::Whole;
                } else {
                    self.burst = Burst::Split {
                        portion: GROWTH,
                        lacking: GROWTH,
                    };
                    return true;
                }
            }
            Burst::Split { portion, lacking } => {
                *lacking -= 1;
                if *lacking == 0 {
                    *portion = portion.saturating_mul(GROWTH);
                    *lacking = *portion;
                    return true;
                }
            }
        }
        false
    }

    /// There are no more calls at the moment.
    pub(super) fn turn_ends(&mut self) {
        if matches!(self.burst, Burst::Whole | Burst::Split { .. }) {
            self.last_work.ended_now();
        }
        self.burst = Burst::Awaited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of so many calls that is read now: the calls before which there is a write.
    fn burst(portions: &mut Portions, calls: u32) -> Vec<u32> {
        let read = Instant::now();
        let due = (1..=calls).filter(|_| portions.call_comes(read)).collect();
        portions.turn_ends();
        due
    }

    fn rig() -> [Portions; 2] {
        let last_work = LastWork::default();
        [(); 2].map(|()| Portions::new(&last_work))
    }

    #[tokio::test(start_paused = true)]
    async fn portions_grow() {
        let [mut portions, _] = rig();
        tokio::time::advance(WAITED).await;
        let due = burst(&mut portions, 100);
        // When the call comes, one has been answered, then eight more, sixty-four.
        assert_eq!(due, [2, 10, 74]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_not_waited_writes_once() {
        let [mut portions, mut other] = rig();
        tokio::time::advance(WAITED).await;
        assert_eq!(burst(&mut portions, 3), [2]);
        assert!(burst(&mut portions, 3).is_empty());
        assert!(burst(&mut other, 3).is_empty(), "whoever it worked for");
        tokio::time::advance(WAITED).await;
        assert_eq!(burst(&mut other, 3), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_come_one_by_one_look_at_no_clock() {
        let [mut portions, _] = rig();
        tokio::time::advance(WAITED).await;
        assert!(burst(&mut portions, 1).is_empty());
        assert_eq!(burst(&mut portions, 2), [2], "they do not count as work");
    }
}
