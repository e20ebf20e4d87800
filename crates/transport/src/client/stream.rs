//! What the two halves of a call share: h2's sending handle, and the slot.
//!
//! h2 resets a stream when its last handle is dropped, so the sending handle lives here and not in the
//! sending half: whichever half ends the call can let go of it. A request that has left whole needs no sending
//! half, and its stream is the receiving half's alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::shared::Shared;
use super::{SendStopped, Slot};

/// The largest first message that is queued behind the headers without waiting for capacity, so that
/// both leave in one write. Everything else waits.
const FIRST_FLIGHT: usize = 16 * 1024;

/// A stream, as the receiving half holds it.
#[derive(Debug)]
pub(super) enum Held {
    /// The request has been sent: there is no other half.
    Alone {
        shared: Arc<Shared>,
        id: u32,
        /// Gone when the call has ended.
        open: Option<Open>,
    },
    WithSender(Arc<StreamCell>),
}

impl Held {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Alone { shared, .. } => shared,
            Self::WithSender(cell) => &cell.shared,
        }
    }

    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Alone { id, .. } => *id,
            Self::WithSender(cell) => cell.id,
        }
    }

    /// The server's part is over. With `reason`, tells it to send nothing more; in any case tells it if it
    /// still expects something from us. Frees the slot.
    pub(super) fn end(&mut self, reason: Option<Reason>) {
        match self {
            Self::Alone { open, .. } => {
                if let Some(open) = open.take() {
                    open.end(reason);
                }
            }
            Self::WithSender(cell) => cell.end(reason),
        }
    }

    /// Nobody wants the answer. Lets go of the stream, which resets it unless it has ended.
    pub(super) fn abandon(&mut self) {
        match self {
            Self::Alone { open, .. } => drop(open.take()),
            Self::WithSender(cell) => cell.abandon(),
        }
    }
}

#[derive(Debug)]
pub(super) struct StreamCell {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u32,
    /// Both halves take it in turns, for a moment each: h2's handle is not shared otherwise.
    sending: Mutex<Sending>,
}

#[derive(Debug)]
struct Sending {
    /// Gone when the call has ended.
    open: Option<Open>,
    /// The sending half, while it waits.
    waiting: Option<Waker>,
}

/// h2's sending handle of a stream that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    stream: SendStream<Bytes>,
    /// Nothing has been sent yet.
    is_fresh: bool,
    /// END_STREAM has been sent.
    is_finished: bool,
    /// Dropped last: the next stream opens when this one has let go.
    _slot: Slot,
}

impl StreamCell {
    pub(super) fn new(shared: Arc<Shared>, id: u32, open: Open) -> Self {
        Self {
            shared,
            id,
            sending: Mutex::new(Sending {
                open: Some(open),
                waiting: None,
            }),
        }
    }

    /// Sends as much of `framed` as flow control lets through; ready when all of it is with h2.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        framed: &mut Bytes,
        end: bool,
    ) -> Poll<Result<(), SendStopped>> {
        let mut sending = self.sending();
        let polled = match &mut sending.open {
            Some(open) if !open.is_finished => {
                open.poll_send(cx, framed, end, first_flight(&self.shared))
            }
            _ => Poll::Ready(Err(SendStopped)),
        };
        if polled.is_pending() {
            sending.waiting = Some(cx.waker().clone());
        }
        polled
    }

    /// Gives back the capacity that was asked for and not used: others wait for it.
    pub(super) fn unreserve(&self) {
        if let Some(open) = &mut self.sending().open {
            open.stream.reserve_capacity(0);
        }
    }

    /// Sends END_STREAM by itself, if it has not been sent.
    pub(super) fn finish_sending(&self) {
        if let Some(open) = &mut self.sending().open
            && !open.is_finished
        {
            // An error says that the stream has ended, which the receiving half knows better.
            let _ = open.stream.send_data(Bytes::new(), true);
            open.is_finished = true;
        }
    }

    /// Ready when no more can be sent, whoever ended the stream.
    pub(super) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut sending = self.sending();
        match &mut sending.open {
            Some(open) if !open.is_finished => {
                if open.stream.poll_reset(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            _ => return Poll::Ready(()),
        }
        sending.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn end(&self, reason: Option<Reason>) {
        let mut sending = self.sending();
        let Some(open) = sending.open.take() else {
            return;
        };
        let waiting = sending.waiting.take();
        drop(sending);
        open.end(reason);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn abandon(&self) {
        let mut sending = self.sending();
        let open = sending.open.take();
        let waiting = sending.waiting.take();
        drop(sending);
        drop(open);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a first message may be that does not wait for capacity.
fn first_flight(shared: &Shared) -> usize {
    FIRST_FLIGHT.min(shared.facts.initial_window_size() as usize)
}

impl Open {
    pub(super) fn new(stream: SendStream<Bytes>, slot: Slot) -> Self {
        Self {
            stream,
            is_fresh: true,
            is_finished: false,
            _slot: slot,
        }
    }

    /// Sends all of a request right behind its headers, if it need not wait; otherwise leaves it.
    pub(super) fn send_whole(&mut self, framed: &mut Bytes, shared: &Shared) -> bool {
        let fits = framed.len() <= first_flight(shared);
        if fits {
            self.is_fresh = false;
            // An error says that the stream has ended, which the receiving half knows better.
            let _ = self.send_data(std::mem::take(framed), true);
        }
        fits
    }

    fn end(mut self, reason: Option<Reason>) {
        match reason {
            Some(reason) => self.stream.send_reset(reason),
            None if !self.is_finished => self.stream.send_reset(Reason::NO_ERROR),
            None => {}
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        framed: &mut Bytes,
        end: bool,
        first_flight: usize,
    ) -> Poll<Result<(), SendStopped>> {
        let fits = std::mem::replace(&mut self.is_fresh, false) && framed.len() <= first_flight;
        if fits || framed.is_empty() {
            return Poll::Ready(self.send_data(std::mem::take(framed), end));
        }
        while !framed.is_empty() {
            let capacity = ready!(self.poll_capacity(cx, framed.len()))?;
            let piece = framed.split_to(capacity.min(framed.len()));
            self.send_data(piece, end && framed.is_empty())?;
        }
        Poll::Ready(Ok(()))
    }

    /// How much may be sent at once, of what is wanted. If that is nothing, both questions in one place: in h2 they
    /// share one waker.
    fn poll_capacity(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<Result<usize, SendStopped>> {
        self.stream.reserve_capacity(wanted);
        loop {
            let capacity = self.stream.capacity();
            if capacity > 0 {
                return Poll::Ready(Ok(capacity));
            }
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(SendStopped));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(SendStopped)),
            }
        }
    }

    fn send_data(&mut self, data: Bytes, end: bool) -> Result<(), SendStopped> {
        self.is_finished = end;
        self.stream
            .send_data(data, end)
            .map_err(|_stream_has_ended| SendStopped)
    }
}
