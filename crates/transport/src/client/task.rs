//! The connection's one task: drives h2 over the tap, and ends it.
//!
//! ```text
//!   ping if it is due ──► poll h2 if its bell has rung ──► windows ──► flush ──► the facts ──► wait
//!      │                       │                                            │
//!      │  no sign of life, closed, or drained, or the wish to close         │
//!      ▼                       ▼                                            ▼
//!   end: tell the streams ──► GOAWAY ──► flush, at most 1 s ──► close the socket
//! ```

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client;
use highball_core::Status;
use tokio::time::Sleep;

use super::failure::fault;
use super::shared::Shared;
use super::{Closed, Lost};
use crate::bell::Bell;
use crate::inflow::{Inflow, Windows};
use crate::keepalive::{Due, Signs, Vigil};
use crate::pings::Pings;
use crate::settings;
use crate::tap::{Tap, TapHandle, WireEnd};

/// How long what is left to write, or to read, may take once one direction has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many turns of the scheduler the first flush waits for the first call: the connection's owner takes a turn to
/// let calls know of it, and they take the next. The acknowledgement of the server's SETTINGS then leaves with them,
/// not by itself. The last turn is that of a call which is no task: a runtime's main future has to wait until all
/// tasks have had theirs.
const FIRST_FLUSH: u8 = 3;

pub(super) struct ConnectionTask {
    h2: client::Connection<Tap, Bytes>,
    tap: TapHandle,
    shared: Guarded,
    /// h2 and the byte stream ring it; a turn without them only flushes.
    bell: Bell,
    /// The limit that the gate goes by.
    limit: u32,
    /// How many turns the first flush still waits.
    turns_to_flush: u8,
    /// Runs since the wire ended in one direction.
    last_words: Option<Pin<Box<Sleep>>>,
    /// With keepalive only; boxed, for most are without.
    vigil: Option<Box<Vigil>>,
    pings: Pings,
    inflow: Inflow,
}

impl ConnectionTask {
    pub(super) fn new(
        h2: client::Connection<Tap, Bytes>,
        tap: TapHandle,
        shared: Arc<Shared>,
        vigil: Option<Vigil>,
        windows: Windows,
    ) -> Self {
        Self {
            limit: shared.facts.max_concurrent_streams(),
            h2,
            tap,
            shared: Guarded(shared),
            bell: Bell::new(),
            turns_to_flush: FIRST_FLUSH,
            last_words: None,
            vigil: vigil.map(Box::new),
            pings: Pings::default(),
            inflow: Inflow::new(windows, settings::CLIENT_CONNECTION_WINDOW_LIMIT),
        }
    }

