//! The reply to a call: headers, messages, status.
//!
//! ```text
//!              start / send              finish / cancel
//!   Waiting ─────────────────► Sending ─────────────────► Ended
//!      └──────────── finish: trailers only ─────────────────▲
//! ```

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use highball_core::{MetadataMap, Status};
use http::{HeaderMap, Response, StatusCode};

use super::reply::{self, Fit};
use crate::compression::Compression;
use crate::tap::Facts;

/// What is queued without a look at the windows. The streams that a client may have open bound the whole.
const UNASKED: usize = 4 * 1024;

/// A request with room for more fields than this keeps none of it while its call lasts.
const MOST_ROOM: usize = 16;

/// Sends the reply to one call. Owned by one task.
///
/// Nothing is written before the first message, the status, or [`start`](Self::start); what is queued
/// without waiting in between leaves in one write. Dropping it unfinished resets the stream.
pub struct Responder {
    state: State,
    /// Something of a message is queued.
    has_sent: bool,
    /// What the headers are to announce.
    compression: Compression,
    /// The room that the request's headers had, for those of the reply.
    headers: HeaderMap,
    /// What the client accepts.
    peer: Arc<Facts>,
}

enum State {
    /// No headers yet.
    Waiting(SendResponse<Bytes>),
    /// Headers are queued; messages and trailers may follow.
    Sending(SendStream<Bytes>),
    /// Nothing may follow.
    Ended,
}

/// The client is not there any more to hear the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It reset the stream with this code (CANCEL when a call is cancelled), or HTTP/2 did for a fault of
    /// the client, or this side closes the connection.
    Reset(Reason),
    /// The connection is lost, or this side has ended the reply.
    Lost,
}

impl Responder {
    pub(super) fn new(
        respond: SendResponse<Bytes>,
        mut headers: HeaderMap,
        peer: Arc<Facts>,
    ) -> Self {
        if headers.capacity() > MOST_ROOM {
            headers = HeaderMap::new();
        }
        Self {
            state: State::Waiting(respond),
            has_sent: false,
            compression: Compression::Identity,
            headers,
            peer,
        }
    }

    /// Sends the headers with the initial metadata. Does nothing if they are sent.
    ///
    /// In place of headers larger than the client accepts, INTERNAL is sent, which ends the call.
    pub fn start(&mut self, metadata: MetadataMap) {
        if !matches!(self.state, State::Waiting(_)) {
            return;
        }
        let State::Waiting(respond) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        let response = self.response(metadata, self.compression);
        if let Some(stream) = send_headers(respond, response, false, &self.peer) {
            self.state = State::Sending(stream);
        }
    }

    /// Announces what the messages are compressed by, those that are; no effect once the headers are sent.
    /// Whoever frames the messages compresses them.
    pub fn announce(&mut self, compression: Compression) {
        self.compression = compression;
    }

    /// Whether the headers are sent.
    pub fn is_started(&self) -> bool {
        !matches!(self.state, State::Waiting(_))
    }

