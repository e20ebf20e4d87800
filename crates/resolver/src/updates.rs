//! The line between a resolver and its channel.
//!
//! ```text
//!              Updates                              Inbox
//!   resolver ─ send(resolution) ── one at a time ──► recv() ─ channel
//!            ◄─ Ok or Rejected ──── the verdict ─── Ack
//!            ◄─ requested() ─── many hints, one ─── request_resolution()
//! ```
//!
//! A resolution is out until the channel has passed judgement on it, so a resolver never runs ahead of
//! a slow policy. Hints never wait: a thousand of them are one, and the resolver may be late to hear it.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use highball_core::Rejected;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::Resolution;

/// Makes the two ends of a line.
pub fn pair() -> (Updates, Inbox) {
    let (sender, receiver) = mpsc::channel(1);
    let wanted = Arc::<Wanted>::default();
    let updates = Updates {
        sender,
        wanted: wanted.clone(),
    };
    (updates, Inbox { receiver, wanted })
}

/// The resolver's end.
#[derive(Debug)]
pub struct Updates {
    sender: mpsc::Sender<(Resolution, Ack)>,
    wanted: Arc<Wanted>,
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
    pub async fn send(&self, resolution: Resolution) -> Result<(), Rejected> {
        let (verdict, judged) = oneshot::channel();
        if self
            .sender
            .send((resolution, Ack { verdict }))
            .await
            .is_err()
        {
            return future::pending().await;
        }
        judged.await.map_or(Ok(()), Err)
    }

    /// Waits until someone wants fresh endpoints, such as a policy whose connections fail.
    ///
    /// A hint that came while nobody waited is not lost, however many came. Cancel-safe.
    pub async fn requested(&self) {
        while !self.wanted.hint.swap(false, Ordering::AcqRel) {
            self.wanted.wake.notified().await;
        }
    }

    /// Waits until the channel has dropped its end.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// A second handle, for the one who must speak if the first is lost in a panic.
    pub(crate) fn spare(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            wanted: self.wanted.clone(),
        }
    }
}

/// The channel's end. Dropping it ends the resolver that [`supervise`](crate::supervise) runs.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<(Resolution, Ack)>,
    wanted: Arc<Wanted>,
}

impl Inbox {
    /// The next resolution; `None` once the resolver has ended and will never say more.
    ///
    /// Cancel-safe: a resolution is either returned or still there.
    pub async fn recv(&mut self) -> Option<(Resolution, Ack)> {
        self.receiver.recv().await
    }

    /// Hints that fresh endpoints are wanted. Never waits; many hints are one.
    pub fn request_resolution(&self) {
        self.wanted.hint.store(true, Ordering::Release);
        self.wanted.wake.notify_one();
    }
}

/// The wish for fresh endpoints: one, however many share it.
#[derive(Debug, Default)]
struct Wanted {
    /// Set by the first hint, taken by the resolver when it runs.
    hint: AtomicBool,
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
