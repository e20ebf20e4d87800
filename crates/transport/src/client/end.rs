//! How a connection ends, and how its owner hears of it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::Reason;
use highball_core::Status;

use crate::status::reason_name;

/// Tells the owner of a connection, once, that it can open no more streams.
#[derive(Debug)]
pub struct ConnectionEnd {
    pub(super) loss: Arc<Loss>,
}

/// What a connection and its one owner share: why it is of no more use, once it is.
#[derive(Debug, Default)]
pub(super) struct Loss {
    why: OnceLock<Lost>,
    /// The owner, while it waits. Held to store and to take it.
    waiting: Mutex<Option<Waker>>,
}

impl Loss {
    /// The first reason counts.
    pub(super) fn tell(&self, why: Lost) {
        if self.why.set(why).is_ok() {
            let waiting = self.waiting().take();
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn why(&self) -> Option<&Lost> {
        self.why.get()
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionEnd {
    /// Waits until the connection is of no more use: the server said GOAWAY, or it is closed.
    ///
    /// Resolves *before* new streams are refused, so that a subchannel that leaves READY at once sends
    /// few calls in vain. Streams that are open may go on. Cancel-safe; resolves again if asked again.
    pub async fn lost(&mut self) -> Lost {
        poll_fn(|cx| self.poll_lost(cx)).await
    }

    /// [`lost`](Self::lost), for an owner that waits for other things as well.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        if self.loss.why().is_none() {
            let mut waiting = self.loss.waiting();
            match &mut *waiting {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        // Only now: what was told meanwhile woke nobody.
        match self.loss.why() {
            Some(why) => Poll::Ready(why.clone()),
            None => Poll::Pending,
        }
    }
}

/// Why a connection can open no more streams.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The server asked to open no more streams on it.
    #[non_exhaustive]
    GoAway {
        /// Why.
        code: Reason,
        /// What the server added; often ASCII, such as `max_age` or `too_many_pings`.
        debug: Bytes,
    },
    /// There is no connection any more, or there will be none when its streams have ended.
    Closed(Closed),
}

/// What closed a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Closed {
    /// This side did, with the status that its streams ended with.
    Local(Status),
    /// The stream ids are used up to three quarters.
    IdsExhausted,
    /// What came for calls that had been cancelled has used up half of what h2 allows in the life of a
    /// connection.
    Worn,
    /// The last stream ended after the server's GOAWAY.
    Drained,
    /// The server closed its end.
    Eof,
    /// Reading failed.
    Read(Arc<io::Error>),
    /// Writing failed.
    Write(Arc<io::Error>),
    /// The server did not answer a keepalive PING.
    KeepaliveTimeout,
    /// One of the two ends broke the protocol.
    Protocol(String),
}

impl Lost {
    /// The label of the metric for disconnections (gRFC A94).
    pub fn label(&self) -> String {
        match self {
            Self::GoAway { code, .. } => format!("GOAWAY {}", reason_name(*code)),
            Self::Closed(Closed::Local(_)) => "subchannel shutdown".to_owned(),
            Self::Closed(Closed::Read(error) | Closed::Write(error)) => match error.kind() {
                io::ErrorKind::ConnectionReset => "connection reset",
                io::ErrorKind::TimedOut => "connection timed out",
                io::ErrorKind::ConnectionAborted => "connection aborted",
                _ if error.raw_os_error().is_some() => "socket error",
                _ => "unknown",
            }
            .to_owned(),
            Self::Closed(Closed::KeepaliveTimeout) => "connection timed out".to_owned(),
            Self::Closed(_) => "unknown".to_owned(),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoAway { code, debug } => write!(
                f,
                "received goaway: code: {}, debug data: {:?}",
                reason_name(*code),
                String::from_utf8_lossy(debug)
            ),
            Self::Closed(closed) => closed.fmt(f),
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(status) => write!(f, "closed by the client: {}", status.message()),
            Self::IdsExhausted => f.write_str("stream ids are used up"),
            Self::Worn => f.write_str("worn by data for cancelled calls"),
            Self::Drained => f.write_str("drained after goaway"),
            Self::Eof => f.write_str("error reading from server: EOF"),
            Self::Read(error) => write!(f, "error reading from server: {error}"),
            Self::Write(error) => write!(f, "error writing to server: {error}"),
            Self::KeepaliveTimeout => {
                f.write_str("keepalive ping failed to receive ACK within timeout")
            }
            Self::Protocol(text) => f.write_str(text),
        }
    }
}
