//! The receiving half of a call.
//!
//! ```text
//!   Opening ── headers ──────────────► Receiving ── trailers, reset, loss ──► Ended
//!      │                                                                       ▲
//!      ├── trailers-only, reset, loss ─────────────────────────────────────────┤
//!      └── not gRPC ──► Foreign: gather 1,024 bytes of its body ───────────────┘
//! ```

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use highball_core::{MetadataMap, Status};

use super::RequestHead;
use super::failure::Ended;
use super::stream::Held;
use crate::compression::Compressions;
use crate::credit::Credit;
use crate::framing::{Decoder, Encoding, FramingError};
use crate::response::{self, Foreign, Opening};

/// Receives the headers, the messages and the status of one call. Owned by one task.
///
/// Dropping it before the call has ended cancels the call: RST_STREAM(CANCEL).
pub struct RecvHalf {
    held: Held,
    state: State,
    decoder: Decoder,
    encoding: Encoding,
    credit: Credit,
    accepts: Accepts,
    /// Set when the call has ended well.
    trailers: MetadataMap,
    /// The server has sent headers, whatever they said.
    has_answered: bool,
    /// The newest message came compressed.
    is_compressed: bool,
}

/// What a call accepts of its response.
#[derive(Clone, Copy)]
pub(super) struct Accepts {
    /// The largest message, in bytes: its prefix has no more than 32 bits to say so.
    limit: u32,
    compressions: Compressions,
}

impl Accepts {
    pub(super) fn of(head: &RequestHead) -> Self {
        Self {
            limit: u32::try_from(head.max_receive_message).unwrap_or(u32::MAX),
            compressions: head.accepted,
        }
    }
}

enum State {
    Opening(ResponseFuture),
    Receiving(RecvStream),
    /// Boxed, for it is rare, and the others are small.
    Foreign(Box<Foreign>, RecvStream),
    Ended(Result<(), Ended>),
}

impl RecvHalf {
    pub(super) fn new(held: Held, response: ResponseFuture, accepts: Accepts) -> Self {
        Self {
            held,
            state: State::Opening(response),
            decoder: Decoder::new(),
            encoding: Encoding::IDENTITY,
            credit: Credit::default(),
            accepts,
            trailers: MetadataMap::new(),
            has_answered: false,
            is_compressed: false,
        }
    }

    /// Whether the server has sent headers, be they good or bad, initial or trailing.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Waits for the response headers: `Ok(None)` if the call ended well without any (or if they were
    /// taken before).
    ///
    /// Cancel-safe. To be called before [`message`](Self::message), or not at all.
    ///
    /// # Errors
    ///
    /// [`Ended`] when the call has ended in another way.
    pub async fn headers(&mut self) -> Result<Option<MetadataMap>, Ended> {
        poll_fn(|cx| self.poll_headers(cx)).await
    }

    /// Waits for the next message: its payload, whole. `Ok(None)`: the call has ended well.
    ///
    /// Cancel-safe: what has been read of a message is kept. A message that came before the call ended
    /// badly is handed out first.
    ///
    /// # Errors
    ///
    /// [`Ended`] when the call has ended in another way; the same again if asked again.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Ended> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Like [`message`](Self::message), where none should follow: looks for the end of the call first, which is
    /// less work if it is there.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    pub async fn end(&mut self) -> Result<Option<Bytes>, Ended> {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// Whether the newest message came compressed.
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Takes the trailing metadata, once [`message`](Self::message) has returned `Ok(None)`.
    pub fn trailers(&mut self) -> MetadataMap {
        std::mem::take(&mut self.trailers)
    }

    /// Like [`headers`](Self::headers), for a hand-written future.
    pub fn poll_headers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<MetadataMap>, Ended>> {
        loop {
            match &mut self.state {
                State::Opening(response) => {
                    let opening = match ready!(Pin::new(response).poll(cx)) {
                        Ok(response) => self.open(response),
                        Err(error) => {
                            self.fail(&error);
                            None
                        }
                    };
                    if opening.is_some() {
                        return Poll::Ready(Ok(opening));
                    }
                }
                State::Foreign(foreign, body) => {
                    ready!(foreign.poll_gather(body, cx));
                    let status = foreign.status();
                    self.end_with(status, Some(Reason::PROTOCOL_ERROR));
                }
                State::Receiving(_) => return Poll::Ready(Ok(None)),
                State::Ended(ended) => return Poll::Ready(ended.clone().map(|()| None)),
            }
        }
    }

