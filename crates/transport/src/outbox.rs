//! A stream of messages that is fed by hand.
//!
//! ```text
//!   application ── Sender::send ──► one place ──► Messages (a Stream) ──► call ──► flow control
//!               ◄── waits while the place is taken: back-pressure one can see
//! ```
//!
//! The place is made by hand, because a stream on which nothing happens should be small: tokio's channel sets
//! room for 32 messages aside, and takes 1.5 KB for what is 200 bytes here.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tokio::sync::{Notify, Semaphore};

/// Makes a stream of messages and the handle that feeds it, for either end of a streaming call.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::StreamExt as _;
///
/// let (sender, mut messages) = highball_transport::messages();
/// tokio::spawn(async move {
///     for number in 1..=3 {
///         sender.send(number).await.expect("somebody reads");
///     }
/// });
/// assert_eq!(messages.by_ref().collect::<Vec<_>>().await, [1, 2, 3]);
/// # }
/// ```
pub fn messages<T>() -> (Sender<T>, Messages<T>) {
    let place = Arc::new(Place {
        free: Semaphore::new(1),
        closed: Notify::new(),
        state: Mutex::new(State {
            message: None,
            reader: Reader::Away,
            senders: 1,
        }),
    });
    (Sender(Arc::clone(&place)), Messages(place))
}

/// Feeds a stream of messages. The stream ends when all clones of this are dropped.
pub struct Sender<T>(Arc<Place<T>>);

/// A stream of messages that a [`Sender`] feeds.
pub struct Messages<T>(Arc<Place<T>>);

/// What the two ends share.
struct Place<T> {
    /// The right to put a message down: one, while there is none. Closed when nobody reads any more.
    free: Semaphore,
    /// Tells those who wait for nothing else that nobody reads any more.
    closed: Notify,
    /// Locked for a look or a change, never while anybody is woken.
    state: Mutex<State<T>>,
}

struct State<T> {
    message: Option<T>,
    reader: Reader,
    senders: usize,
}

/// Who takes the messages.
enum Reader {
    /// Does something else, and will look again.
    Away,
    Waiting(Waker),
    Gone,
}

impl<T> Place<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Whom to wake, if the reader waits.
    fn waiting(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.reader, Reader::Away) {
            Reader::Waiting(waker) => Some(waker),
            other => {
                self.reader = other;
                None
            }
        }
    }
}

/// The call takes no more messages; this one comes back. Why, the other half of the call knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call takes no more messages")]
pub struct Unsent<T>(pub T);

impl<T> Sender<T> {
    /// Sends a message. Waits until the one before it has left: at most one is on its way, so a slow peer
    /// is felt here. Cancel-safe: a message is either sent or dropped with the future.
    ///
    /// # Errors
    ///
    /// [`Unsent`] when the call has ended.
    pub async fn send(&self, message: T) -> Result<(), Unsent<T>> {
        let Ok(right) = self.0.free.acquire().await else {
            return Err(Unsent(message));
        };
        let mut state = self.0.state();
        if let Reader::Gone = state.reader {
            return Err(Unsent(message));
        }
        // The reader gives it back with the next look that finds the message.
        right.forget();
        state.message = Some(message);
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Waits until the call takes no more messages.
    pub async fn closed(&self) {
        // Made before the look, it hears of what happens after it.
        let closed = self.0.closed.notified();
        let is_closed = matches!(self.0.state().reader, Reader::Gone);
        if !is_closed {
            closed.await;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.senders -= 1;
        let waiting = match state.senders {
            0 => state.waiting(),
            _ => None,
        };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Stream for Messages<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.state();
        if let Some(message) = state.message.take() {
            drop(state);
            self.0.free.add_permits(1);
            return Poll::Ready(Some(message));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        match &state.reader {
            Reader::Waiting(known) if known.will_wake(cx.waker()) => {}
            _ => state.reader = Reader::Waiting(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Drop for Messages<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reader = Reader::Gone;
        let unread = state.message.take();
        drop(state);
        drop(unread);
        self.0.free.close();
        self.0.closed.notify_waiters();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Messages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_holds_the_sender_up() {
        let (sender, mut messages) = messages();
        sender.send(1).await.unwrap();
        let second = tokio::spawn(async move { sender.send(2).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        assert_eq!(messages.next().await, Some(1));
        second.await.unwrap().unwrap();
        assert_eq!(messages.next().await, Some(2));
        assert_eq!(messages.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_nobody_wants_comes_back() {
        let (sender, messages) = messages();
        drop(messages);
        sender.closed().await;
        assert_eq!(sender.send("x").await, Err(Unsent("x")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_away_sends_home_whoever_waits() {
        let (sender, messages) = messages();
        sender.send("first").await.unwrap();
        let waits = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send("second").await }
        });
        let watches = tokio::spawn(async move { sender.closed().await });
        tokio::task::yield_now().await;
        drop(messages);
        assert_eq!(waits.await.unwrap(), Err(Unsent("second")));
        watches.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_ends_with_its_last_sender() {
        let (sender, mut messages) = messages();
        let other = sender.clone();
        let reads = tokio::spawn(async move { (messages.next().await, messages.next().await) });
        tokio::task::yield_now().await;
        drop(sender);
        tokio::task::yield_now().await;
        assert!(!reads.is_finished());
        other.send(1).await.unwrap();
        drop(other);
        assert_eq!(reads.await.unwrap(), (Some(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_that_is_given_up_leaves_the_place_to_others() {
        let (sender, mut messages) = messages();
        sender.send(1).await.unwrap();
        let given_up = tokio::time::timeout(std::time::Duration::from_secs(1), sender.send(2));
        assert!(given_up.await.is_err());
        assert_eq!(messages.next().await, Some(1));
        sender.send(3).await.unwrap();
        assert_eq!(messages.next().await, Some(3));
    }
}
