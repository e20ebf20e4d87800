//! The sending half of a call.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::stream::StreamCell;

/// Sends the messages of one call. Owned by one task.
///
/// Dropping it unfinished does not end the call: the server goes on waiting for messages until the
/// [`RecvHalf`](super::RecvHalf) is dropped too.
pub struct SendHalf {
    cell: Arc<StreamCell>,
}

/// The stream takes no more messages. Why, the receiving half knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call takes no more messages; its status is at the receiving half")]
pub struct SendStopped;

impl SendHalf {
    pub(super) fn new(cell: Arc<StreamCell>) -> Self {
        Self { cell }
    }

    /// Sends one message (or several), already framed; `end` says that it is the last.
    ///
    /// Waits until HTTP/2's flow control has let go of all of it. When cancelled, an unknown part of the
    /// message may have left: the call is then good for nothing but to be dropped.
    ///
    /// # Errors
    ///
    /// [`SendStopped`] when the call has ended or `end` was said before.
    pub async fn send(&mut self, mut framed: Bytes, end: bool) -> Result<(), SendStopped> {
        let mut waiting = Waiting(None);
        poll_fn(|cx| {
            let polled = self.cell.poll_send(cx, &mut framed, end);
            waiting.0 = polled.is_pending().then_some(&*self.cell);
            polled
        })
        .await
    }

    /// Like [`send`](Self::send), for a hand-written future: `framed` keeps what has not left yet. A future
    /// that gives up amid a message leaves the capacity it has asked for to the call, until the call ends.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        framed: &mut Bytes,
        end: bool,
    ) -> Poll<Result<(), SendStopped>> {
        self.cell.poll_send(cx, framed, end)
    }

    /// Says that no more messages follow. Does nothing if that was said before, or if the call has ended.
    pub fn finish(&mut self) {
        self.cell.finish_sending();
    }

    /// Waits until the call takes no more messages, whoever ended it. Cancel-safe.
    pub async fn stopped(&mut self) {
        poll_fn(|cx| self.poll_stopped(cx)).await;
    }

    /// Like [`stopped`](Self::stopped), for a hand-written future.
    pub fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.cell.poll_stopped(cx)
    }
}

/// A send that waits for capacity; if it is given up, so is the capacity that was promised to it.
struct Waiting<'a>(Option<&'a StreamCell>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.0 {
            cell.unreserve();
        }
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf")
            .field("stream", &self.cell.id)
            .finish_non_exhaustive()
    }
}
