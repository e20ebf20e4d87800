//! The messages that an application streams to a server: the sending half of a streaming call.
//!
//! ```text
//!   request stream ─► Pump (a task) ─► SendHalf ─► server
//!                       │  keeps what it sent until the call is committed
//!                       ▲
//!   Incoming ── a new SendHalf, should the first attempt not count
//! ```
//!
//! A call is committed once anything of the response has come, or once more has been sent than is kept:
//! from then on an attempt that fails is the call's failure.
//!
//! The two share one small struct and not a channel for each direction: a stream may be parked for hours,
//! and then what it holds is all that counts. What was kept goes with the commitment.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use bytes::Bytes;
use futures_core::Stream;
use highball_core::Status;
use highball_transport::client::SendHalf;
use tokio::task::AbortHandle;

use super::hedging::{Requests, SendOn};
use super::replay::Replay;

/// The owner's end of a [`Pump`]: hands it streams, hears how it ended. Dropping it stops the pump.
#[derive(Debug)]
pub(super) struct Outgoing {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the two ends share.
#[derive(Debug, Default)]
struct Shared {
    /// Locked for a look or a change, never while anybody is woken.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The stream of an attempt that the pump has not begun with.
    next: Option<SendHalf>,
    /// What another attempt would begin with; `None` once there will be no other.
    replay: Option<Replay>,
    /// The stream has failed, and another will come: whatever is sent until then is kept for it.
    is_awaited: bool,
    /// How sending ended: well, or with the status of a request that fails the call.
    ended: Option<Result<(), Status>>,
    /// Whom to wake: the pump while it waits for a stream or a message, the owner while it reads.
    pump: Option<Waker>,
    owner: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sending has ended, for the first reason given.
    fn end(&self, ended: Result<(), Status>) {
        let mut state = self.state();
        state.ended.get_or_insert(ended);
        state.replay = None;
        let owner = state.owner.take();
        drop(state);
        owner.into_iter().for_each(Waker::wake);
    }
}

impl Outgoing {
    /// Sends the messages of `source`, each framed or refused, on a task of its own.
    pub(super) fn pump<S>(source: S, replay: Replay) -> Self
    where
        S: Stream<Item = Result<Bytes, Status>> + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        shared.state().replay = Some(replay);
        let mut pump = Pump {
            shared: Arc::clone(&shared),
            source,
            is_exhausted: false,
            sending: None,
        };
        let task = tokio::spawn(async move {
            let ended = poll_fn(|cx| pump.poll(cx)).await;
            pump.shared.end(ended);
        });
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Sends on the stream that has won a race, if one has, what the race has left of the requests.
    pub(super) fn pump_after<R>(race: R) -> Self
    where
        R: Future<Output = Option<(SendOn, Requests)>> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let pumped = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let Some((on, requests)) = race.await else {
                return;
            };
            let (source, is_exhausted) = requests.into_parts();
            let mut pump = Pump {
                shared: pumped,
                source,
                is_exhausted,
                sending: Some(Sending::new(on.half, on.unsent)),
            };
            let ended = poll_fn(|cx| pump.poll(cx)).await;
            pump.shared.end(ended);
        });
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Whether another attempt can be given all that was sent so far. If so, it is kept for that attempt.
    pub(super) fn await_another(&self) -> bool {
        let mut state = self.shared.state();
        state.is_awaited = state.replay.is_some();
        state.is_awaited
    }

    /// Sends on this stream from now on, from the first message.
    pub(super) fn send_on(&self, half: SendHalf) {
        let mut state = self.shared.state();
        // One that has ended before the pump came to it makes room.
        let superseded = state.next.replace(half);
        state.is_awaited = false;
        let pump = state.pump.take();
        drop(state);
        drop(superseded);
        pump.into_iter().for_each(Waker::wake);
    }

    /// The status of a request that fails the call, if it has come to that.
    pub(super) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        let mut state = self.shared.state();
        match &mut state.ended {
            Some(ended) => mem::replace(ended, Ok(())).err(),
            None => {
                remember(&mut state.owner, cx);
                None
            }
        }
    }

    /// Whether there will be no other attempt.
    pub(super) fn is_committed(&self) -> bool {
        self.shared.state().replay.is_none()
    }

    /// There will be no other attempt.
    pub(super) fn commit(&mut self) {
        let mut state = self.shared.state();
        let kept = state.replay.take();
        let pump = state.pump.take();
        drop(state);
        drop(kept);
        pump.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whoever is polled is woken, and is mostly the one who was polled before.
fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker
        .as_ref()
        .is_some_and(|known| known.will_wake(cx.waker()))
    {
        *waker = Some(cx.waker().clone());
    }
}

/// The task that sends. Written by hand, for as a future it holds each message of a parked stream several times.
struct Pump<S> {
    shared: Arc<Shared>,
    source: S,
    /// The source has no more messages.
    is_exhausted: bool,
    /// `None` between one attempt and the next.
    sending: Option<Sending>,
}

/// A stream, and what it is to be sent before the application is asked for more.
struct Sending {
    half: SendHalf,
    /// The message on its way, or nothing.
    leaving: Bytes,
    kept: vec::IntoIter<Bytes>,
}

impl Sending {
    fn new(half: SendHalf, kept: Vec<Bytes>) -> Self {
        Self {
            half,
            leaving: Bytes::new(),
            kept: kept.into_iter(),
        }
    }
}

/// What a pump that has a stream does next.
enum Next {
    Send(Bytes),
    /// There are no more messages.
    Finish,
    /// Another attempt has begun.
    Leave,
}

