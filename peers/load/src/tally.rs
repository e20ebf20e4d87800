//! What became of calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use highball_channel::{Code, Status};

/// The longest time that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// How many different statuses are shown.
const SHOWN: usize = 3;

/// The outcomes of calls and how long they took. Shared by all tasks.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Outcomes>);

#[derive(Debug)]
struct Outcomes {
    ok: u64,
    by_code: BTreeMap<i32, u64>,
    /// What those that failed said, for people.
    texts: BTreeMap<String, u64>,
    /// Microseconds.
    times: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let longest = LONGEST.as_micros() as u64;
        let times = Histogram::new_with_bounds(1, longest, 3);
        Self(Mutex::new(Outcomes {
            ok: 0,
            by_code: BTreeMap::new(),
            texts: BTreeMap::new(),
            times: times.expect("the bounds are far apart"),
        }))
    }

    /// A call has ended.
    pub(crate) fn ended<T>(&self, outcome: &Result<T, Status>) {
        let mut outcomes = self.lock();
        match outcome {
            Ok(_) => outcomes.ok += 1,
            Err(status) => {
                *outcomes.by_code.entry(status.code() as i32).or_default() += 1;
                // Deadlines say for how long they waited, each something else.
                if outcomes.texts.len() < SHOWN {
                    *outcomes.texts.entry(status.to_string()).or_default() += 1;
                }
            }
        }
    }

    /// How long something took.
    pub(crate) fn took(&self, time: Duration) {
        self.lock().times.saturating_record(time.as_micros() as u64);
    }

    pub(crate) fn ok(&self) -> u64 {
        self.lock().ok
    }

    /// How many calls ended with `code`.
    pub(crate) fn with(&self, code: Code) -> u64 {
        let outcomes = self.lock();
        outcomes.by_code.get(&(code as i32)).copied().unwrap_or(0)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.lock().by_code.values().sum()
    }

    /// Some of what failed calls said.
    pub(crate) fn failures(&self) -> String {
        let outcomes = self.lock();
        let texts: Vec<_> = outcomes.texts.keys().map(String::as_str).collect();
        texts.join("; ")
    }

    /// The time below which this share of all times was.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.lock().times.value_at_quantile(share))
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
