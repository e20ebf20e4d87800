//! How long a connection may live, and how long it may lie idle (gRFC A9).
//!
//! ```text
//!   idle:  streams ── the last ends ──► waiting ── max idle ──► drain, "max_idle"
//!             ▲────────── a stream ────────┘
//!
//!   age:   young ── max age ± 10 % ──► drain, "max_age" ── 2nd GOAWAY ──► grace ── its end ──► close
//! ```
//!
//! The jitter keeps a fleet of connections that were made at once from ending at once.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::ServerOptions;
use crate::alarm::Alarm;

/// The clocks of one connection; without limits there are none.
#[derive(Debug)]
pub(super) struct Life {
    idle: Option<Idle>,
    age: Age,
}

#[derive(Debug)]
struct Idle {
    limit: Duration,
    is_busy: bool,
    alarm: Alarm,
}

#[derive(Debug)]
enum Age {
    Unlimited,
    Young { alarm: Alarm, grace: Duration },
    Announced { grace: Duration },
    Grace(Alarm),
}

/// What is to be done because time has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Ask the client to go, for this reason.
    Drain(&'static str),
    /// It has had its time.
    Close,
}

impl Life {
    /// `jitter` is at least 0 and less than 1.
    pub(super) fn new(options: &ServerOptions, jitter: f64) -> Self {
        let now = Instant::now();
        let alarm_in = |time: Duration| now.checked_add(time).map(Alarm::at);
        let idle = options.max_connection_idle.and_then(|limit| {
            Some(Idle {
                limit,
                is_busy: false,
                alarm: alarm_in(limit)?,
            })
        });
        // Beyond a century or so a float is no time any more.
        let age = options
            .max_connection_age
            .and_then(|age| {
                Duration::try_from_secs_f64(age.as_secs_f64() * (0.9 + 0.2 * jitter)).ok()
            })
            .and_then(alarm_in);
        Self {
            idle,
            age: age.map_or(Age::Unlimited, |alarm| Age::Young {
                alarm,
                grace: options.max_connection_age_grace.unwrap_or(Duration::MAX),
            }),
        }
    }

    /// A stream was opened, and it may be over before anybody asks for streams.
    pub(super) fn stream(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.is_busy = true;
        }
    }

    /// What is due. `is_told` says whether the second GOAWAY is out. To be asked in every turn.
    pub(super) fn poll(
        &mut self,
        has_streams: impl FnOnce() -> bool,
        is_told: impl FnOnce() -> bool,
        cx: &Context<'_>,
    ) -> Poll<Over> {
        if let Some(idle) = &mut self.idle
            && idle.poll(has_streams(), cx).is_ready()
        {
            self.idle = None;
            return Poll::Ready(Over::Drain("max_idle"));
        }
        match &mut self.age {
            Age::Unlimited => {}
            Age::Young { alarm, grace } => {
                if alarm.poll(cx).is_ready() {
                    self.age = Age::Announced { grace: *grace };
                    return Poll::Ready(Over::Drain("max_age"));
                }
            }
            Age::Announced { grace } => {
                if is_told() {
                    let end = Instant::now().checked_add(*grace);
                    self.age = end.map_or(Age::Unlimited, |end| Age::Grace(Alarm::at(end)));
                }
            }
            Age::Grace(_) => {}
        }
        if let Age::Grace(alarm) = &mut self.age
            && alarm.poll(cx).is_ready()
        {
            self.age = Age::Unlimited;
            return Poll::Ready(Over::Close);
        }
        Poll::Pending
    }
}

impl Idle {
    fn poll(&mut self, has_streams: bool, cx: &Context<'_>) -> Poll<()> {
        if has_streams {
            self.is_busy = true;
        } else if std::mem::take(&mut self.is_busy) {
            self.alarm.set(Instant::now() + self.limit);
        }
        match self.alarm.poll(cx) {
            Poll::Ready(()) if !self.is_busy => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn options(idle: Option<u64>, age: Option<u64>, grace: Option<u64>) -> ServerOptions {
        let [
            max_connection_idle,
            max_connection_age,
            max_connection_age_grace,
        ] = [idle, age, grace].map(|seconds| seconds.map(Duration::from_secs));
        ServerOptions {
            max_connection_idle,
            max_connection_age,
            max_connection_age_grace,
            ..ServerOptions::default()
        }
    }

    async fn next(life: &mut Life, has_streams: bool, is_told: bool) -> Option<(Over, u64)> {
        let start = Instant::now();
        let over = poll_fn(|cx| life.poll(|| has_streams, || is_told, cx));
        let over = tokio::time::timeout(Duration::from_secs(3600), over).await;
        Some((over.ok()?, start.elapsed().as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_is_taken_ten_percent_more_or_less() {
        for (jitter, expected) in [(0.0, 90), (0.5, 100), (0.9999, 109)] {
            let mut life = Life::new(&options(None, Some(100), None), jitter);
            let (over, after) = next(&mut life, true, false).await.unwrap();
            assert_eq!((over, after), (Over::Drain("max_age"), expected));
            assert_eq!(next(&mut life, true, true).await, None, "endless grace");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn grace_begins_when_the_client_has_been_told_twice() {
        let mut life = Life::new(&options(None, Some(10), Some(7)), 0.5);
        let drain = Some((Over::Drain("max_age"), 10));
        assert_eq!(next(&mut life, true, false).await, drain);
        assert_eq!(next(&mut life, true, false).await, None);
        assert_eq!(next(&mut life, true, true).await, Some((Over::Close, 7)));
        assert_eq!(next(&mut life, true, true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_counts_from_the_end_of_the_last_stream() {
        let mut life = Life::new(&options(Some(10), None, None), 0.5);
        assert_eq!(next(&mut life, true, false).await, None);
        let idle = Some((Over::Drain("max_idle"), 10));
        assert_eq!(next(&mut life, false, false).await, idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_too_short_to_be_seen_counts() {
        let mut life = Life::new(&options(Some(10), None, None), 0.5);
        tokio::time::advance(Duration::from_secs(9)).await;
        life.stream();
        let idle = Some((Over::Drain("max_idle"), 10));
        assert_eq!(next(&mut life, false, false).await, idle);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_too_long_to_come_are_none() {
        let forever = Some(u64::MAX);
        let mut life = Life::new(&options(forever, forever, forever), 0.5);
        assert_eq!(next(&mut life, false, false).await, None);
    }
}
