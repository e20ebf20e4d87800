//! A stream of messages that is fed by hand.
//!
//! ```text
//!   application ── Sender::send ──► one place ──► Messages (a Stream) ──► call ──► flow control
//!               ◄── waits while the place is taken: back-pressure one can see
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

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
    let (sender, receiver) = mpsc::channel(1);
    (Sender(sender), Messages(receiver))
}

/// Feeds a stream of messages. The stream ends when all clones of this are dropped.
#[derive(Debug)]
pub struct Sender<T>(mpsc::Sender<T>);

/// A stream of messages that a [`Sender`] feeds.
#[derive(Debug)]
pub struct Messages<T>(mpsc::Receiver<T>);

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
        self.0
            .send(message)
            .await
            .map_err(|unsent| Unsent(unsent.0))
    }

    /// Waits until the call takes no more messages.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Stream for Messages<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
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
}
