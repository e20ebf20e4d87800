//! Who watches the attempts at a call. For calls that nobody watches, a null pointer.
//!
//! An [`Observer`] belongs to a call, and makes a [`Listener`] for each attempt at it. The listener goes where the
//! attempt goes, to another task perhaps, and is told that the attempt was cancelled when it is dropped before the
//! end.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use highball_core::explanation::Seen;
use highball_core::{MetadataMap, Peer, Status};

use super::attempt_event::{AttemptEnd, AttemptEvent, AttemptInfo, Pushback};

type Observer = Arc<dyn Fn(AttemptInfo) -> Listener + Send + Sync>;
type Listener = Box<dyn FnMut(AttemptEvent) + Send>;

/// Those who watch a call. A pointer, for requests are moved about.
#[derive(Clone, Default)]
pub(super) struct Observers(Option<Arc<Vec<Observer>>>);

impl Observers {
    /// One more, after those that are there.
    pub(super) fn add<L>(&mut self, observer: impl Fn(AttemptInfo) -> L + Send + Sync + 'static)
    where
        L: FnMut(AttemptEvent) + Send + 'static,
    {
        let observer: Observer = Arc::new(move |info| Box::new(observer(info)));
        Arc::make_mut(self.0.get_or_insert_default()).push(observer);
    }

    /// An attempt begins.
    pub(super) fn begin(&self, info: AttemptInfo) -> Observed {
        Observed(self.0.as_ref().map(|observers| listeners(observers, info)))
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observers = self.0.as_ref().map_or(0, |observers| observers.len());
        f.debug_tuple("Observers").field(&observers).finish()
    }
}

#[cold]
fn listeners(observers: &[Observer], info: AttemptInfo) -> Box<Listeners> {
    let begun = observers
        .iter()
        .filter_map(|observer| contained(|| observer(info)));
    Box::new(Listeners {
        all: begun.collect(),
        is_committed: false,
    })
}

/// An attempt, as far as somebody watches it.
#[derive(Default)]
pub(super) struct Observed(Option<Box<Listeners>>);

impl Observed {
    pub(super) fn picked(&mut self, server: &Peer) {
        if let Some(listeners) = &mut self.0 {
            listeners.tell(AttemptEvent::Picked(server.clone()));
        }
    }

    pub(super) fn sent(&mut self) {
        if let Some(listeners) = &mut self.0 {
            listeners.tell(AttemptEvent::Sent);
        }
    }

    /// The response has begun, or ended well without having any headers: no other attempt is made.
    pub(super) fn answered(&mut self, headers: Option<&MetadataMap>) {
        if let Some(listeners) = &mut self.0 {
            if let Some(headers) = headers {
                listeners.tell(AttemptEvent::Answered(headers.clone()));
            }
            listeners.committed();
        }
    }

    /// No other attempt is made, whatever becomes of this one.
    pub(super) fn committed(&mut self) {
        if let Some(listeners) = &mut self.0 {
            listeners.committed();
        }
    }

    /// Whether somebody would like to hear of the commitment, and has not.
    pub(super) fn awaits_commitment(&self) -> bool {
        let listeners = self.0.as_ref();
        listeners.is_some_and(|listeners| !listeners.is_committed)
    }

    pub(super) fn succeeded(self, trailers: &MetadataMap) {
        if let Some(mut listeners) = self.0 {
            let pushback = Pushback::Silent;
            listeners.ended(Ok(trailers.clone()), Seen::Answered, pushback);
        }
    }

    pub(super) fn failed(self, status: &Status, seen: Seen) {
        if let Some(mut listeners) = self.0 {
            let pushback = Pushback::read(status.metadata());
            listeners.ended(Err(status.clone()), seen, pushback);
        }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = self.0.as_ref().map_or(0, |listeners| listeners.all.len());
        f.debug_tuple("Observed").field(&listeners).finish()
    }
}

/// Those who listen to one attempt: none after its end.
struct Listeners {
    all: Vec<Listener>,
    is_committed: bool,
}

impl Listeners {
    fn committed(&mut self) {
        if !self.is_committed {
            self.is_committed = true;
            self.tell(AttemptEvent::Committed);
        }
    }

    fn ended(&mut self, outcome: Result<MetadataMap, Status>, seen: Seen, pushback: Pushback) {
        self.tell(AttemptEvent::Ended(AttemptEnd {
            outcome,
            seen,
            pushback,
        }));
        self.all.clear();
    }

    /// Who panics hears of nothing more.
    #[cold]
    fn tell(&mut self, event: AttemptEvent) {
        self.all
            .retain_mut(|listener| contained(|| listener(event.clone())).is_some());
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.tell(AttemptEvent::Cancelled);
    }
}

/// Runs an observer's code, also while its call unwinds. Unwind safe: what has panicked is dropped.
fn contained<T>(code: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(code));
    result
        .inspect_err(|_| tracing::error!(target: "channel", "an observer of attempts panicked"))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const INFO: AttemptInfo = AttemptInfo {
        previous_attempts: 0,
        is_transparent_retry: false,
        is_hedged: false,
    };

    /// An attempt, and what its listener hears.
    fn observed() -> (Observed, mpsc::Receiver<AttemptEvent>) {
        let (sender, heard) = mpsc::channel();
        let mut observers = Observers::default();
        observers.add(move |_| {
            let sender = sender.clone();
            move |event| sender.send(event).unwrap()
        });
        (observers.begin(INFO), heard)
    }

    #[test]
    fn nobody_listens_to_most_calls_and_they_pay_for_a_pointer() {
        assert!(Observers::default().begin(INFO).0.is_none());
        assert_eq!(size_of::<Observers>(), size_of::<usize>());
        assert_eq!(size_of::<Observed>(), size_of::<usize>());
    }

    #[test]
    fn a_commitment_is_told_once_and_nothing_follows_the_end() {
        let (mut attempt, heard) = observed();
        assert!(attempt.awaits_commitment());
        attempt.committed();
        assert!(!attempt.awaits_commitment());
        attempt.answered(None);
        attempt.succeeded(&MetadataMap::new());
        let end = AttemptEnd {
            outcome: Ok(MetadataMap::new()),
            seen: Seen::Answered,
            pushback: Pushback::Silent,
        };
        let heard: Vec<_> = heard.iter().collect();
        assert_eq!(heard, [AttemptEvent::Committed, AttemptEvent::Ended(end)]);
    }

    #[test]
    fn an_attempt_that_is_dropped_was_cancelled() {
        let (attempt, heard) = observed();
        drop(attempt);
        assert_eq!(heard.iter().collect::<Vec<_>>(), [AttemptEvent::Cancelled]);
    }

    #[test]
    fn who_panics_hears_of_nothing_more_and_the_others_do() {
        let (sender, heard) = mpsc::channel();
        let mut observers = Observers::default();
        observers.add(|_| -> fn(AttemptEvent) { panic!("at the beginning") });
        let bad = sender.clone();
        observers.add(move |_| {
            let bad = bad.clone();
            move |event| {
                bad.send(("bad", event)).unwrap();
                panic!("at the first event");
            }
        });
        observers.add(move |_| {
            let good = sender.clone();
            move |event| good.send(("good", event)).unwrap()
        });
        let mut attempt = observers.begin(INFO);
        attempt.sent();
        drop((attempt, observers));
        let heard: Vec<_> = heard.iter().collect();
        let sent = AttemptEvent::Sent;
        let cancelled = AttemptEvent::Cancelled;
        assert_eq!(
            heard,
            [("bad", sent.clone()), ("good", sent), ("good", cancelled)]
        );
    }
}
