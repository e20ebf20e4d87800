//! The soak tests: large calls, again and again, on one channel or on a new one each time.

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::cases::exchange;
use super::{Failure, Tester};

/// What a soak test does and what it puts up with. [`Default`] is the official choice.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How many calls are made in all.
    pub iterations: usize,
    /// How many of them may fail, or take too long.
    pub max_failures: usize,
    /// How long a call may take.
    pub max_latency: Duration,
    /// How long all of them may take.
    pub overall_timeout: Duration,
    /// The least time from one call's start to the next, for each worker.
    pub min_interval: Duration,
    /// The size of each request's payload.
    pub request_size: usize,
    /// The size of each response's payload.
    pub response_size: usize,
    /// How many workers share the calls.
    pub workers: usize,
}

/// How a soak test went.
#[derive(Clone, Debug, Default)]
pub struct SoakReport {
    /// How long each call took that went well, the shortest first.
    pub latencies: Vec<Duration>,
    /// What each other call suffered from.
    pub failures: Vec<Failure>,
}

impl Default for Soak {
    fn default() -> Self {
        Self {
            iterations: 10,
            max_failures: 0,
            max_latency: Duration::from_secs(1),
            overall_timeout: Duration::from_secs(10),
            min_interval: Duration::ZERO,
            request_size: 271_828,
            response_size: 314_159,
            workers: 1,
        }
    }
}

impl Soak {
    /// Makes the calls, each with what `tester` gives: the same each time for `rpc_soak`, one on a channel of
    /// its own for `channel_soak`.
    pub async fn run(&self, tester: impl Fn() -> Tester) -> SoakReport {
        let end = Instant::now() + self.overall_timeout;
        let workers = (0..self.workers).map(|worker| {
            let more = usize::from(worker < self.iterations % self.workers);
            self.work(self.iterations / self.workers + more, end, &tester)
        });
        let mut report = SoakReport::default();
        for part in join_all(workers).await {
            report.latencies.extend(part.latencies);
            report.failures.extend(part.failures);
        }
        report.latencies.sort();
        report
    }

    async fn work(&self, calls: usize, end: Instant, tester: &impl Fn() -> Tester) -> SoakReport {
        let mut report = SoakReport::default();
        for _ in 0..calls {
            let start = Instant::now();
            if start >= end {
                break;
            }
            match self.call(&tester()).await {
                Ok(()) if start.elapsed() <= self.max_latency => {
                    report.latencies.push(start.elapsed());
                }
                Ok(()) => report.failures.push(Failure::new(format!(
                    "a call took {:?}, more than {:?}",
                    start.elapsed(),
                    self.max_latency
                ))),
                Err(failure) => report.failures.push(failure),
            }
            tokio::time::sleep_until(start + self.min_interval).await;
        }
        report
    }

    /// One call. One that never ends is cut short, late enough to be told from a slow one.
    async fn call(&self, tester: &Tester) -> Result<(), Failure> {
        let patience = self.max_latency + Duration::from_secs(10);
        let call = exchange(tester, self.request_size, self.response_size);
        let ended = tokio::time::timeout(patience, call).await;
        ended.unwrap_or_else(|_| Err(Failure::new(format!("a call did not end in {patience:?}"))))
    }

    /// Whether a report is a pass: all calls were made, and not too many failed.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, report: &SoakReport) -> Result<(), Failure> {
        let (failed, made) = (
            report.failures.len(),
            report.latencies.len() + report.failures.len(),
        );
        if made < self.iterations {
            let (timeout, wanted) = (self.overall_timeout, self.iterations);
            return Err(Failure::new(format!(
                "the soak test used up its {timeout:?}: {made} of {wanted} calls were made"
            )));
        }
        if failed > self.max_failures {
            let (most, first) = (self.max_failures, &report.failures[0]);
            return Err(Failure::new(format!(
                "{failed} calls failed, more than {most}; the first: {first}"
            )));
        }
        Ok(())
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (good, bad) = (self.latencies.len(), self.failures.len());
        write!(f, "soak test successes: {good} / {} iterations", good + bad)?;
        let Some(last) = good.checked_sub(1) else {
            return Ok(());
        };
        let at = |percent: usize| self.latencies[last * percent / 100];
        write!(
            f,
            ", p50 {:?}, p90 {:?}, worst {:?}",
            at(50),
            at(90),
            at(100)
        )
    }
}
