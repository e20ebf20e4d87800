//! How often a client may ask: what the user says, and what servers say to that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::ClientOptions;
use crate::keepalive::Vigil;

/// The shortest time between two PINGs (gRFC A8).
pub(super) const MIN_TIME: Duration = Duration::from_secs(10);

/// How many connections of one channel have ended with `too_many_pings`.
#[derive(Debug, Default)]
pub(super) struct Complaints(Arc<AtomicU32>);

impl Clone for Complaints {
    /// For another channel, of which nobody has complained (gRFC A8).
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Complaints {
    /// The same count, for a connection to add to.
    pub(super) fn shared(&self) -> Self {
        Self(self.0.clone())
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Twice as long for each of them.
    fn stretch(&self, time: Duration) -> Duration {
        let doublings = self.0.load(Ordering::Relaxed);
        let factor = 2_u32.checked_pow(doublings);
        factor.map_or(Duration::MAX, |factor| time.saturating_mul(factor))
    }
}

/// The vigil over a new connection, if there is to be one.
pub(super) fn vigil(options: &ClientOptions) -> Option<Vigil> {
    let keepalive = options.keepalive?;
    let time = options.complaints.stretch(keepalive.time.max(MIN_TIME));
    Vigil::new(time, keepalive.timeout, keepalive.permit_without_stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_doubles_the_time_without_end() {
        let complaints = Complaints::default();
        let shared = complaints.shared();
        let other = complaints.clone();
        let time = |complaints: &Complaints| complaints.stretch(MIN_TIME).as_secs();
        assert_eq!(time(&complaints), 10);
        shared.add();
        assert_eq!(time(&complaints), 20);
        shared.add();
        assert_eq!(time(&complaints), 40);
        (0..100).for_each(|_| shared.add());
        assert_eq!(complaints.stretch(MIN_TIME), Duration::MAX);
        assert_eq!(time(&other), 10, "nobody has complained of another channel");
    }
}
