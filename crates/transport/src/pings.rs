//! The PINGs of this end. h2 has room for one at a time: keepalive and the estimate of the path share it.

use std::task::{Context, Waker};

use h2::{Ping, PingPong};

/// Sends them. Takes h2's means to do so with the first, for they cost something in each of its turns.
#[derive(Debug, Default)]
pub(crate) struct Pings(Option<PingPong>);

impl Pings {
    /// Says whether a PING of its own leaves: while another is on its way, that one asks the same.
    ///
    /// h2 is to be polled next, by somebody who does not wait to be woken.
    pub(crate) fn send(&mut self, take: impl FnOnce() -> Option<PingPong>) -> bool {
        if self.0.is_none() {
            self.0 = take();
        }
        // The answer to the last makes room for this one.
        self.is_answered();
        let sent = self.0.as_mut().map(|pings| pings.send_ping(Ping::opaque()));
        matches!(sent, Some(Ok(())))
    }

    /// Whether an answer has come that had not when this was asked last. Wakes nobody: to be asked after
    /// h2 has been polled.
    pub(crate) fn is_answered(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let answer = self.0.as_mut().map(|pings| pings.poll_pong(&mut nobody));
        answer.is_some_and(|answer| answer.is_ready())
    }
}