    /// Sends as much of `framed` (one or more messages, from [`encode`](crate::framing::encode)) as flow
    /// control lets go, and is ready when all of it is queued. Sends the headers first if that is to do.
    ///
    /// Never queues what HTTP/2 has no room for, so a client that does not read costs no memory: but for the
    /// first 4 KiB of a reply, for which nobody is asked, since most replies are no longer than that.
    pub fn poll_send(
        &mut self,
        framed: &mut Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        self.start(MetadataMap::new());
        let State::Sending(stream) = &mut self.state else {
            return Poll::Ready(Err(Gone::Lost));
        };
        let is_first = !std::mem::replace(&mut self.has_sent, true);
        if is_first && framed.len() <= UNASKED {
            return match stream.send_data(std::mem::take(framed), false) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(_) => stream.poll_reset(cx).map(|reset| Err(why(reset))),
            };
        }
        while !framed.is_empty() {
            stream.reserve_capacity(framed.len());
            let capacity = ready!(poll_capacity(stream, cx))?;
            let part = framed.split_to(capacity.min(framed.len()));
            stream
                .send_data(part, false)
                .map_err(|error| gone(&error))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the call well, with this trailing metadata.
    ///
    /// A client that still sends is told to stop (RST_STREAM(NO_ERROR)) once the call's
    /// [`Receiver`](super::Receiver) is dropped too.
    pub fn finish_ok(&mut self, metadata: MetadataMap) {
        self.end_with(|fields| reply::put_ok(fields, metadata));
    }

    /// Ends the call with a status and the trailing metadata in it: in trailers, or as a reply of headers
    /// alone if nothing was sent. A status larger than the client accepts becomes INTERNAL, which says so.
    pub fn finish(&mut self, status: Status) {
        self.end_with(|fields| reply::put_status(fields, status));
    }

    fn end_with(&mut self, put: impl FnOnce(&mut HeaderMap)) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(respond) => {
                let mut response = self.response(MetadataMap::new(), Compression::Identity);
                put(response.headers_mut());
                send_headers(respond, response, true, &self.peer);
            }
            State::Sending(mut stream) => {
                let mut trailers = HeaderMap::new();
                put(&mut trailers);
                match reply::fit(&trailers, &self.peer) {
                    Fit::Whole => drop(stream.send_trailers(trailers)),
                    Fit::Instead(status) => drop(stream.send_trailers(status)),
                    Fit::Nothing => stream.send_reset(Reason::INTERNAL_ERROR),
                }
            }
            State::Ended => {}
        }
    }

    fn response(&mut self, metadata: MetadataMap, compression: Compression) -> Response<()> {
        let headers = std::mem::take(&mut self.headers);
        reply::response(StatusCode::OK, headers, metadata, compression)
    }

    /// Ends the call without a word: RST_STREAM(CANCEL). What is queued and unsent is dropped.
    pub fn cancel(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(mut respond) => respond.send_reset(Reason::CANCEL),
            State::Sending(mut stream) => stream.send_reset(Reason::CANCEL),
            State::Ended => {}
        }
    }

    /// Ready when the client has reset the stream or the connection is gone. Never ready for a call that
    /// has ended here.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let reset = match &mut self.state {
            State::Waiting(respond) => ready!(respond.poll_reset(cx)),
            State::Sending(stream) => ready!(stream.poll_reset(cx)),
            State::Ended => return Poll::Pending,
        };
        Poll::Ready(match reset {
            Ok(reason) => Gone::Reset(reason),
            Err(error) => gone(&error),
        })
    }
}

/// Refuses a call that nobody has worked on: one HEADERS frame with END_STREAM. Dropping what is left of
/// the stream tells a client that still sends to stop.
pub(super) fn refuse(respond: SendResponse<Bytes>, refusal: Response<()>, peer: &Facts) {
    send_headers(respond, refusal, true, peer);
}

/// The stream that may go on, if the headers could be sent and are not all.
fn send_headers(
    mut respond: SendResponse<Bytes>,
    mut response: Response<()>,
    end: bool,
    peer: &Facts,
) -> Option<SendStream<Bytes>> {
    match reply::fit(response.headers(), peer) {
        Fit::Whole => {}
        Fit::Instead(status) => {
            *response.headers_mut() = status;
            let _ = respond.send_response(response, true);
            return None;
        }
        Fit::Nothing => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return None;
        }
    }
    // It fails only if the stream is gone, which `poll_gone` tells whoever asks.
    respond.send_response(response, end).ok()
}

/// How many bytes may be sent; at least one.
fn poll_capacity(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Gone>> {
    loop {
        // The stream wakes on an increase only: what is there already has to be looked at first.
        match stream.capacity() {
            0 => match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(gone(&error))),
                None => return stream.poll_reset(cx).map(|reset| Err(why(reset))),
            },
            capacity => return Poll::Ready(Ok(capacity)),
        }
    }
}

fn why(reset: Result<Reason, h2::Error>) -> Gone {
    reset.map_or_else(|error| gone(&error), Gone::Reset)
}

fn gone(error: &h2::Error) -> Gone {
    if error.is_reset() && error.is_remote() {
        Gone::Reset(error.reason().unwrap_or(Reason::CANCEL))
    } else {
        Gone::Lost
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting(_) => "Responder::Waiting",
            State::Sending(_) => "Responder::Sending",
            State::Ended => "Responder::Ended",
        })
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(reason) => write!(f, "the stream was reset: {reason:?}"),
            Self::Lost => f.write_str("the connection is lost"),
        }
    }
}
