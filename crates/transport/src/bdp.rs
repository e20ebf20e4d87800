//! What the path to a peer holds, its bandwidth-delay product: the window that keeps it full.
//!
//! ```text
//!                half of the estimate has come            the PING is answered
//!   ┌► Resting ──────────────────────────────► Sampling ─────────────────────┐
//!   │            (a PING leaves)                 what comes is counted        │
//!   └──────────────── the estimate has not reached MOST ──────────────────────┤
//!                                                                             └──► Settled
//! ```
//!
//! What comes in the round trip of a PING cannot be more than the peer's window. If it is nearly as much, and
//! came faster than ever before, then the window may be what holds the peer up, and is doubled. The rule and
//! its numbers are grpc-go's (`bdp_estimator.go`), which sends such a PING in every round trip; here as much
//! has to have come as could matter, so that small calls cost none.

use tokio::time::Instant;

/// No window grows beyond this.
pub(crate) const MOST: u32 = 16 * 1024 * 1024;

/// From which share of the estimate on a sample is "nearly as much".
const NEARLY: f64 = 0.66;

/// How many samples the round trip is the mean of; each after those counts for [`WEIGHT`].
const MEAN_OF: u32 = 10;

const WEIGHT: f64 = 0.9;

/// A round trip also has the time in it that the peer took; this much of it is taken to be the path's.
const SLOWER: f64 = 1.5;

/// Round trips are measured in microseconds.
const SHORTEST: f64 = 1e-6;

#[derive(Debug)]
pub(crate) struct Estimator {
    /// Bytes.
    estimate: u32,
    /// Bytes a second: the most of all samples.
    bandwidth: f64,
    /// Seconds.
    round_trip: f64,
    samples: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Resting { from: u64 },
    Sampling { from: u64, since: Instant },
    Settled,
}

impl Estimator {
    /// Nothing has come yet, and as much as `window` may.
    pub(crate) fn new(window: u32) -> Self {
        Self {
            estimate: window,
            bandwidth: 0.0,
            round_trip: 0.0,
            samples: 0,
            state: State::Resting { from: 0 },
        }
    }

    /// How much must have come in all for a sample to begin; `None` while one is under way, and once
    /// there is no need of any.
    pub(crate) fn due_at(&self) -> Option<u64> {
        match self.state {
            State::Resting { from } => Some(from + u64::from(self.estimate / 2)),
            State::Sampling { .. } | State::Settled => None,
        }
    }

    /// Whether a PING is under way for it.
    pub(crate) fn is_sampling(&self) -> bool {
        matches!(self.state, State::Sampling { .. })
    }

    /// A PING leaves, after `received` bytes in all.
    pub(crate) fn begin(&mut self, received: u64, now: Instant) {
        self.state = State::Sampling {
            from: received,
            since: now,
        };
    }

    /// It is answered. Gives the new estimate, in bytes, if it has grown.
    pub(crate) fn end(&mut self, received: u64, now: Instant) -> Option<u32> {
        let State::Sampling { from, since } = self.state else {
            return None;
        };
        self.state = State::Resting { from: received };
        self.time(now.duration_since(since).as_secs_f64().max(SHORTEST));
        let sample = (received - from) as f64;
        let bandwidth = sample / (self.round_trip * SLOWER);
        let is_fastest = bandwidth >= self.bandwidth;
        self.bandwidth = self.bandwidth.max(bandwidth);
        if !is_fastest || sample < NEARLY * f64::from(self.estimate) {
            return None;
        }
        // Floats are cut at the ends of the integer's range.
        let grown = ((2.0 * sample) as u32).min(MOST);
        if grown == MOST {
            self.state = State::Settled;
        }
        (grown > self.estimate).then(|| {
            self.estimate = grown;
            grown
        })
    }

    fn time(&mut self, sample: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = match self.samples {
            few if few < MEAN_OF => 1.0 / f64::from(few),
            _ => WEIGHT,
        };
        self.round_trip += (sample - self.round_trip) * weight;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KIB: u64 = 1024;

    struct Path {
        now: Instant,
        received: u64,
        estimator: Estimator,
    }

    impl Path {
        fn new(window: u64) -> Self {
            Self {
                now: Instant::now(),
                received: 0,
                estimator: Estimator::new(window as u32),
            }
        }

        /// A PING takes this long, and so much comes meanwhile.
        fn round(&mut self, millis: u64, bytes: u64) -> Option<u32> {
            self.estimator.begin(self.received, self.now);
            self.now += Duration::from_millis(millis);
            self.received += bytes;
            self.estimator.end(self.received, self.now)
        }
    }

    #[test]
    fn a_round_trip_that_brings_two_thirds_of_the_window_makes_it_twice_the_sample() {
        let mut path = Path::new(100 * KIB);
        assert_eq!(path.round(10, 65 * KIB), None);
        assert_eq!(path.round(10, 67 * KIB), Some(134 * 1024));
        assert_eq!(path.round(10, 134 * KIB), Some(268 * 1024));
    }

    #[test]
    fn as_much_in_a_longer_round_trip_is_no_reason() {
        let mut path = Path::new(100 * KIB);
        assert_eq!(path.round(10, 100 * KIB), Some(200 * 1024));
        assert_eq!(path.round(50, 190 * KIB), None, "queues, not bandwidth");
        assert_eq!(path.round(10, 400 * KIB), Some(800 * 1024));
    }

    #[test]
    fn it_grows_to_sixteen_mebibytes_and_asks_no_more() {
        let mut path = Path::new(256 * KIB);
        let mut window = 256 * 1024;
        let mut rounds = 0;
        while path.estimator.due_at().is_some() {
            window = path.round(20, u64::from(window)).unwrap();
            rounds += 1;
        }
        assert_eq!((window, rounds), (MOST, 6));
        assert!(!path.estimator.is_sampling());
    }

    #[test]
    fn the_first_nine_round_trips_are_averaged_and_later_ones_count_for_nine_tenths() {
        let mut path = Path::new(256 * KIB);
        for millis in [10, 20, 30, 40, 50, 60, 70, 80, 90] {
            path.round(millis, 0);
        }
        assert!((path.estimator.round_trip - 0.05).abs() < 1e-9);
        path.round(150, 0);
        assert!((path.estimator.round_trip - 0.14).abs() < 1e-9);
    }

    #[test]
    fn a_sample_is_due_when_half_of_the_estimate_has_come_since_the_last() {
        let mut path = Path::new(100 * KIB);
        assert_eq!(path.estimator.due_at(), Some(50 * KIB));
        path.round(10, 30 * KIB);
        assert_eq!(path.estimator.due_at(), Some(80 * KIB));
        path.estimator.begin(path.received, path.now);
        assert_eq!(path.estimator.due_at(), None);
    }

    #[test]
    fn an_answer_at_once_is_no_infinite_bandwidth() {
        let mut path = Path::new(100 * KIB);
        assert_eq!(path.round(0, 100 * KIB), Some(200 * 1024));
        assert!(path.estimator.bandwidth.is_finite());
    }
}
