//! The driver's one timer: whatever is due first.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Sleeps until some moment, turn after turn. What is due seldom changes between two turns, and a timer that
/// is set anew in each costs more than the turn itself.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether `due` has come; without it, it never does. Wakes the task that asked last.
    pub(super) fn poll(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else {
            self.0 = None;
            return Poll::Pending;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
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
            let mut wait = async || {
                let rung = poll_fn(|cx| alarm.poll(Some(due), cx));
                tokio::time::timeout(second, rung).await
            };
            while wait().await.is_err() && rings {}
            assert_eq!(Instant::now() == due, rings, "at {set_to} s");
        }
    }
}
