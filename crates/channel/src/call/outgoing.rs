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

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::Status;
use highball_transport::client::SendHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// How many bytes of sent messages are kept for another attempt (gRFC A6).
const REPLAY_LIMIT: usize = 256 * 1024;

/// The owner's end of a [`Pump`]: hands it streams, hears how it ended. Dropping it stops the pump.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Closed once the call is committed.
    attempts: Option<mpsc::UnboundedSender<SendHalf>>,
    /// How sending ended: well, or with the status of a request that fails the call. `None` once known.
    ended: Option<oneshot::Receiver<Result<(), Status>>>,
    task: AbortHandle,
}

impl Outgoing {
    /// Sends the messages of `source`, each framed or refused, on a task of its own.
    pub(super) fn pump<S>(source: S) -> Self
    where
        S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
    {
        let (attempts, inbox) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let pump = Pump {
            attempts: inbox,
            replay: Replay::default(),
        };
        let task = tokio::spawn(async move {
            // A call that is over does not care.
            let _ = end.send(pump.run(source).await);
        });
        Self {
            attempts: Some(attempts),
            ended: Some(ended),
            task: task.abort_handle(),
        }
    }

    /// Whether another attempt can be given all that was sent so far.
    pub(super) fn can_replay(&self) -> bool {
        self.attempts
            .as_ref()
            .is_some_and(|attempts| !attempts.is_closed())
    }

    /// Sends on this stream from now on, from the first message.
    pub(super) fn send_on(&self, half: SendHalf) {
        if let Some(attempts) = &self.attempts {
            // It may wait behind one that has ended before the pump came to it.
            let _ = attempts.send(half);
        }
    }

    /// The status of a request that fails the call, if it has come to that.
    pub(super) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        let Poll::Ready(ended) = Pin::new(self.ended.as_mut()?).poll(cx) else {
            return None;
        };
        self.ended = None;
        // The pump says how it ended, unless the application's stream has panicked.
        ended
            .unwrap_or_else(|_| Err(Status::internal("the request stream panicked")))
            .err()
    }

    /// There will be no other attempt.
    pub(super) fn commit(&mut self) {
        self.attempts = None;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that sends.
struct Pump {
    attempts: mpsc::UnboundedReceiver<SendHalf>,
    replay: Replay,
}

/// What was sent before the call is committed.
#[derive(Debug, Default)]
struct Replay {
    messages: Vec<Bytes>,
    bytes: usize,
}

/// Why a stream is not sent on any more.
enum Interrupted {
    /// It takes no more messages.
    Stopped,
    /// Another attempt has begun.
    Superseded(SendHalf),
}

impl Pump {
    async fn run<S>(mut self, source: S) -> Result<(), Status>
    where
        S: Stream<Item = Result<Bytes, Status>>,
    {
        let mut source = pin!(source);
        let mut exhausted = false;
        let mut next = self.attempts.recv().await;
        while let Some(mut half) = next {
            next = match self
                .send_all(&mut half, source.as_mut(), &mut exhausted)
                .await?
            {
                Ok(()) => self.attempts.recv().await,
                Err(Interrupted::Stopped) => self.attempts.recv().await,
                Err(Interrupted::Superseded(half)) => Some(half),
            };
        }
        Ok(())
    }

    /// Sends what was kept, then what the application has to say.
    async fn send_all<S>(
        &mut self,
        half: &mut SendHalf,
        mut source: Pin<&mut S>,
        exhausted: &mut bool,
    ) -> Result<Result<(), Interrupted>, Status>
    where
        S: Stream<Item = Result<Bytes, Status>>,
    {
        let kept = self.replay.messages.clone();
        let last = kept.len().saturating_sub(1);
        for (index, message) in kept.into_iter().enumerate() {
            let end = *exhausted && index == last;
            if half.send(message, end).await.is_err() {
                return Ok(Err(Interrupted::Stopped));
            }
        }
        while !*exhausted {
            let message = tokio::select! {
                biased;
                Some(newer) = self.attempts.recv() => {
                    return Ok(Err(Interrupted::Superseded(newer)));
                }
                message = poll_fn(|cx| source.as_mut().poll_next(cx)) => message,
            };
            let Some(message) = message.transpose()? else {
                *exhausted = true;
                break;
            };
            self.keep(&message);
            // A call with a single request says so with the request, and not in a frame of its own.
            *exhausted = source.size_hint() == (0, Some(0));
            if half.send(message, *exhausted).await.is_err() {
                return Ok(Err(Interrupted::Stopped));
            }
        }
        half.finish();
        Ok(Ok(()))
    }

    /// Keeps a message for another attempt; one too many, and there will be none.
    fn keep(&mut self, message: &Bytes) {
        if self.attempts.is_closed() {
            self.replay = Replay::default();
            return;
        }
        self.replay.bytes += message.len();
        if self.replay.bytes > REPLAY_LIMIT {
            self.attempts.close();
            self.replay = Replay::default();
        } else {
            self.replay.messages.push(message.clone());
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
        let outgoing = Outgoing::pump(messages);
        outgoing.send_on(first);
        drop(first_response);
        outgoing.send_on(second);
        let received = tokio::time::timeout(std::time::Duration::from_secs(60), server).await;
        let received = received.expect("the second stream is sent on").unwrap();
        assert_eq!(received.unwrap().unwrap(), "x");
    }
}
