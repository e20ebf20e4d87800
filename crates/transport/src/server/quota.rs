//! How many handlers one connection runs: a place is taken before a stream is accepted and given back
//! when its handler is gone, not when the stream is. A client that opens and resets streams in bursts
//! gets no more handlers than it may have streams.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The places of one connection. One task takes them, any may give them back.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    limit: u32,
    /// Guards the count and the waiter together, so that no place given back goes unseen.
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    taken: u32,
    waiting: Option<Waker>,
}

/// A place. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    state: Arc<Mutex<State>>,
}

impl Quota {
    pub(super) fn new(limit: u32) -> Self {
        let taken = 0;
        let waiting = None;
        Self {
            limit,
            state: Arc::new(Mutex::new(State { taken, waiting })),
        }
    }

    /// A place, once there is one; wakes the last that asked.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Permit> {
        let mut state = lock(&self.state);
        if state.taken < self.limit {
            state.taken += 1;
            let state = Arc::clone(&self.state);
            return Poll::Ready(Permit { state });
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when all places are free; wakes the last that asked.
    pub(super) fn poll_unused(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.taken == 0 {
            return Poll::Ready(());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.state);
            state.taken -= 1;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(quota: &Quota, cx: &Context<'_>) -> Option<Permit> {
        match quota.poll_take(cx) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_run_out_and_come_back_with_a_wake_up() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let quota = Quota::new(2);
        assert!(quota.poll_unused(&cx).is_ready());
        let first = take(&quota, &cx).unwrap();
        let second = take(&quota, &cx).unwrap();
        assert!(take(&quota, &cx).is_none());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let third = take(&quota, &cx).unwrap();
        assert!(quota.poll_unused(&cx).is_pending());
        drop((second, third));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(quota.poll_unused(&cx).is_ready());
    }
}
