//! A timer that costs next to nothing to ask.
//!
//! A connection's task runs several times for each call. To poll a [`Sleep`] in each of those turns would
//! register its waker anew each time; an alarm remembers whether it has gone off.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::bell::Bell;

/// Goes off once, and once more for each time it is set.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// What the timer rings: unless it has, there is nothing to ask.
    bell: Bell,
}

impl Alarm {
    pub(crate) fn at(when: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(when)),
            bell: Bell::new(),
        }
    }

    /// Goes off at another time. To be polled once more, lest nobody hears it.
    pub(crate) fn set(&mut self, when: Instant) {
        self.sleep.as_mut().reset(when);
        self.bell.ring_at_work();
    }

    /// Ready, once, when it goes off; wakes the task that asked last.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.bell.follow(cx);
        if !self.bell.has_rung() {
            return Poll::Pending;
        }
        self.sleep.as_mut().poll(&mut self.bell.context())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_once_each_time_it_is_set() {
        let start = Instant::now();
        let mut alarm = Alarm::at(start + SECOND);
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed(), SECOND);
        let again = poll_fn(|cx| alarm.poll(cx));
        assert!(tokio::time::timeout(60 * SECOND, again).await.is_err());
        alarm.set(Instant::now() + SECOND);
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed(), 62 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_is_put_off_does_not_go_off_before() {
        let start = Instant::now();
        let mut alarm = Alarm::at(start + SECOND);
        poll_fn(|cx| {
            assert!(alarm.poll(cx).is_pending());
            alarm.set(start + 3 * SECOND);
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed(), 3 * SECOND);
    }
}
