//! The sending half of a call.

use bytes::Bytes;

/// Sends the messages of one call. Owned by one task.
///
/// Dropping it unfinished does not end the call; dropping the [`RecvHalf`](super::RecvHalf) does.
#[derive(Debug)]
pub struct SendHalf {}

/// The stream takes no more messages. Why, the receiving half knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has ended; its status is at the receiving half")]
pub struct SendStopped;

#[expect(clippy::todo, clippy::unused_async, reason = "signatures first")]
impl SendHalf {
    /// Sends one message, already framed; `end` says that it is the last.
    ///
    /// Waits until HTTP/2's flow control has let go of all of it but a bounded rest. When cancelled, an
    /// unknown part of the message may have left: the call is then good for nothing but to be dropped.
    ///
    /// # Errors
    ///
    /// [`SendStopped`] when the stream has ended or `end` was said before.
    pub async fn send(&mut self, framed: Bytes, end: bool) -> Result<(), SendStopped> {
        let _ = (framed, end);
        todo!()
    }

    /// Says that no more messages follow. Does nothing if that was said before.
    pub fn finish(&mut self) {
        todo!()
    }

    /// Waits until the stream takes no more messages, whoever ended it. Cancel-safe.
    pub async fn stopped(&mut self) {
        todo!()
    }
}
