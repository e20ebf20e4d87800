//! One attempt of a race: from the search for a connection to the first word of the server.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use highball_core::MetadataMap;
use highball_core::explanation::Seen;
use highball_transport::client::{Connection, Ended, SendHalf};

use crate::call::attempt::{Attempt, Unopened};
use crate::call::{AttemptInfo, Call, Journal, Timer};

/// An attempt that has not been answered. Dropping it cancels it: RST_STREAM(CANCEL).
pub(super) struct Racer {
    pub(super) info: AttemptInfo,
    state: State,
}

enum State {
    Opening(BoxFuture<'static, Opened>),
    Open(Box<Stream>),
}

/// A stream, or why there is none.
type Opened = Result<(SendHalf, Attempt), (Unopened, Journal)>;

/// The stream of an attempt, and how far its request has come.
pub(super) struct Stream {
    pub(super) half: SendHalf,
    pub(super) attempt: Attempt,
    /// How many of the messages that are kept it was sent, or is being sent.
    pub(super) begun: usize,
    /// What has not left yet of the last of them.
    pub(super) leaving: Bytes,
    /// The server takes no more messages; its answer is on the way.
    is_stopped: bool,
}

/// What an attempt comes to.
pub(super) enum Event {
    Opened,
    /// The server has answered: with its headers, or with a good end and none.
    Answered(Option<MetadataMap>),
    /// With what it has been through.
    Unopened(Unopened, Journal),
    Ended(Ended),
}

impl Racer {
    /// Begins an attempt at `call`.
    pub(super) fn begin(call: Arc<Call>, info: AttemptInfo) -> Self {
        let mut observed = call.observers.begin(info);
        let opening = Box::pin(async move {
            let alarm = pin!(None);
            let journal = Journal::default();
            let mut timer = Timer::new(call.deadline.after_waiting(), alarm, journal);
            let mut opening = call.opening(info, &mut observed, &mut timer, Connection::open);
            let unopened = match opening.at_once() {
                Ok(opened) => return Ok(opened.split()),
                Err(none) => match opening.after(none).await {
                    Ok(opened) => return Ok(opened.split()),
                    Err(unopened) => unopened,
                },
            };
            let (Unopened::Failed(status) | Unopened::Over(status)) = &unopened;
            observed.failed(status, Seen::No);
            Err((unopened, timer.journal))
        });
        Self {
            info,
            state: State::Opening(opening),
        }
    }

    /// Its stream, once it has one.
    pub(super) fn stream(&self) -> Option<&Stream> {
        match &self.state {
            State::Opening(_) => None,
            State::Open(stream) => Some(stream),
        }
    }

    /// Its stream, if it has come so far.
    pub(super) fn into_stream(self) -> Option<Box<Stream>> {
        match self.state {
            State::Opening(_) => None,
            State::Open(stream) => Some(stream),
        }
    }

    /// Waits for the next that it comes to.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match &mut self.state {
            State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok((half, attempt)) => {
                    self.state = State::Open(Box::new(Stream::new(half, attempt)));
                    Poll::Ready(Event::Opened)
                }
                Err((unopened, journal)) => Poll::Ready(Event::Unopened(unopened, journal)),
            },
            State::Open(stream) => {
                let answer = ready!(stream.attempt.receive.poll_headers(cx));
                Poll::Ready(answer.map_or_else(Event::Ended, Event::Answered))
            }
        }
    }

    /// Sends what it can of the messages that are kept; `is_end` says that there will be no others. Returns
    /// whether it could send more.
    pub(super) fn poll_send(&mut self, kept: &[Bytes], is_end: bool, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Opening(_) => false,
            State::Open(stream) => stream.poll_send(kept, is_end, cx).is_ready(),
        }
    }
}

impl Stream {
    fn new(half: SendHalf, attempt: Attempt) -> Self {
        Self {
            half,
            attempt,
            begun: 0,
            leaving: Bytes::new(),
            is_stopped: false,
        }
    }

    /// Ready when all is sent.
    fn poll_send(&mut self, kept: &[Bytes], is_end: bool, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_stopped {
            if self.leaving.is_empty() {
                let Some(message) = kept.get(self.begun) else {
                    if is_end {
                        self.half.finish();
                    }
                    return Poll::Ready(());
                };
                self.leaving = message.clone();
                self.begun += 1;
            }
            let end = is_end && self.begun == kept.len();
            let sent = ready!(self.half.poll_send(cx, &mut self.leaving, end));
            self.is_stopped = sent.is_err();
        }
        Poll::Pending
    }

    /// What of the messages that are kept has not left yet.
    pub(super) fn unsent(&self, kept: &[Bytes]) -> Vec<Bytes> {
        let leaving = (!self.leaving.is_empty()).then(|| self.leaving.clone());
        let rest = kept.get(self.begun..).unwrap_or_default();
        leaving.into_iter().chain(rest.iter().cloned()).collect()
    }
}
