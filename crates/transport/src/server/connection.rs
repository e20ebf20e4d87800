//! One connection: streams in, calls out.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use highball_core::Peer;

use super::admission::{Refusal, admit};
use super::drain::{Drain, Due, SettingsAck};
use super::life::{Life, Over};
use super::line::{Arrival, Line};
use super::linger::{Linger, denounce};
use super::options::Keepalive;
use super::portions::Portions;
use super::quota::{Permit, Quota};
use super::reply::refusal;
use super::responder::refuse;
use super::strikes::Strikes;
use super::{Incoming, Receiver, Responder, ServerOptions};
use crate::bell::Bell;
use crate::compression::Heard;
use crate::inflow::Inflow;
use crate::keepalive::{self, Signs, Vigil};
use crate::pings::Pings;
use crate::settings;
use crate::tap::{TapHandle, Violation, WireEnd};

/// A client's connection. Whoever calls [`accept`](Self::accept) in a loop drives it: its reads, its
/// writes and the streams of all calls. Dropping it cuts them.
pub struct ServerConnection {
    h2: h2::server::Connection<Linger, Bytes>,
    tap: TapHandle,
    quota: Quota,
    /// The place of the next call: taken before its stream is.
    place: Option<Permit>,
    /// Calls that there is no place for yet.
    line: Line,
    drain: Drain,
    settings_ack: SettingsAck,
    /// h2, the byte stream and this side's timers ring it.
    bell: Bell,
    portions: Portions,
    /// The highest stream that came out of h2.
    last_stream: u32,
    header_limit: u32,
    /// What the client reads.
    heard: Heard,
    /// How many GOAWAYs of our own announce the drain, besides h2's.
    announcements: u32,
    /// Boxed, as what moves with the connection is held several times over by the future that does.
    vigil: Option<Box<Vigil>>,
    pings: Pings,
    inflow: Inflow,
    strikes: Strikes,
    life: Box<Life>,
    peer: Peer,
    ended: Option<String>,
}

/// The last stream of a GOAWAY that will be followed by another (RFC 9113, section 6.8).
const NEVER: u32 = (1 << 31) - 1;

impl ServerConnection {
    pub(super) fn new(
        h2: h2::server::Connection<Linger, Bytes>,
        tap: TapHandle,
        peer: Peer,
        options: &ServerOptions,
    ) -> Self {
        let settings_ack = SettingsAck::begin();
        let vigil = options.keepalive.and_then(Keepalive::vigil);
        Self {
            h2,
            tap,
            quota: Quota::new(options.max_concurrent_streams),
            place: None,
            line: Line::new(options.max_concurrent_streams),
            drain: Drain::Open,
            settings_ack: settings_ack.watched_by(vigil.as_ref()),
            bell: Bell::new(),
            portions: Portions::new(&options.rota),
            last_stream: 0,
            header_limit: options.max_header_list_size,
            heard: Heard::nothing(),
            announcements: 0,
            vigil: vigil.map(Box::new),
            pings: Pings::default(),
            inflow: Inflow::new(options.windows, settings::SERVER_CONNECTION_WINDOW_LIMIT),
            strikes: Strikes::new(options.enforcement_policy),
            life: Box::new(Life::new(options, fastrand::f64())),
            peer,
            ended: None,
        }
    }

