//! What a call has streamed so far, kept for another attempt until the call is committed (gRFC A6).
//!
//! Two limits hold: one for the call, and one for all calls of its channel together. A message that would
//! exceed either is not kept: it commits the call to the attempt under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// What is kept of a call, in bytes, where the call does not say.
pub(super) const DEFAULT_CALL_LIMIT: usize = 256 * 1024;

/// What is kept of all calls of a channel.
const CHANNEL_LIMIT: usize = 16 * 1024 * 1024;

/// What a call may keep without asking its channel: the calls with one small request ask for nothing.
const UNCOUNTED: u32 = 4 * 1024;

/// The step in which a call asks for more.
const STEP: u32 = 16 * 1024;

/// What the calls of a channel may keep between them.
#[derive(Debug)]
pub(crate) struct ReplayBudget {
    /// In bytes.
    left: AtomicUsize,
}

impl ReplayBudget {
    fn take(&self, bytes: usize) -> bool {
        let taken = |left: usize| left.checked_sub(bytes);
        let updated = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        updated.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Default for ReplayBudget {
    fn default() -> Self {
        Self {
            left: AtomicUsize::new(CHANNEL_LIMIT),
        }
    }
}

/// The messages that a call has sent, as long as another attempt may need them. Small: parked streams that no
/// server has answered yet hold one each.
#[derive(Debug)]
pub(super) struct Replay {
    messages: Vec<Bytes>,
    /// Of all messages.
    bytes: u32,
    limit: u32,
    /// What the budget has granted.
    granted: u32,
    budget: Arc<ReplayBudget>,
}

impl Replay {
    /// For a call that keeps up to `limit` bytes.
    pub(super) fn new(limit: usize, budget: &Arc<ReplayBudget>) -> Self {
        Self {
            messages: Vec::new(),
            bytes: 0,
            limit: saturated(limit),
            granted: 0,
            budget: budget.clone(),
        }
    }

    /// What was sent, from the first message.
    pub(super) fn messages(&self) -> &[Bytes] {
        &self.messages
    }

    /// Keeps a framed message; `false` if a limit forbids it.
    pub(super) fn keep(&mut self, message: &Bytes) -> bool {
        let bytes = self.bytes.saturating_add(saturated(message.len()));
        if bytes > self.limit || !self.is_granted(bytes) {
            return false;
        }
        self.keep_beyond_the_limit(message);
        true
    }

    /// Keeps a message that the attempt it was meant for takes no more.
    pub(super) fn keep_beyond_the_limit(&mut self, message: &Bytes) {
        self.bytes = self.bytes.saturating_add(saturated(message.len()));
        self.messages.push(message.clone());
    }

    fn is_granted(&mut self, bytes: u32) -> bool {
        let lacking = bytes.saturating_sub(UNCOUNTED.saturating_add(self.granted));
        if lacking == 0 {
            return true;
        }
        let more = lacking.div_ceil(STEP).saturating_mul(STEP);
        let granted = self.budget.take(more as usize);
        if granted {
            self.granted = self.granted.saturating_add(more);
        }
        granted
    }
}

fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Drop for Replay {
    fn drop(&mut self) {
        if self.granted > 0 {
            self.budget.give_back(self.granted as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[test]
    fn a6_a_message_that_exceeds_the_limit_of_the_call_is_not_kept() {
        let budget = Arc::default();
        let mut replay = Replay::new(200, &budget);
        assert!(replay.keep(&message(100)) && replay.keep(&message(100)));
        assert!(!replay.keep(&message(1)));
        assert_eq!(replay.messages().len(), 2);
    }

    #[test]
    fn a6_the_calls_of_a_channel_share_a_limit_and_give_back_what_they_took() {
        let budget = Arc::default();
        let large = message(256 * 1024);
        let mut calls = Vec::new();
        loop {
            let mut replay = Replay::new(DEFAULT_CALL_LIMIT, &budget);
            if !replay.keep(&large) {
                assert!(replay.keep(&message(4 * 1024)), "small change");
                break;
            }
            calls.push(replay);
        }
        assert_eq!(
            calls.len(),
            64,
            "16 MiB for a channel, 256 KiB for each call"
        );
        let mut more = calls.swap_remove(0);
        assert!(!more.keep(&message(1)), "no more than that");
        drop((calls, more));
        assert_eq!(budget.left.load(Ordering::Relaxed), 16 * 1024 * 1024);
    }
}
