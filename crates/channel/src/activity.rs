//! Whether a channel is in use: counts calls, and settles the race between going idle and a call that
//! starts at the same moment.
//!
//! ```text
//!   call begins:   count += 1, then look at `idle`      ─┐ whichever comes second sees the other:
//!   driver idles:  set `idle`, then look at `count`     ─┘ the call wakes the driver, or the driver stays
//! ```
//!
//! Nothing here locks or waits; a call pays two atomic additions.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How many calls are under way, since when there were none, and whether the channel is idle.
#[derive(Debug)]
pub(crate) struct Activity {
    calls: AtomicUsize,
    /// A call has begun since this was last cleared.
    used: AtomicBool,
    /// The channel is in idle mode, or about to enter it.
    idle: AtomicBool,
    /// When the last call ended, in nanoseconds after `created`.
    last_end: AtomicU64,
    created: Instant,
}

impl Activity {
    /// No calls yet; a channel starts idle.
    pub(crate) fn new() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            idle: AtomicBool::new(true),
            last_end: AtomicU64::new(0),
            created: Instant::now(),
        }
    }

    /// Counts a call in. `true`: the channel is idle, and the caller must wake the driver.
    pub(crate) fn begin(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.idle.load(Ordering::SeqCst)
    }

    /// Counts a call out.
    pub(crate) fn end(&self) {
        if self.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            let nanos = u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.last_end.store(nanos, Ordering::Relaxed);
        }
    }

    /// The driver is leaving idle mode.
    pub(crate) fn leave_idle(&self) {
        self.idle.store(false, Ordering::SeqCst);
        self.used.store(true, Ordering::Relaxed);
    }

    /// The idle time-out has fired: may the driver enter idle mode, or when should it look again?
    pub(crate) fn try_idle(&self, timeout: Duration) -> Result<(), Instant> {
        let now = Instant::now();
        if self.calls.load(Ordering::SeqCst) > 0 {
            return Err(now + timeout);
        }
        if self.used.swap(false, Ordering::Relaxed) {
            let last_end = Duration::from_nanos(self.last_end.load(Ordering::Relaxed));
            let due = self.created + last_end + timeout;
            if due > now {
                return Err(due);
            }
        }
        self.idle.store(true, Ordering::SeqCst);
        if self.calls.load(Ordering::SeqCst) > 0 {
            // A call slipped in. It may have seen the channel idle and woken the driver; that is harmless.
            self.idle.store(false, Ordering::SeqCst);
            return Err(now + timeout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1800);

    #[tokio::test(start_paused = true)]
    async fn a_channel_with_a_call_under_way_does_not_go_idle() {
        let activity = Activity::new();
        activity.leave_idle();
        activity.begin();
        tokio::time::advance(TIMEOUT).await;
        assert_eq!(activity.try_idle(TIMEOUT), Err(Instant::now() + TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_is_measured_from_the_end_of_the_last_call() {
        let activity = Activity::new();
        activity.leave_idle();
        activity.begin();
        tokio::time::advance(Duration::from_secs(600)).await;
        activity.end();
        let ended = Instant::now();
        tokio::time::advance(Duration::from_secs(1200)).await;
        assert_eq!(activity.try_idle(TIMEOUT), Err(ended + TIMEOUT));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(activity.try_idle(TIMEOUT), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_begins_while_idle_wakes_the_driver() {
        let activity = Activity::new();
        assert!(activity.begin());
        activity.leave_idle();
        assert!(!activity.begin());
        activity.end();
        activity.end();
        assert_eq!(activity.calls.load(Ordering::SeqCst), 0);
    }
}
