//! The line between a resolver and its channel.
//!
//! ```text
//!              Updates                              Inbox
//!   resolver ─ send(resolution) ── one at a time ──► recv() ─ channel
//!            ◄─ Ok or Rejected ──── the verdict ─── Ack
//!            ◄─ requested() ─── many are one ────── request_resolution()
//! ```
//!
//! A resolution is out until the channel has passed judgement on it, so a resolver never runs ahead of
//! a slow policy; one that gives up waiting and sends another takes back what has not been heard. Requests never
//! wait: a thousand are one, and the resolver answers when it sees fit.

use std::future::{self, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use highball_core::{Letterbox, Mailbox, Rejected, mailbox};
use tokio::sync::{Notify, oneshot};

use crate::Resolution;

/// Makes the two ends of a line.
pub fn pair() -> (Updates, Inbox) {
    let (line, said) = mailbox();
    let requests = Arc::<Requests>::default();
    let updates = Updates {
        line,
        requests: requests.clone(),
    };
    (updates, Inbox { said, requests })
}

/// The resolver's end.
#[derive(Debug)]
pub struct Updates {
    /// Boxed: the line is there as long as the channel, and mostly empty.
    line: Letterbox<Box<(Resolution, Ack)>>,
    requests: Arc<Requests>,
}

impl Updates {
    /// Hands a resolution to the channel and waits for its verdict.
    ///
    /// Once the channel has no more use for the resolver this never returns: there is nobody to tell.
    /// The resolver is dropped at this await or the next.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the channel or its policy could not use the resolution, such as an error or an
    /// empty list of endpoints: back off, then resolve again.
    pub fn send(
        &self,
        resolution: Resolution,
    ) -> impl Future<Output = Result<(), Rejected>> + Send + '_ {
        let (verdict, judged) = oneshot::channel();
        // Boxed before the future begins, which is part of every resolver's for as long as it lives.
        let said = Box::new((resolution, Ack { verdict }));
        async move {
            if !self.line.replace(said) {
                return future::pending().await;
            }
            judged.await.map_or(Ok(()), Err)
        }
    }

    /// Waits until someone requests re-resolution, such as a policy whose connections fail.
    ///
    /// Requests that came while nobody waited are not lost; all of them are one. Cancel-safe.
    pub async fn requested(&self) {
        while !self.requests.pending.swap(false, Ordering::AcqRel) {
            self.requests.wake.notified().await;
        }
    }

    /// Waits for something else, which goes first; `None` if someone requests re-resolution before it comes.
    pub(crate) async fn unless_requested<T>(
        &self,
        mut event: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        let mut requested = pin!(self.requested());
        let first = poll_fn(|cx| match Pin::new(&mut event).poll(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => requested.as_mut().poll(cx).map(|()| None),
        });
        first.await
    }

    /// Whether the channel has dropped its end. Wakes the last task that asked when it does.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.line.poll_closed(cx)
    }

    /// A second handle, for the one who must speak if the first is lost in a panic.
    pub(crate) fn spare(&self) -> Self {
        Self {
            line: self.line.clone(),
            requests: self.requests.clone(),
        }
    }
}

/// The channel's end. Dropping it ends the resolver that [`supervise`](crate::supervise) runs.
#[derive(Debug)]
pub struct Inbox {
    said: Mailbox<Box<(Resolution, Ack)>>,
    requests: Arc<Requests>,
}

impl Inbox {
    /// The next resolution; `None` once the resolver has ended and will never say more.
    ///
    /// Cancel-safe: a resolution is either returned or still there.
    pub async fn recv(&mut self) -> Option<(Resolution, Ack)> {
        self.said.recv().await.map(|said| *said)
    }

    /// The same for a task that waits for other things as well.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<(Resolution, Ack)>>> {
        self.said.poll_recv(cx)
    }

    /// Requests re-resolution: a hint, which a resolver may answer late or not at all. Never waits.
    pub fn request_resolution(&self) {
        self.requests.pending.store(true, Ordering::Release);
        self.requests.wake.notify_one();
    }
}

/// The requests for re-resolution that the resolver has not heard of: none or some.
#[derive(Debug, Default)]
struct Requests {
    /// Set by every request, cleared by the resolver when it runs.
    pending: AtomicBool,
    wake: Notify,
}

/// What the channel owes for a resolution: a verdict. Dropping it accepts.
#[derive(Debug)]
#[must_use = "a resolver waits for the verdict; dropping it accepts"]
pub struct Ack {
    verdict: oneshot::Sender<Rejected>,
}

impl Ack {
    /// The resolution is in use.
    pub fn accept(self) {}

    /// The resolution cannot be used: the resolver should back off and try again.
    pub fn reject(self, rejected: Rejected) {
        // A resolver that was dropped meanwhile needs no verdict.
        let _ = self.verdict.send(rejected);
    }
}