    /// Like [`message`](Self::message), for a hand-written future.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Ended>> {
        loop {
            if let Some(message) = self.next_message() {
                return Poll::Ready(Ok(Some(message)));
            }
            match &mut self.state {
                State::Receiving(body) => match ready!(self.credit.poll_data(body, cx)) {
                    Some(Ok(data)) => self.decoder.push(data),
                    Some(Err(error)) => self.fail(&error),
                    None => ready!(self.poll_trailers(cx)),
                },
                State::Ended(ended) => return Poll::Ready(ended.clone().map(|()| None)),
                State::Opening(_) | State::Foreign(..) => {
                    if let Err(ended) = ready!(self.poll_headers(cx)) {
                        return Poll::Ready(Err(ended));
                    }
                }
            }
        }
    }

    /// The next message, if it is there. One that is to be refused ends the call.
    fn next_message(&mut self) -> Option<Bytes> {
        if self.decoder.is_empty() {
            return None;
        }
        let limit = self.accepts.limit as usize;
        let next = self.decoder.next(limit).and_then(|message| {
            let Some(message) = message else {
                return Ok(None);
            };
            self.is_compressed = message.is_compressed();
            message.into_payload(&self.encoding, limit).map(Some)
        });
        next.unwrap_or_else(|error| {
            self.refuse(error);
            None
        })
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Ended>> {
        // h2 gives what comes in its order: trailers behind DATA are not there yet.
        if self.decoder.is_empty()
            && self.poll_trailers(cx).is_ready()
            && let State::Ended(ended) = &self.state
        {
            return Poll::Ready(ended.clone().map(|()| None));
        }
        self.poll_message(cx)
    }

    /// Judges the first HEADERS; gives the metadata if messages may follow.
    fn open(&mut self, response: http::Response<RecvStream>) -> Option<MetadataMap> {
        self.has_answered = true;
        let is_last = response.body().is_end_stream();
        let limit = self.held.shared().max_header_list_size;
        if !is_last && response::is_bare(response.headers(), limit) {
            self.state = State::Receiving(response.into_body());
            return Some(MetadataMap::new());
        }
        let (head, body) = response.into_parts();
        self.encoding = Encoding::of(&head.headers).within(self.accepts.compressions);
        match response::open(head, is_last, limit) {
            Opening::Headers(metadata) => {
                self.state = State::Receiving(body);
                return Some(metadata);
            }
            Opening::Trailers(outcome) => self.end_as(outcome),
            Opening::Foreign(foreign) if is_last => self.end_with(foreign.status(), None),
            Opening::Foreign(foreign) => self.state = State::Foreign(Box::new(foreign), body),
            Opening::Malformed(status) => {
                let reason = (!is_last).then_some(Reason::PROTOCOL_ERROR);
                self.end_with(status, reason);
            }
        }
        None
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Receiving(body) = &mut self.state else {
            return Poll::Ready(());
        };
        match ready!(body.poll_trailers(cx)) {
            Ok(Some(trailers)) => {
                let limit = self.held.shared().max_header_list_size;
                let travelled = self.held.shared().facts.long_block(self.held.id());
                // A status of its own says more than that a message was cut short.
                let outcome = response::trailers(trailers, travelled.unwrap_or(0), limit).and_then(
                    |trailers| self.decoder.finish().map(|()| trailers).map_err(Into::into),
                );
                self.end_as(outcome);
            }
            Ok(None) => {
                let text = "server closed the stream without sending trailers";
                self.end_with(Status::internal(text), None);
            }
            Err(error) => self.fail(&error),
        }
        Poll::Ready(())
    }

    /// The server has said how the call ended.
    fn end_as(&mut self, outcome: Result<MetadataMap, Status>) {
        match outcome {
            Ok(trailers) => {
                self.trailers = trailers;
                self.state = State::Ended(Ok(()));
                self.held.end(None);
            }
            Err(status) => self.end_with(status, None),
        }
    }

    fn end_with(&mut self, status: Status, reason: Option<Reason>) {
        self.state = State::Ended(Err(Ended::with(status)));
        self.held.end(reason);
    }

    /// The stream broke: reset, refused, or lost with its connection.
    fn fail(&mut self, error: &h2::Error) {
        let opened = !matches!(self.state, State::Opening(_));
        let (id, shared) = (self.held.id(), self.held.shared());
        let answer = Ended::by_malformed_status(error, id, shared);
        self.has_answered |= answer.is_some();
        let ended = answer.unwrap_or_else(|| Ended::by(error, id, opened, shared));
        self.state = State::Ended(Err(ended));
        self.held.abandon();
    }

    /// A message is too large or no message: the call ends here, and the server is told to stop.
    fn refuse(&mut self, error: FramingError) {
        self.decoder = Decoder::new();
        self.end_with(error.into(), Some(Reason::CANCEL));
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        // The last handle that goes resets the stream; then the slot comes back.
        self.state = State::Ended(Ok(()));
        self.held.abandon();
    }
}

impl fmt::Debug for RecvHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Opening(_) => "opening",
            State::Receiving(_) => "receiving",
            State::Foreign(..) => "not gRPC",
            State::Ended(_) => "ended",
        };
        f.debug_struct("RecvHalf")
            .field("stream", &self.held.id())
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
