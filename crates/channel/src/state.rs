//! The channel's state, as its handles see it.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};

use highball_core::ConnectivityState;
use tokio::sync::Notify;

/// A state that one writes and many wait for. Who waits sees the latest; those between may pass unseen.
#[derive(Debug)]
pub(crate) struct ChannelState {
    /// A place in [`STATES`].
    current: AtomicU8,
    changed: Notify,
}

const STATES: [ConnectivityState; 5] = [
    ConnectivityState::Idle,
    ConnectivityState::Connecting,
    ConnectivityState::Ready,
    ConnectivityState::TransientFailure,
    ConnectivityState::Shutdown,
];

impl ChannelState {
    /// IDLE, as every channel begins.
    pub(crate) fn idle() -> Self {
        Self {
            current: AtomicU8::new(ConnectivityState::Idle as u8),
            changed: Notify::new(),
        }
    }

    pub(crate) fn current(&self) -> ConnectivityState {
        STATES[usize::from(self.current.load(Ordering::Acquire))]
    }

    /// Sets the state, wakes whoever waits for another one, and returns the one before.
    pub(crate) fn replace(&self, state: ConnectivityState) -> ConnectivityState {
        let old = self.current.swap(state as u8, Ordering::AcqRel);
        if old != state as u8 {
            self.changed.notify_waiters();
        }
        STATES[usize::from(old)]
    }

    /// Waits for a state that is `wanted`, and returns it. Cancel-safe.
    pub(crate) async fn wait_for(
        &self,
        wanted: impl Fn(ConnectivityState) -> bool,
    ) -> ConnectivityState {
        loop {
            // In the line of those who wait before the look: a change behind it is not missed.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let state = self.current();
            if wanted(state) {
                return state;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_as_it_was_set() {
        let state = ChannelState::idle();
        let mut before = ConnectivityState::Idle;
        for next in STATES {
            assert_eq!(state.replace(next), before);
            assert_eq!(state.current(), next);
            before = next;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_the_state_that_is_wanted() {
        let state = ChannelState::idle();
        let ready = state.wait_for(|state| state == ConnectivityState::Ready);
        let changes = async {
            for next in [ConnectivityState::Connecting, ConnectivityState::Ready] {
                tokio::task::yield_now().await;
                state.replace(next);
            }
        };
        let (seen, ()) = tokio::join!(ready, changes);
        assert_eq!(seen, ConnectivityState::Ready);
    }
}
