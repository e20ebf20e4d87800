//! The frame tap: between h2 and the byte stream, at both ends of a connection.
//!
//! ```text
//!      h2 ── poll_read ──►  [ Incoming ]  ◄── up to 64 KiB at a time ── byte stream
//!                             frames ─► Facts (SETTINGS, GOAWAY, PINGs, last read …)
//!                             frames ─► FloodGuard ─► Violation
//!      h2 ── poll_write ─►  [ Outgoing ]  ── one write a turn ────────► byte stream
//!                             frames ─► Facts (the highest HEADERS that left)
//! ```
//!
//! h2 hides from its user what gRPC must know (did the peer say SETTINGS? why did it say GOAWAY? have
//! these HEADERS left? whose `:status` did it give up at?) and flushes after every DATA frame. The tap reads the
//! nine bytes that each frame starts with, the payloads of SETTINGS and GOAWAY, and a `:status` that is spelled
//! out; it changes nothing. h2's flushes do nothing here: whoever polls h2 calls [`TapHandle::poll_flush`] once
//! afterwards.

mod facts;
mod flood;
mod huffman;
mod incoming;
mod late;
mod lull;
mod outgoing;
mod provoked;
mod scanner;
mod status_field;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub(crate) use facts::{Facts, Violation, WireEnd};

use crate::connect::BoxIo;
use incoming::Incoming;
use outgoing::Outgoing;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Role {
    fn peer(self) -> &'static str {
        match self {
            Self::Client => "server",
            Self::Server => "client",
        }
    }
}

/// A violation as h2 sees it: an I/O error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct TapError(Violation);

/// The end of the tap that h2 holds.
#[derive(Debug)]
pub(crate) struct Tap(Arc<Shared>);

/// The end that the task which drives h2 holds. The byte stream closes when both ends are dropped.
#[derive(Debug)]
pub(crate) struct TapHandle(Arc<Shared>);

struct Shared {
    /// The byte stream and its buffers. Only the task that drives the connection takes it, so nobody
    /// ever waits for it; it is not held across h2.
    wire: Mutex<Wire>,
    facts: Arc<Facts>,
    turn: Turn,
}

/// What h2 has come to since it was polled last.
///
/// h2 reads nothing while it has a PING or SETTINGS, or the answer to one, to write. When a peer's h2 is in
/// the same place and neither socket takes any more, both ends wait for the other to read: for ever. An end
/// that writes a frame more than its limit gets to read, and so ends this.
#[derive(Default)]
struct Turn {
    has_read_all: AtomicBool,
    waits_to_write: AtomicBool,
}

struct Wire {
    io: BoxIo,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// Puts a tap on a byte stream.
pub(crate) fn tap(io: BoxIo, role: Role) -> (Tap, TapHandle) {
    let shared = Arc::new(Shared {
        wire: Mutex::new(Wire {
            io,
            incoming: Incoming::new(role),
            outgoing: Outgoing::new(role),
        }),
        facts: Arc::new(Facts::new(Instant::now())),
        turn: Turn::default(),
    });
    (Tap(Arc::clone(&shared)), TapHandle(shared))
}

impl TapHandle {
    /// What has been learnt. It may be kept longer than the byte stream.
    pub(crate) fn facts(&self) -> &Arc<Facts> {
        &self.0.facts
    }

    /// Writes what h2 has written since the last time. To be called after every poll of h2.
    ///
    /// A failure is not told here but in [`Facts::end`]: what the peer sent before it is still read.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.lock().poll_flush(&self.0.facts, cx)
    }

    /// h2 is about to be polled.
    pub(crate) fn begin_turn(&self) {
        self.0.turn.has_read_all.store(false, Ordering::Relaxed);
        self.0.turn.waits_to_write.store(false, Ordering::Relaxed);
    }

    /// Whether h2, which has been polled, is to be polled again: it waits to write before it reads, and may now write
    /// beyond the limit until it reads.
    pub(crate) fn relieve(&self) -> bool {
        let turn = &self.0.turn;
        let is_stuck = turn.waits_to_write.load(Ordering::Relaxed)
            && !turn.has_read_all.load(Ordering::Relaxed);
        if is_stuck {
            self.0.lock().outgoing.lift_limit();
        }
        is_stuck
    }

    /// Whether there is something to flush.
    pub(crate) fn has_unwritten(&self) -> bool {
        !self.0.lock().outgoing.is_empty()
    }

    /// Whether writing has failed: what is written from now on goes nowhere.
    pub(crate) fn is_write_broken(&self) -> bool {
        self.0.lock().outgoing.is_broken()
    }

    /// Puts a GOAWAY of our own behind what h2 has written; it leaves with the next flush. Says no, and
    /// does nothing, if h2 has written half a frame.
    ///
    /// For the end of a connection: h2 knows nothing of it.
    pub(crate) fn push_goaway(&self, last_stream: u32, code: Reason, debug: &Bytes) -> bool {
        self.0.lock().outgoing.push_goaway(last_stream, code, debug)
    }

    /// Flushes, then closes our direction of the byte stream.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_shutdown(&self.0.facts, cx)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_gather(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.lock().poll_gather(&self.facts, cx, bytes);
        if polled.is_pending() {
            self.turn.waits_to_write.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl Wire {
    fn poll_flush(&mut self, facts: &Facts, cx: &mut Context<'_>) -> Poll<()> {
        let mut watch = self.incoming.watch(facts);
        self.outgoing.poll_flush(&mut self.io, &mut watch, cx)
    }

    fn poll_gather(
        &mut self,
        facts: &Facts,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut watch = self.incoming.watch(facts);
        self.outgoing
            .poll_gather(&mut self.io, &mut watch, cx, bytes)
    }

    fn poll_shutdown(&mut self, facts: &Facts, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(facts, cx));
        if self.outgoing.is_broken() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("facts", &self.facts).finish()
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.lock();
        wire.outgoing.restore_limit();
        let polled = wire
            .incoming
            .poll_read(&mut wire.io, &self.0.facts, cx, out);
        if polled.is_pending() {
            self.0.turn.has_read_all.store(true, Ordering::Relaxed);
        }
        polled
    }
}

/// Not vectored: all is copied, and h2 sets sixty-four slices up for each write that is.
impl AsyncWrite for Tap {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_gather(cx, bytes)
    }

    /// Says yes and does nothing: see the module's documentation.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_shutdown(&self.0.facts, cx)
    }
}

#[cfg(test)]
mod tests;
