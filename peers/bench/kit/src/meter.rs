//! Counts what is done, and keeps how long calls took while it records.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// Shared by all tasks of a client.
#[derive(Debug)]
pub struct Meter {
    done: AtomicU64,
    is_recording: AtomicBool,
    /// Nanoseconds. Locked for an increment; the same price for every stack.
    latencies: Mutex<Histogram<u32>>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let longest = LONGEST.as_nanos() as u64;
        let histogram = Histogram::new_with_bounds(1_000, longest, 3);
        Self {
            done: AtomicU64::new(0),
            is_recording: AtomicBool::new(false),
            latencies: Mutex::new(histogram.expect("the bounds are a thousand apart")),
        }
    }

    /// One message of a stream has passed.
    pub fn message(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// A call or a round trip that began at `started` is done.
    pub(crate) fn round(&self, started: Instant) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if self.is_recording.load(Ordering::Relaxed) {
            let took = started.elapsed().as_nanos() as u64;
            self.lock().saturating_record(took);
        }
    }

    /// What has been done so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Starts or stops to keep latencies.
    pub(crate) fn record(&self, is_recording: bool) {
        self.is_recording.store(is_recording, Ordering::Relaxed);
    }

    /// The latency below which `share` of the rounds were, in microseconds; `None` without any.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let latencies = self.lock();
        let is_any = !latencies.is_empty();
        is_any.then(|| latencies.value_at_quantile(share) as f64 / 1_000.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram<u32>> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
