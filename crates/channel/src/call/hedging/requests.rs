//! What an application has to say in a call, message by message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::Status;

/// Framed messages, or the status of one that fails the call.
pub(in crate::call) type BoxMessages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The requests of a call that have not been asked for yet.
pub(in crate::call) struct Requests {
    messages: BoxMessages,
    is_exhausted: bool,
}

impl Requests {
    pub(super) fn new(messages: BoxMessages) -> Self {
        Self {
            messages,
            is_exhausted: false,
        }
    }

    /// Whether there are no more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// The next; `None` if there are no more, which is known with the last message where that says so.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Status>> {
        let message = ready!(self.messages.as_mut().poll_next(cx)).transpose()?;
        self.is_exhausted = message.is_none() || self.messages.size_hint() == (0, Some(0));
        Poll::Ready(Ok(message))
    }

    /// What is left, and whether that is nothing.
    pub(in crate::call) fn into_parts(self) -> (BoxMessages, bool) {
        (self.messages, self.is_exhausted)
    }
}
