//! The one way from a call into the control plane.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Path;

/// Where a [`Waker`] sends its signal: the driver of a channel implements this with its inbox.
pub trait Wake: Send + Sync + 'static {
    /// A picker or a completion hook of the policy at `owner` wants
    /// [`Event::Woken`](crate::Event::Woken) delivered there. Called on any thread, from within a call:
    /// must not block.
    fn wake(&self, owner: Path);
}

/// Lets a picker or a completion hook, on any thread, wake the policy it belongs to.
///
/// All wakers of a policy are one: until [`Event::Woken`](crate::Event::Woken) has been delivered, waking
/// again does nothing. Once the policy is gone, waking does nothing either.
#[derive(Clone)]
pub struct Waker(Arc<Signal>);

pub(crate) struct Signal {
    owner: Path,
    /// Set from the first wake until the event is delivered.
    pending: AtomicBool,
    wake: Arc<dyn Wake>,
}

impl Waker {
    /// Wakes the policy. Cheap: one atomic operation if it has been woken already.
    pub fn wake(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            self.0.wake.wake(self.0.owner.clone());
        }
    }

    pub(crate) fn new(owner: Path, wake: Arc<dyn Wake>) -> Self {
        Self(Arc::new(Signal {
            owner,
            pending: AtomicBool::new(false),
            wake,
        }))
    }

    pub(crate) fn of(signal: Arc<Signal>) -> Self {
        Self(signal)
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.0
    }
}

impl Signal {
    /// The event is about to be delivered: what is signalled from here on needs another.
    pub(crate) fn rearm(&self) {
        // A swap, not a store: it also sees what was written before wakes that came second.
        self.pending.swap(false, Ordering::AcqRel);
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waker({})", self.0.owner)
    }
}
