//! Limits on how much a peer may make us work without any call getting on.
//!
//! h2 parses PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, PRIORITY and unknown frames without any limit.
//! A frame that an honest peer sends because of our own HEADERS or DATA must never count against it:
//! grpc-go sends one PING a round trip while it receives data, and two WINDOW_UPDATEs for every few
//! DATA frames.

use std::time::Duration;

use super::Role;
use super::scanner::{FrameHead, kind};

/// The span over which frames are counted.
const SPAN: Duration = Duration::from_secs(10);

/// PINGs in a span, counted anew whenever HEADERS or DATA leave.
const PINGS: u32 = 100;

/// SETTINGS in a span. A peer that measures its bandwidth sends about ten in its life.
const SETTINGS: u32 = 20;

/// Frames in a span that carry no call forward; every HEADERS and DATA, either way, makes up for four.
const IDLE_FRAMES: u32 = 10_000;
const MADE_UP_FOR: u32 = 4;

/// RST_STREAMs in a span, each made up for by HEADERS that leave: who lets every other call be answered may
/// cancel the rest, however many they are. Without any answers these are a hundred streams whose calls are all
/// given up after 10 ms; the limit on running handlers bounds what that costs a server.
const RESETS: u32 = 100_000;

/// HEADERS without END_STREAM on one stream: the headers, and interim (1xx) responses before them.
const OPEN_HEADERS: u32 = 8;

/// How many streams the last limit is watched on at a time.
const WATCHED: usize = 16;

/// Counts the frames of one peer.
#[derive(Debug)]
pub(super) struct FloodGuard {
    /// Which end this is; the frames are its peer's.
    role: Role,
    /// When the span began, by the age of the connection.
    since: Duration,
    pings: u32,
    settings: u32,
    idle_frames: u32,
    resets: u32,
    /// For a stream id and its neighbours 32 ids on: who had HEADERS without END_STREAM last, in the upper 28
    /// bits, and how many. Boxed on first use, which only a client makes.
    open_headers: Option<Box<[u32; WATCHED]>>,
}

impl FloodGuard {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            since: Duration::ZERO,
            pings: 0,
            settings: 0,
            idle_frames: 0,
            resets: 0,
            open_headers: None,
        }
    }

    /// HEADERS leave: a call begins or is answered.
    pub(super) fn headers_out(&mut self) {
        self.resets = self.resets.saturating_sub(1);
        self.progress_out();
    }

    /// HEADERS or DATA leave: what the peer now sends may be an answer.
    pub(super) fn progress_out(&mut self) {
        self.pings = 0;
        self.progress();
    }

    fn progress(&mut self) {
        self.idle_frames = self.idle_frames.saturating_sub(MADE_UP_FOR);
    }

    /// Bytes have come when the connection had this age: a new span may have begun.
    pub(super) fn read_at(&mut self, age: Duration) {
        if age.saturating_sub(self.since) >= SPAN {
            self.since = age;
            (self.pings, self.settings, self.idle_frames, self.resets) = (0, 0, 0, 0);
        }
    }

    /// A frame has come. Says which limit it is over, in words for GOAWAY's debug data.
    pub(super) fn frame_in(&mut self, head: FrameHead) -> Result<(), &'static str> {
        match head.kind {
            kind::DATA => self.progress(),
            kind::HEADERS if head.ends_stream() => self.progress(),
            // A client's begin a call, and how many of those there are is limited.
            kind::HEADERS if self.role == Role::Server => {}
            kind::HEADERS => {
                count(&mut self.idle_frames, IDLE_FRAMES, "too_many_headers")?;
                self.open_headers(head.stream)?;
            }
            kind::PING if !head.is_ack() => count(&mut self.pings, PINGS, "too_many_pings")?,
            kind::SETTINGS if !head.is_ack() => {
                count(&mut self.settings, SETTINGS, "too_many_settings")?;
            }
            kind::RST_STREAM => count(&mut self.resets, RESETS, "too_many_resets")?,
            _ => count(&mut self.idle_frames, IDLE_FRAMES, "too_many_idle_frames")?,
        }
        Ok(())
    }

    fn open_headers(&mut self, stream: u32) -> Result<(), &'static str> {
        let watched = self
            .open_headers
            .get_or_insert_with(|| Box::new([0; WATCHED]));
        let entry = &mut watched[(stream >> 1) as usize % WATCHED];
        // Its place in the table says the rest of a stream's id.
        let id = (stream >> 5) << 4;
        if *entry & !0xf != id {
            *entry = id;
        }
        if *entry & 0xf == OPEN_HEADERS {
            return Err("too_many_informational_headers");
        }
        *entry += 1;
        Ok(())
    }
}

