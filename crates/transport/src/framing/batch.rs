//! Messages that are ready at the same time: framed into one buffer, they travel in one DATA frame.
//!
//! Each DATA frame costs both ends far more than a small message does. A stream that always has the next
//! message ready is sent in frames of 32 KiB; one that has not is sent message by message, at once.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

/// How much is gathered before it is sent. A message longer than that travels alone.
const FULL: usize = 32 * 1024;

/// What a stream had ready.
#[derive(Debug)]
pub struct Batch<E> {
    /// One or more messages, framed; empty only if the stream has ended.
    pub framed: Bytes,
    /// How the stream ended, if it has: well, or with what is wrong with the message that follows.
    pub end: Option<Result<(), E>>,
}

impl<E> Batch<E> {
    /// Takes what `source` has ready, up to 32 KiB and the message that goes beyond it; pending if that is
    /// nothing. `put` frames an item, as with [`encode_into`](super::encode_into).
    ///
    /// The source is not polled again after its end, nor after an error of `put`. Nothing is lost when the
    /// answer is pending.
    ///
    /// ```
    /// # use std::pin::pin;
    /// # use std::task::{Context, Poll, Waker};
    /// # let mut cx = Context::from_waker(Waker::noop());
    /// use bytes::BufMut as _;
    /// use highball_transport::framing::{self, Batch};
    ///
    /// let source = pin!(futures::stream::iter([b"a", b"b"]));
    /// let batch = Batch::poll(source, &mut cx, |message, buffer| {
    ///     framing::encode_into(buffer, 1, 100, |buffer| buffer.put_slice(message))
    /// });
    /// let Poll::Ready(batch) = batch else { panic!() };
    /// assert_eq!(batch.framed[..], [0, 0, 0, 0, 1, b'a', 0, 0, 0, 0, 1, b'b']);
    /// assert_eq!(batch.end, Some(Ok(())));
    /// ```
    pub fn poll<S>(
        mut source: Pin<&mut S>,
        cx: &mut Context<'_>,
        mut put: impl FnMut(S::Item, &mut BytesMut) -> Result<(), E>,
    ) -> Poll<Self>
    where
        S: Stream + ?Sized,
    {
        let mut framed = BytesMut::new();
        let end = loop {
            match source.as_mut().poll_next(cx) {
                Poll::Ready(Some(message)) => {
                    if let Err(error) = put(message, &mut framed) {
                        break Some(Err(error));
                    }
                    if framed.len() >= FULL {
                        // A stream that knows its end spares a frame that says nothing else.
                        let is_last = source.size_hint() == (0, Some(0));
                        break is_last.then_some(Ok(()));
                    }
                }
                Poll::Ready(None) => break Some(Ok(())),
                Poll::Pending if framed.is_empty() => return Poll::Pending,
                Poll::Pending => break None,
            }
        };
        let framed = framed.freeze();
        Poll::Ready(Self { framed, end })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use bytes::BufMut as _;
    use futures::StreamExt as _;
    use futures::stream;

    use super::*;
    use crate::framing::{FramingError, encode_into};

    type Polled = Poll<Batch<FramingError>>;

    /// Frames messages of these sizes, at most 100 KiB each.
    fn poll<S: Stream<Item = usize> + ?Sized>(source: Pin<&mut S>) -> Polled {
        let mut cx = Context::from_waker(Waker::noop());
        Batch::poll(source, &mut cx, |size, buffer| {
            let write = |buffer: &mut BytesMut| buffer.put_bytes(b'x', size);
            encode_into(buffer, size, 100 * 1024, write)
        })
    }

    fn ready(polled: Polled) -> (usize, Option<Result<(), FramingError>>) {
        match polled {
            Poll::Ready(batch) => (batch.framed.len(), batch.end),
            Poll::Pending => panic!("pending"),
        }
    }

    #[test]
    fn what_is_ready_travels_together_and_nothing_is_waited_for() {
        let mut source = pin!(stream::iter([1, 2, 3]).chain(stream::pending()));
        assert_eq!(ready(poll(source.as_mut())), (6 + 7 + 8, None));
        assert!(poll(source).is_pending());
    }

    #[test]
    fn a_full_batch_leaves_the_rest_for_the_next() {
        let mut source = pin!(stream::iter([1024; 40]).filter(|_| async { true }));
        let message = 1024 + 5;
        assert_eq!(ready(poll(source.as_mut())), (32 * message, None));
        assert_eq!(ready(poll(source)), (8 * message, Some(Ok(()))));
    }

    #[test]
    fn the_last_message_says_so_itself_if_the_stream_knows() {
        let source = pin!(stream::iter([64 * 1024]));
        assert_eq!(ready(poll(source)), (64 * 1024 + 5, Some(Ok(()))));
    }

    #[test]
    fn an_empty_stream_ends_with_nothing() {
        assert_eq!(ready(poll(pin!(stream::iter([])))), (0, Some(Ok(()))));
    }

    #[test]
    fn a_message_that_is_refused_ends_the_batch_behind_the_others() {
        let source = pin!(stream::iter([7, 200 * 1024, 7]));
        let (size, end) = ready(poll(source));
        assert_eq!(size, 12);
        assert!(matches!(
            end,
            Some(Err(FramingError::TooLargeToSend { .. }))
        ));
    }
}
