//! How often a client may ask: what the user says, and what servers say to that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ClientOptions;
use crate::keepalive::Vigil;

/// The shortest time between two PINGs (gRFC A8).
pub(super) const MIN_TIME: Duration = Duration::from_secs(10);

/// What servers have said to the PINGs of one channel: the least time between two of them, in nanoseconds, that
/// its new connections keep to. Zero while nobody has complained.
#[derive(Debug, Default)]
pub(super) struct Complaints(Arc<AtomicU64>);

impl Clone for Complaints {
    /// For another channel, of which nobody has complained (gRFC A8).
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Complaints {
    /// The same, for a connection to add to.
    pub(super) fn shared(&self) -> Self {
        Self(self.0.clone())
    }

    /// A server says `too_many_pings` of a connection that kept to `time`: twice that is in force, unless more is
    /// already. However many connections say it at once, each of them says it of the same time.
    pub(super) fn add(&self, time: Duration) {
        let nanos = time.saturating_mul(2).as_nanos();
        let least = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.0.fetch_max(least, Ordering::Relaxed);
    }

    fn least(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The time between two PINGs that a new connection keeps to, if there are to be any.
pub(super) fn time(options: &ClientOptions) -> Option<Duration> {
    let chosen = options.keepalive?.time.max(MIN_TIME);
    Some(chosen.max(options.complaints.least()))
}

/// The vigil over a new connection that keeps to `time`, if there is to be one.
pub(super) fn vigil(options: &ClientOptions, time: Option<Duration>) -> Option<Vigil> {
    let keepalive = options.keepalive?;
    Vigil::new(time?, keepalive.timeout, keepalive.permit_without_stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Keepalive;

    const SECOND: Duration = Duration::from_secs(1);

    fn every(time: Duration) -> ClientOptions {
        ClientOptions {
            keepalive: Some(Keepalive {
                time,
                ..Keepalive::default()
            }),
            ..ClientOptions::default()
        }
    }

    #[test]
    fn a_complaint_doubles_the_time_of_the_connection_it_is_about() {
        let options = every(15 * SECOND);
        let shared = options.complaints.shared();
        assert_eq!(time(&options), Some(15 * SECOND));
        for (about, expected) in [(15, 30), (30, 60), (15, 60), (30, 60), (60, 120)] {
            shared.add(about * SECOND);
            assert_eq!(time(&options), Some(expected * SECOND), "about {about} s");
        }
        let other = options.clone();
        assert_eq!(
            time(&other),
            Some(15 * SECOND),
            "nobody has complained of another channel"
        );
    }

    #[test]
    fn times_beyond_all_bounds_stay_there() {
        let options = every(Duration::MAX);
        options.complaints.add(Duration::MAX);
        assert_eq!(time(&options), Some(Duration::MAX));
        let options = every(SECOND);
        (0..100).for_each(|_| options.complaints.add(time(&options).unwrap()));
        assert_eq!(time(&options), Some(Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn without_keepalive_a_complaint_changes_nothing() {
        let options = ClientOptions::default();
        options.complaints.add(SECOND);
        assert_eq!(time(&options), None);
        assert!(vigil(&options, None).is_none());
    }
}