    /// Who the client is, as the network and the security handshake tell.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The next call; `None` when the connection is closed, whoever closed it.
    ///
    /// Cancel-safe. What a call writes leaves only while somebody waits here, so it is to be called
    /// again at once after each call, and calls are to be worked on elsewhere. With as many handlers
    /// running as [`ServerOptions::max_concurrent_streams`] no more calls come out, while those that
    /// run go on.
    pub async fn accept(&mut self) -> Option<Box<Incoming>> {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// Announces that the connection takes no more calls (GOAWAY); [`accept`](Self::accept) gives those
    /// that are on their way, and ends when the last has ended. Does nothing the second time.
    pub fn drain(&mut self) {
        if self.drain.begin() {
            self.h2.graceful_shutdown();
            self.bell.ring_at_work();
        }
    }

    /// Drains, and says why in a GOAWAY of our own: h2's says nothing.
    fn drain_for(&mut self, reason: &'static str) {
        if matches!(self.drain, Drain::Open) {
            let debug = Bytes::from_static(reason.as_bytes());
            let said = self.tap.push_goaway(NEVER, Reason::NO_ERROR, &debug);
            self.announcements = u32::from(said);
            self.drain();
        }
    }

    /// Closes at once: all calls are cut. [`accept`](Self::accept) ends when the client has been told,
    /// after two seconds at most. Does nothing the second time.
    pub fn close(&mut self) {
        if self.drain.close() {
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
            self.bell.ring_at_work();
        }
    }

    /// Drops the connection, which cuts what is left of it, and waits until the place of every call is
    /// given back: until no handler runs any more.
    pub fn handlers_done(self) -> impl Future<Output = ()> + Send {
        let quota = self.quota.clone();
        drop(self);
        poll_fn(move |cx| quota.poll_unused(cx))
    }

    /// Why the connection ended, once [`accept`](Self::accept) has given `None`; empty if it went well.
    pub fn end_reason(&self) -> &str {
        self.ended.as_deref().unwrap_or_default()
    }

    /// Polls h2 if something has happened for it, and writes what it has written.
    ///
    /// A turn takes one call after the other, and ends when there are no more, or when a portion is full.
    fn poll_turn(&mut self, task: &mut Context<'_>) -> Poll<Option<Box<Incoming>>> {
        self.bell.follow(task);
        let mut accepted = Poll::Pending;
        if self.bell.has_rung() {
            let bell = self.bell.context().waker().clone();
            self.tap.begin_turn();
            accepted = self.poll_accept(&mut Context::from_waker(&bell));
            if accepted.is_ready() {
                // The caller comes back at once: there may be more, and what it does meanwhile wakes nobody.
                self.bell.ring_at_work();
                if !self.portions.call_comes(self.tap.facts().last_read()) {
                    return accepted;
                }
            }
            let (facts, h2) = (self.tap.facts(), &mut self.h2);
            let has_news = self.inflow.look(facts, h2, &mut self.pings);
            if has_news || self.tap.relieve() {
                self.ring();
            }
        }
        self.write();
        if accepted.is_pending() {
            self.portions.turn_ends();
        }
        match self.poll_clocks() {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => accepted,
        }
    }

    /// What time brings: the client asks too often, falls silent, or has had its time.
    fn poll_clocks(&mut self) -> Poll<Option<Box<Incoming>>> {
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        let facts = self.tap.facts();
        if self.strikes.are_too_many(facts, || self.h2.has_streams()) {
            facts.record_end(WireEnd::Violation(Violation {
                code: Reason::ENHANCE_YOUR_CALM,
                text: "too_many_pings".to_owned(),
                in_preface: false,
            }));
            return self.end_now(Ok(()));
        }
        if self.poll_vigil().is_ready() {
            return self.end_now(Err("keepalive ping not acked within timeout".to_owned()));
        }
        while let Poll::Ready(over) = self.poll_life() {
            match over {
                Over::Drain(reason) => self.drain_for(reason),
                Over::Close => self.close(),
            }
            self.ring();
        }
        Poll::Pending
    }

    /// h2 is to be polled in a turn to come.
    fn ring(&self) {
        // Rung while at work the bell would wake nobody.
        let _ = self.bell.has_rung();
        self.bell.context().waker().wake_by_ref();
    }

    /// Asks the client whether it is still there when that is due. Ready when it is not.
    fn poll_vigil(&mut self) -> Poll<()> {
        let Some(vigil) = &mut self.vigil else {
            return Poll::Pending;
        };
        let signs = Signs {
            last_read: self.tap.facts().last_read(),
            has_streams: false,
        };
        while let keepalive::Due::Ping = ready!(vigil.poll(signs, &self.bell.context())) {
            self.pings.send(|| self.h2.ping_pong());
            self.bell.context().waker().wake_by_ref();
        }
        Poll::Ready(())
    }

    fn poll_life(&mut self) -> Poll<Over> {
        let (drain, facts) = (&self.drain, self.tap.facts());
        if facts.is_worn() && matches!(drain, Drain::Open) {
            return Poll::Ready(Over::Drain("worn"));
        }
        let is_told = || drain.is_told(facts, self.announcements);
        let has_streams = || self.h2.has_streams();
        self.life.poll(has_streams, is_told, &self.bell.context())
    }

    /// Writes what h2 has written.
    fn write(&self) {
        // h2 may be waiting for the byte stream, too, which wakes only the last who asked.
        let _ = self.tap.poll_flush(&mut self.bell.context());
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Incoming>>> {
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        let facts = self.tap.facts();
        if self.settings_ack.poll_overdue(facts, cx).is_ready() && self.drain.close() {
            self.h2.abrupt_shutdown(Reason::SETTINGS_TIMEOUT);
        }
        match self.drain.poll_due(cx) {
            Poll::Ready(Due::Acknowledgement) => self.acknowledgement_due(),
            Poll::Ready(Due::Abandon) => {
                return self.end(Err("closing took too long".to_owned()), cx);
            }
            Poll::Pending => {}
        }
        loop {
            let arrival = match ready!(self.poll_arrival(cx)) {
                Ok(Some(arrival)) => arrival,
                Ok(None) => return self.end(Ok(()), cx),
                Err(error) => return self.end(Err(error.to_string()), cx),
            };
            self.life.stream();
            if let Some(incoming) = self.admit(arrival) {
                return Poll::Ready(Some(incoming));
            }
        }
    }

    /// The next call, if there is a place for its handler. Drives the connection all the same if there is
    /// none.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Arrival>, h2::Error>> {
        if self.place.is_none()
            && let Poll::Ready(permit) = self.quota.poll_take(cx)
        {
            self.place = Some(permit);
        }
        if self.place.is_some()
            && let Some(first) = self.line.next(cx)
        {
            return Poll::Ready(Ok(Some(first)));
        }
        while let Poll::Ready(accepted) = self.h2.poll_accept(cx) {
            let arrival = match accepted.transpose()? {
                Some((request, respond)) => Arrival {
                    request,
                    respond,
                    arrived: self.tap.facts().last_read(),
                },
                None => return Poll::Ready(Ok(None)),
            };
            if self.place.is_some() {
                return Poll::Ready(Ok(Some(arrival)));
            }
            self.line.join(arrival, cx);
        }
        if self.tap.facts().handled_resets() {
            // h2 waits for a byte stream that was not asked.
            cx.waker().wake_by_ref();
        }
        if self.drain.is_refusing() && !self.h2.has_streams() {
            // h2 waits for an acknowledgement that does not come.
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
            return self.h2.poll_closed(cx).map_ok(|()| None);
        }
        Poll::Pending
    }

    fn admit(&mut self, arrival: Arrival) -> Option<Box<Incoming>> {
        let Arrival {
            request,
            mut respond,
            arrived,
        } = arrival;
        if self.drain.is_refusing() {
            respond.send_reset(Reason::REFUSED_STREAM);
            return None;
        }
        self.last_stream = respond.stream_id().as_u32();
        let facts = self.tap.facts();
        let (mut parts, body) = request.into_parts();
        match admit(&mut parts, self.header_limit, &mut self.heard) {
            // Boxed once, for it changes hands often on its way to its handler.
            Ok(head) => Some(Box::new(Incoming {
                arrived,
                receiver: Receiver::new(body, head.compression()),
                responder: Responder::new(respond, parts.headers, Arc::clone(facts)),
                permit: self.place.take()?,
                head,
            })),
            Err(Refusal { http, status }) => {
                tracing::debug!(target: "server", client = %self.peer, %status, "call refused");
                refuse(respond, refusal(http, parts.headers, status), facts);
                None
            }
        }
    }

    /// A client that does not say it knows of the drain is told once more, and from which stream on nothing
    /// is done.
    fn acknowledgement_due(&mut self) {
        if self.drain.is_told(self.tap.facts(), self.announcements) {
            // It has acknowledged the drain; its last calls take their time.
            self.drain = Drain::Acknowledged;
            return;
        }
        self.drain = Drain::Refusing;
        let debug = Bytes::from_static(b"graceful_stop");
        self.tap
            .push_goaway(self.last_stream, Reason::NO_ERROR, &debug);
    }

    fn end_now(&mut self, how: Result<(), String>) -> Poll<Option<Box<Incoming>>> {
        let bell = self.bell.context().waker().clone();
        self.end(how, &mut Context::from_waker(&bell))
    }

    fn end(
        &mut self,
        how: Result<(), String>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Box<Incoming>>> {
        let reason = match (self.tap.facts().end(), how) {
            (Some(WireEnd::Violation(violation)), _) => {
                denounce(&self.tap, self.last_stream, &violation, cx);
                violation.text
            }
            (_, Ok(())) => String::new(),
            (_, Err(error)) => error,
        };
        self.ended = Some(reason);
        let _ = self.tap.poll_flush(cx);
        Poll::Ready(None)
    }
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("peer", &self.peer)
            .field("drain", &self.drain)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
