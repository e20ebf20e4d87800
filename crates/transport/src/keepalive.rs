//! Whether the peer is still there: gRFC A8, at both ends of a connection.
//!
//! ```text
//!                    ┌──── bytes were read ─────┐
//!                    ▼                          │
//!   start ──► Listening ── silent for time ──► Pinged ── silent for timeout ──► Dead
//!                    │                          ▲
//!                    │ no streams, and          │ a stream
//!                    │ no pings without them    │
//!                    └──────► Dormant ──────────┘
//! ```
//!
//! Any bytes are a sign of life, not the answer to the PING alone. A PING that is on its way for another
//! reason asks the same: one that measures the path, or h2's own with a GOAWAY, which holds ours back until it
//! is answered.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::connect::Io;

/// Watches for signs of life.
#[derive(Debug)]
pub(crate) struct Vigil {
    time: Duration,
    timeout: Duration,
    without_streams: bool,
    state: State,
    alarm: Alarm,
}

#[derive(Debug)]
enum State {
    Listening,
    Pinged {
        /// When bytes had last been read.
        heard: Instant,
        until: Instant,
    },
    Dormant,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask the peer.
    Ping,
    /// Give it up.
    Dead,
}

/// What is known of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// When bytes last came.
    pub(crate) last_read: Instant,
    pub(crate) has_streams: bool,
}

impl Vigil {
    /// `None` if `time` is so long that it never comes.
    pub(crate) fn new(time: Duration, timeout: Duration, without_streams: bool) -> Option<Self> {
        Self::with_first_look(time, time, timeout, without_streams)
    }

    /// The same, with a turn of the connection's task after `first` if that is sooner.
    pub(crate) fn with_first_look(
        first: Duration,
        time: Duration,
        timeout: Duration,
        without_streams: bool,
    ) -> Option<Self> {
        let now = Instant::now();
        let due = now.checked_add(time)?;
        Some(Self {
            time,
            timeout,
            without_streams,
            state: State::Listening,
            alarm: Alarm::at(due.min(now + first)),
        })
    }

    /// How long the peer may be silent before it is asked.
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// What is due. To be asked in every turn of the connection's task, and again after each answer.
    pub(crate) fn poll(&mut self, signs: Signs, cx: &Context<'_>) -> Poll<Due> {
        if matches!(self.state, State::Dormant) && signs.has_streams {
            return Poll::Ready(self.ping(signs, Instant::now()));
        }
        while self.alarm.poll(cx).is_ready() {
            if let Some(due) = self.look(signs, Instant::now()) {
                return Poll::Ready(due);
            }
        }
        Poll::Pending
    }

    /// The alarm has gone off.
    fn look(&mut self, signs: Signs, now: Instant) -> Option<Due> {
        match self.state {
            State::Dormant => return None,
            State::Pinged { heard, until } if heard == signs.last_read => {
                if now >= until {
                    return Some(Due::Dead);
                }
                self.listen_again(until, now);
                return None;
            }
            State::Pinged { .. } | State::Listening => {}
        }
        let due = signs.last_read + self.time;
        if now < due {
            self.state = State::Listening;
            self.alarm.set(due);
            None
        } else if signs.has_streams || self.without_streams {
            Some(self.ping(signs, now))
        } else {
            self.state = State::Dormant;
            None
        }
    }

    fn ping(&mut self, signs: Signs, now: Instant) -> Due {
        let heard = signs.last_read;
        let until = now + self.timeout;
        self.state = State::Pinged { heard, until };
        self.listen_again(until, now);
        Due::Ping
    }

    /// Looks again before the time-out if the next PING may be due before it: pings are `time` apart.
    fn listen_again(&mut self, until: Instant, now: Instant) {
        self.alarm.set(until.min(now + self.time));
    }
}

/// The same for what has been sent (gRFC A18), as well as can be: keepalive works without.
pub(crate) fn set_user_timeout(io: &dyn Io, timeout: Duration) {
    if let Err(error) = io.set_user_timeout(timeout) {
        tracing::debug!(target: "transport", %error, "TCP_USER_TIMEOUT not set");
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Rig {
        start: Instant,
        vigil: Vigil,
        signs: Signs,
    }

    impl Rig {
        fn new(time: u32, timeout: u32, without_streams: bool) -> Self {
            let start = Instant::now();
            Self {
                start,
                vigil: Vigil::new(time * SECOND, timeout * SECOND, without_streams).unwrap(),
                signs: Signs {
                    last_read: start,
                    has_streams: !without_streams,
                },
            }
        }

        /// What is due next within the next hour, and at which second.
        async fn next(&mut self) -> Option<(Due, u64)> {
            let due = poll_fn(|cx| self.vigil.poll(self.signs, cx));
            let due = tokio::time::timeout(3600 * SECOND, due).await.ok()?;
            Some((due, self.start.elapsed().as_secs()))
        }

        fn hear(&mut self) {
            self.signs.last_read = Instant::now();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_pinged_once_and_given_up_after_the_timeout() {
        for (time, timeout) in [(10, 20), (30, 5), (10, 10)] {
            let mut rig = Rig::new(time, timeout, false);
            assert_eq!(rig.next().await, Some((Due::Ping, time.into())));
            let end = u64::from(time + timeout);
            assert_eq!(rig.next().await, Some((Due::Dead, end)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_a_peer_that_answers_are_the_time_apart_however_long_the_timeout() {
        let mut rig = Rig::new(10, 25, true);
        for at in [10, 20, 30, 40] {
            assert_eq!(rig.next().await, Some((Due::Ping, at)));
            rig.hear();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn any_bytes_put_the_ping_off() {
        let mut rig = Rig::new(10, 20, true);
        tokio::time::advance(7 * SECOND).await;
        rig.hear();
        assert_eq!(rig.next().await, Some((Due::Ping, 17)));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_within_the_timeout_are_an_answer() {
        let mut rig = Rig::new(10, 20, true);
        assert_eq!(rig.next().await, Some((Due::Ping, 10)));
        tokio::time::advance(19 * SECOND).await;
        rig.hear();
        assert_eq!(rig.next().await, Some((Due::Ping, 39)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_streams_it_lies_dormant_and_a_stream_wakes_it_with_a_ping_at_once() {
        let mut rig = Rig::new(10, 20, false);
        rig.signs.has_streams = false;
        assert_eq!(rig.next().await, None);
        let now = rig.start.elapsed().as_secs();
        rig.signs.has_streams = true;
        assert_eq!(rig.next().await, Some((Due::Ping, now)));
        assert_eq!(rig.next().await, Some((Due::Dead, now + 20)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_stood_still_pings_once() {
        let mut rig = Rig::new(10, 20, true);
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(rig.next().await, Some((Due::Ping, 60)));
        rig.hear();
        assert_eq!(rig.next().await, Some((Due::Ping, 70)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_never_comes_is_no_vigil() {
        assert!(Vigil::new(Duration::MAX, SECOND, true).is_none());
    }
}