fn count(counter: &mut u32, limit: u32, text: &'static str) -> Result<(), &'static str> {
    *counter += 1;
    if *counter > limit { Err(text) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u8, flags: u8, stream: u32) -> FrameHead {
        FrameHead {
            length: 0,
            kind,
            flags,
            stream,
        }
    }

    /// How many of a kind of frame pass within one span.
    fn passed(kind: u8, flags: u8) -> u32 {
        let mut guard = FloodGuard::new(Role::Client);
        (0..200_000)
            .find(|_| guard.frame_in(head(kind, flags, 1)).is_err())
            .unwrap_or(u32::MAX)
    }

    #[test]
    fn floods_meet_their_limit() {
        assert_eq!(passed(kind::PING, 0), 100);
        assert_eq!(passed(kind::SETTINGS, 0), 20);
        assert_eq!(passed(kind::RST_STREAM, 0), 100_000);
        assert_eq!(passed(8, 0), 10_000, "WINDOW_UPDATE");
        assert_eq!(passed(2, 0), 10_000, "PRIORITY");
        assert_eq!(passed(99, 0), 10_000, "unknown");
        assert_eq!(passed(kind::PING, 1), 10_000, "PING's acknowledgement");
        assert_eq!(passed(kind::HEADERS, 0), 8, "1xx on one stream");
        assert_eq!(passed(kind::DATA, 0), u32::MAX);
        assert_eq!(passed(kind::HEADERS, 1), u32::MAX);
    }

    #[test]
    fn interim_headers_spread_over_streams_meet_a_limit_too() {
        let mut guard = FloodGuard::new(Role::Client);
        let streams = [1, 33].into_iter().cycle().take(20_000);
        let refused = streams
            .filter(|id| guard.frame_in(head(kind::HEADERS, 0, *id)).is_err())
            .count();
        assert_eq!(refused, 10_000);
    }

    #[test]
    fn a_peer_that_answers_our_data_is_never_over_a_limit() {
        let mut guard = FloodGuard::new(Role::Client);
        for _ in 0..50_000 {
            guard.progress_out();
            for kind in [kind::PING, 8, 8] {
                guard.frame_in(head(kind, 0, 0)).unwrap();
            }
        }
    }

    #[test]
    fn a_peer_that_cancels_every_other_call_is_never_over_a_limit() {
        let mut guard = FloodGuard::new(Role::Server);
        for _ in 0..500_000 {
            guard.headers_out();
            guard.frame_in(head(kind::HEADERS, 0, 1)).unwrap();
            guard.frame_in(head(kind::HEADERS, 0, 3)).unwrap();
            guard.frame_in(head(kind::RST_STREAM, 0, 3)).unwrap();
        }
    }

    #[test]
    fn a_new_span_counts_anew() {
        let mut age = Duration::ZERO;
        let mut guard = FloodGuard::new(Role::Client);
        for _ in 0..30 {
            for _ in 0..20 {
                guard.frame_in(head(kind::SETTINGS, 0, 0)).unwrap();
            }
            age += SPAN;
            guard.read_at(age);
        }
    }
}
