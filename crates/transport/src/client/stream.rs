//! What the two halves of a call share: h2's sending handle, and the slot.
//!
//! h2 resets a stream when its last handle is dropped, so the sending handle lives here and not in the
//! sending half: whichever half ends the call can let go of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::shared::Shared;
use super::{SendStopped, Slot};

/// The largest first message that is queued behind the headers without waiting for capacity, so that
/// both leave in one write. Everything else waits.
const FIRST_FLIGHT: usize = 16 * 1024;

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

#[derive(Debug)]
struct Open {
    stream: SendStream<Bytes>,
    /// Nothing has been sent yet.
    is_fresh: bool,
    /// END_STREAM has been sent.
    is_finished: bool,
    /// Dropped last: the next stream opens when this one has let go.
    _slot: Slot,
}

impl StreamCell {
    pub(super) fn new(slot: Slot, id: u32, stream: SendStream<Bytes>) -> Self {
        Self {
            shared: Arc::clone(&slot.shared),
            id,
            sending: Mutex::new(Sending {
                open: Some(Open {
                    stream,
                    is_fresh: true,
                    is_finished: false,
                    _slot: slot,
                }),
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
                let window = self.shared.facts.initial_window_size() as usize;
                open.poll_send(cx, framed, end, window.min(FIRST_FLIGHT))
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

    /// The server's part is over. With `reason`, tells it to send nothing more; in any case tells it if it
    /// still expects something from us. Frees the slot.
    pub(super) fn end(&self, reason: Option<Reason>) {
        let mut sending = self.sending();
        let Some(mut open) = sending.open.take() else {
            return;
        };
        match reason {
            Some(reason) => open.stream.send_reset(reason),
            None if !open.is_finished => open.stream.send_reset(Reason::NO_ERROR),
            None => {}
        }
        let waiting = sending.waiting.take();
        drop(sending);
        drop(open);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Nobody wants the answer. Lets go of the stream, which resets it unless it has ended.
    pub(super) fn abandon(&self) {
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

impl Open {
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
        self.stream.reserve_capacity(0);
        Poll::Ready(Ok(()))
    }

    /// Both questions in one place: in h2 they share one waker.
    fn poll_capacity(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<Result<usize, SendStopped>> {
        self.stream.reserve_capacity(wanted);
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(SendStopped));
            }
            let capacity = self.stream.capacity();
            if capacity > 0 {
                return Poll::Ready(Ok(capacity));
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
