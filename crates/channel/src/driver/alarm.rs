//! The driver's one timer: whatever is due first.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Sleeps until some moment, turn after turn. What is due seldom changes between two turns, and a timer that
/// is set anew in each costs more than the turn itself.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until `due`; without it, for ever. Cancel-safe: the next wait for the same moment goes on with it.
    pub(super) async fn wait(&mut self, due: Option<Instant>) {
        let Some(due) = due else {
            self.0 = None;
            return std::future::pending().await;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_moment_it_was_last_set_to() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        for (set_to, rings) in [
            (9, false),
            (2, true),
            (5, true),
            (5, true),
            (7, false),
            (8, true),
        ] {
            let due = start + Duration::from_secs(set_to);
            // Given up before it rings, as by a driver that has something else to do.
            let second = Duration::from_secs(1);
            while tokio::time::timeout(second, alarm.wait(Some(due)))
                .await
                .is_err()
                && rings
            {}
            assert_eq!(Instant::now() == due, rings, "at {set_to} s");
        }
    }
}