    /// Runs until the connection is closed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would hold the task twice, as argument and as local"
    )]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let closed = poll_fn(|cx| self.poll(cx)).await;
            // In a box of its own: it is over soon, and the task is there for as long as the connection.
            Box::pin(say_goodbye(self.end(closed))).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        if self.bell.follow(cx) {
            self.shared.task_is(cx.waker());
        }
        if let Some(status) = self.shared.wish_to_close() {
            return Poll::Ready(Closed::Local(status.clone()));
        }
        if self.poll_vigil(cx).is_ready() {
            return Poll::Ready(Closed::KeepaliveTimeout);
        }
        while self.bell.has_rung() {
            self.tap.begin_turn();
            if let Poll::Ready(result) = Pin::new(&mut self.h2).poll(&mut self.bell.context()) {
                let _ = self.tap.poll_flush(cx);
                return Poll::Ready(self.closed(result.err()));
            }
            let (facts, h2) = (&self.shared.facts, &mut self.h2);
            let has_news = self.inflow.look(facts, h2, &mut self.pings);
            if !has_news && !self.tap.relieve() {
                break;
            }
            self.bell.ring_at_work();
        }
        self.flush(cx);
        self.look();
        if self.shared.is_drained() {
            return Poll::Ready(self.drained());
        }
        self.poll_last_words(cx)
    }

    /// Asks the server whether it is still there when that is due. Ready when it is not.
    fn poll_vigil(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(vigil) = &mut self.vigil else {
            return Poll::Pending;
        };
        let signs = Signs {
            last_read: self.shared.facts.last_read(),
            has_streams: self.shared.gate.held() > 0,
        };
        while let Due::Ping = ready!(vigil.poll(signs, cx)) {
            self.pings.send(|| self.h2.ping_pong());
            self.bell.ring_at_work();
        }
        Poll::Ready(())
    }

    /// Writes what h2 has written: of all calls that were ready by then. Who comes later shares the next write, and
    /// the server has something to do meanwhile.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let waits = self.turns_to_flush > 0 && self.shared.gate.held() == 0;
        if waits && self.tap.has_unwritten() {
            self.turns_to_flush -= 1;
            match self.turns_to_flush {
                0 => drop(pin!(tokio::task::yield_now()).poll(cx)),
                _ => cx.waker().wake_by_ref(),
            }
        } else {
            self.turns_to_flush = 0;
            // h2 may be waiting for the byte stream, too, which wakes only the last who asked.
            let _ = self.tap.poll_flush(&mut self.bell.context());
        }
    }

    /// Carries what the tap has learnt to where it matters.
    fn look(&mut self) {
        let limit = self.shared.facts.max_concurrent_streams();
        if limit != self.limit {
            self.limit = limit;
            self.shared.gate.resize(limit);
        }
        if self.shared.facts.is_worn() {
            self.shared.wear_out();
        }
    }

    /// One direction has ended; the other gets a little more time.
    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        if !self.shared.facts.has_ended() {
            return Poll::Pending;
        }
        let timer = self.last_words.get_or_insert_with(|| {
            self.shared.lose(Lost::Closed(closed_by(&self.shared)));
            Box::pin(tokio::time::sleep(LAST_WORDS))
        });
        timer.as_mut().poll(cx).map(|()| self.closed(None))
    }

    fn closed(&self, error: Option<h2::Error>) -> Closed {
        match error {
            _ if self.shared.facts.has_ended() => closed_by(&self.shared),
            Some(error) if !error.is_remote() => {
                Closed::Protocol(fault(&error, &self.shared.facts))
            }
            _ => self.drained(),
        }
    }

    /// The reason it drained for is the reason it closes for.
    fn drained(&self) -> Closed {
        match self.shared.lost() {
            Some(Lost::Closed(closed)) => closed,
            _ => Closed::Drained,
        }
    }

    /// Tells the streams and says goodbye. Gives back what is left to be written and shut down, if anything.
    fn end(self, closed: Closed) -> Option<TapHandle> {
        tracing::debug!(
            target: "transport",
            address = %self.shared.address,
            reason = %closed,
            "connection closed"
        );
        self.shared.set_closed(closed.clone());
        let Self { h2, tap, .. } = self;
        // The streams hear of it now; they do not wait for the GOAWAY.
        drop(h2);
        let (code, debug) = match (closed, tap.facts().end()) {
            (_, Some(WireEnd::Violation(violation))) => (violation.code, violation.text.into()),
            (Closed::Local(_) | Closed::IdsExhausted | Closed::Worn | Closed::Drained, None) => (
                Reason::NO_ERROR,
                Bytes::from_static(b"client transport shutdown"),
            ),
            _ => return None,
        };
        tap.push_goaway(0, code, &debug);
        Some(tap)
    }
}

/// Writes what is left, and closes this end's direction.
async fn say_goodbye(tap: Option<TapHandle>) {
    if let Some(tap) = tap {
        let shut_down = poll_fn(|cx| tap.poll_shutdown(cx));
        let _ = tokio::time::timeout(LAST_WORDS, shut_down).await;
    }
}

/// However the task ends, with its runtime or in a panic of h2's: nobody waits for it in vain.
struct Guarded(Arc<Shared>);

impl Deref for Guarded {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.closed().is_none() {
            let status = Status::unavailable("the connection's task was dropped");
            self.set_closed(Closed::Local(status));
        }
    }
}

/// How the wire's end reads as the connection's.
pub(super) fn closed_by(shared: &Shared) -> Closed {
    match shared.facts.end() {
        Some(WireEnd::Eof) | None => Closed::Eof,
        Some(WireEnd::Read(error)) => Closed::Read(error),
        Some(WireEnd::Write(error)) => Closed::Write(error),
        Some(WireEnd::Violation(violation)) => Closed::Protocol(violation.text),
    }
}
