//! The completion hook: how a picker learns what became of the calls it placed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use highball_core::{LoadReport, MetadataMap, Status};

/// What became of an attempt, as told to a [`Done`] hook.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// How the attempt ended. `None`: it came to no end of its own, because the chosen subchannel had no
    /// connection any more or because the caller dropped the call.
    pub result: Option<Result<(), Status>>,
    /// The trailing metadata, if any came.
    pub trailers: MetadataMap,
    /// How loaded the server is, if it says so in the trailers and says it well (gRFC A51).
    pub load: Option<Arc<LoadReport>>,
    /// Whether a stream was opened for it.
    pub bytes_sent: bool,
    /// Whether anything came back on it.
    pub bytes_received: bool,
}

impl Outcome {
    /// The outcome of an attempt that ended with this result.
    pub fn ended(result: Result<(), Status>) -> Self {
        Self {
            result: Some(result),
            ..Self::default()
        }
    }

    /// The same outcome with these trailers, and with the load report that they hold.
    #[must_use]
    pub fn with_trailers(mut self, trailers: MetadataMap) -> Self {
        let load = LoadReport::from_trailers(&trailers).unwrap_or_else(|error| {
            tracing::debug!(target: "balancer", %error, "load report ignored");
            None
        });
        self.load = load.map(Arc::new);
        self.trailers = trailers;
        self
    }

    /// Whether the attempt ended, and not well.
    pub fn is_failure(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }
}

/// A hook that runs exactly once: when the attempt ends, or with a default [`Outcome`] when it is dropped.
///
/// It runs on the task of the call: it must not block. If it panics, nobody but the log hears of it.
pub struct Done(Option<Hook>);

type Hook = Box<dyn FnOnce(Outcome) + Send>;

impl Done {
    /// A hook that calls `hook`.
    pub fn new(hook: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }

    /// Runs the hook.
    pub fn fire(mut self, outcome: Outcome) {
        self.run(outcome);
    }

    fn run(&mut self, outcome: Outcome) {
        let Some(hook) = self.0.take() else { return };
        // Unwind safe: the hook is gone after it has run. It may run while its call unwinds.
        if catch_unwind(AssertUnwindSafe(|| hook(outcome))).is_err() {
            tracing::error!(target: "balancer", "a completion hook panicked");
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.run(Outcome::default());
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn recording() -> (Done, mpsc::Receiver<Outcome>) {
        let (sender, receiver) = mpsc::channel();
        (Done::new(move |o| sender.send(o).unwrap()), receiver)
    }

    #[test]
    fn it_fires_once_with_the_outcome() {
        let (done, outcomes) = recording();
        done.fire(Outcome::ended(Err(Status::unavailable("gone"))));
        let seen: Vec<_> = outcomes.iter().collect();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].is_failure());
    }

    #[test]
    fn a_dropped_hook_fires_with_no_result() {
        let (done, outcomes) = recording();
        drop(done);
        let seen: Vec<_> = outcomes.iter().collect();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].result, None);
        assert!(!seen[0].is_failure());
    }

    #[test]
    fn a_load_report_is_read_from_the_trailers_and_a_bad_one_is_none() {
        let report = LoadReport {
            eps: 3.0,
            ..LoadReport::default()
        };
        let mut trailers = MetadataMap::new();
        report.put_into(&mut trailers).unwrap();
        let outcome = Outcome::ended(Ok(())).with_trailers(trailers.clone());
        assert_eq!(outcome.load.as_deref(), Some(&report));
        assert_eq!(outcome.trailers, trailers);
        trailers.append_bin(LoadReport::TRAILER, b"").unwrap();
        let outcome = Outcome::ended(Ok(())).with_trailers(trailers.clone());
        assert_eq!((outcome.load, outcome.trailers), (None, trailers));
    }

    #[test]
    fn what_the_hook_holds_is_released_when_it_has_run() {
        let held = Arc::new(());
        let copy = held.clone();
        Done::new(move |_| drop(copy)).fire(Outcome::default());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
