//! Whether a test left anything behind.
//!
//! Streams, subchannels and timers belong to tasks: a channel's driver, a subchannel's actor, a connection's
//! task, a handler. Where no task is left, none of them is.

use std::time::Duration;

use tokio::runtime::Handle;

/// How long tasks may take to end by themselves. With paused time that is no time at all.
const GRACE: Duration = Duration::from_secs(60);

/// Counts the tasks of the current runtime, to find at the end of a test that none is left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let leaks = highball_testkit::LeakCheck::start();
/// let task = tokio::spawn(async {});
/// leaks.finish().await;
/// # }
/// ```
#[derive(Debug)]
pub struct LeakCheck {
    before: usize,
}

impl LeakCheck {
    /// Notes how many tasks there are.
    pub fn start() -> Self {
        Self {
            before: alive_tasks(),
        }
    }

    /// Waits until there are no more tasks than at the start.
    ///
    /// # Panics
    ///
    /// If that does not come about within a minute.
    pub async fn finish(self) {
        let waited = tokio::time::timeout(GRACE, async {
            while alive_tasks() > self.before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let ended = waited.await.is_ok();
        let left = alive_tasks().saturating_sub(self.before);
        assert!(ended, "{left} tasks are left behind");
    }
}

/// How many tasks of the current runtime have not ended.
pub fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "1 tasks are left behind")]
    async fn a_task_that_never_ends_is_found() {
        let leaks = LeakCheck::start();
        tokio::spawn(std::future::pending::<()>());
        leaks.finish().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_may_end_a_little_later() {
        let leaks = LeakCheck::start();
        tokio::spawn(tokio::time::sleep(Duration::from_secs(30)));
        leaks.finish().await;
    }
}