impl<S> Pump<S>
where
    S: Stream<Item = Result<Bytes, Status>> + Unpin,
{
    /// Ready when there will be no other stream to send on, or when a request fails the call.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            let Some(sending) = &mut self.sending else {
                let Some(half) = ready!(self.poll_stream(cx)) else {
                    return Poll::Ready(Ok(()));
                };
                // Taken at once: it is due to this stream even if the call is committed meanwhile.
                self.sending = Some(Sending::new(half, self.kept()));
                continue;
            };
            if !sending.leaving.is_empty() {
                // A call with a single request says so with the request, and not in a frame of its own.
                let is_end = self.is_exhausted && sending.kept.len() == 0;
                let sent = sending.half.poll_send(cx, &mut sending.leaving, is_end);
                if ready!(sent).is_err() {
                    self.sending = None;
                }
                continue;
            }
            match ready!(self.poll_next(cx))? {
                Next::Send(message) => self.send(message),
                Next::Leave => self.sending = None,
                Next::Finish => self.finish(),
            }
        }
    }

    /// The stream of the newest attempt; `None` when there will be no other.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<SendHalf>> {
        let mut state = self.shared.state();
        if let Some(half) = state.next.take() {
            return Poll::Ready(Some(half));
        }
        if state.replay.is_none() {
            return Poll::Ready(None);
        }
        remember(&mut state.pump, cx);
        Poll::Pending
    }

    /// What is sent next: what was kept, then what the application has to say.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Status>> {
        let kept = self
            .sending
            .as_mut()
            .and_then(|sending| sending.kept.next());
        if let Some(message) = kept {
            return Poll::Ready(Ok(Next::Send(message)));
        }
        if self.is_exhausted {
            return Poll::Ready(Ok(Next::Finish));
        }
        let mut state = self.shared.state();
        if state.next.is_some() {
            return Poll::Ready(Ok(Next::Leave));
        }
        if state.replay.is_some() {
            remember(&mut state.pump, cx);
        }
        drop(state);
        let Some(message) = ready!(Pin::new(&mut self.source).poll_next(cx)).transpose()? else {
            self.is_exhausted = true;
            return Poll::Ready(Ok(Next::Finish));
        };
        self.keep(&message);
        self.is_exhausted = self.source.size_hint() == (0, Some(0));
        Poll::Ready(Ok(Next::Send(message)))
    }

    fn send(&mut self, message: Bytes) {
        if let Some(sending) = &mut self.sending {
            sending.leaving = message;
        }
    }

    /// All is said on this stream.
    fn finish(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            sending.half.finish();
        }
    }

    /// What was sent before.
    fn kept(&self) -> Vec<Bytes> {
        let replay = &self.shared.state().replay;
        replay
            .as_ref()
            .map_or_else(Vec::new, |replay| replay.messages().to_vec())
    }

    /// Keeps a message for another attempt; one too many, and there will be none.
    fn keep(&mut self, message: &Bytes) {
        let mut state = self.shared.state();
        let is_awaited = state.is_awaited;
        let Some(replay) = &mut state.replay else {
            return;
        };
        if replay.keep(message) {
            return;
        }
        if is_awaited {
            return replay.keep_beyond_the_limit(message);
        }
        state.replay = None;
        let owner = state.owner.take();
        drop(state);
        owner.into_iter().for_each(Waker::wake);
    }
}

/// A pump that ends without saying how was stopped, or the application's stream has panicked.
impl<S> Drop for Pump<S> {
    fn drop(&mut self) {
        let is_told = self.shared.state().ended.is_some();
        if !is_told {
            let panicked = Status::internal("the request stream panicked");
            self.shared.end(Err(panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use highball_transport::MemoryNetwork;
    use highball_transport::client::{ClientOptions, RequestHead, connect};
    use highball_transport::server::{ServerConnection, ServerOptions};
    use http::uri::{Authority, PathAndQuery};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_comes_before_the_pump_has_seen_the_one_before_is_sent_on() {
        let network = MemoryNetwork::new();
        let mut listener = network.listen("a:1");
        let server = tokio::spawn(async move {
            let io = listener.accept().await.unwrap();
            let options = ServerOptions::default();
            let mut server = ServerConnection::handshake(io, &options).await.unwrap();
            let mut calls = Vec::new();
            while let Some(mut call) = server.accept().await {
                calls.push(tokio::spawn(async move {
                    poll_fn(|cx| call.receiver.poll_message(100, cx)).await
                }));
                if calls.len() == 2 {
                    tokio::spawn(async move { while server.accept().await.is_some() {} });
                    break;
                }
            }
            calls.pop().unwrap().await.unwrap()
        });
        let address = "a:1".into();
        let options = ClientOptions::default();
        let (connection, _end) = connect(&network, &address, &options).await.unwrap();
        let head = RequestHead::new(
            Authority::from_static("a"),
            PathAndQuery::from_static("/s/m"),
        );
        let (first, first_response) = connection
            .open(connection.slot().await.unwrap(), head.clone())
            .unwrap();
        let (second, _second_response) = connection
            .open(connection.slot().await.unwrap(), head)
            .unwrap();
        let message = Bytes::from_static(b"\0\0\0\0\x01x");
        let messages = futures::stream::iter([Ok(message)]).chain(futures::stream::pending());
        let replay = Replay::new(100, &Arc::default());
        let outgoing = Outgoing::pump(messages, replay);
        outgoing.send_on(first);
        drop(first_response);
        outgoing.send_on(second);
        let received = tokio::time::timeout(std::time::Duration::from_secs(60), server).await;
        let received = received.expect("the second stream is sent on").unwrap();
        assert_eq!(received.unwrap().unwrap(), "x");
    }
}
