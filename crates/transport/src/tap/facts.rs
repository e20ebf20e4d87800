//! What a tap has learnt about a connection: readable from anywhere, without waiting.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;

use super::incoming::LARGE;
use super::scanner::{GoAway, Settings};
use crate::settings::{DEFAULT_WINDOW, SERVER_RESETS_WAITING};

/// Facts are written before h2 sees the bytes they come from, so whoever h2 wakes finds them here.
///
/// Counters are relaxed: each is true by itself, several of them may be a frame apart.
#[derive(Debug)]
pub(crate) struct Facts {
    created: Instant,
    /// Microseconds from `created` to the last read that gave bytes.
    last_read: AtomicU64,
    /// Bytes, as flow control counts them.
    data_received: AtomicU64,
    window_granted: AtomicU64,
    settings_seen: AtomicBool,
    settings_acked: AtomicU32,
    max_concurrent_streams: AtomicU32,
    initial_window_size: AtomicU32,
    max_header_list_size: AtomicU32,
    /// The highest stream whose HEADERS began to leave.
    headers_sent: AtomicU32,
    pings_received: AtomicU32,
    resets_received: AtomicU32,
    resets_handled: AtomicU32,
    progress_sent: AtomicU32,
    goaways_sent: AtomicU32,
    /// What happens a few times in the life of a connection. Held for look-ups and stores only.
    rare: Mutex<Rare>,
    has_ended: AtomicBool,
    is_worn: AtomicBool,
    has_long_blocks: AtomicBool,
}

/// The length from which a header block is long.
pub(super) const LONG_BLOCK: usize = 4 * 1024;

/// After how many RST_STREAMs a server reads no further until it has looked at all calls that have come, lest h2
/// take a storm of cancellations that was long on its way for an attack.
const RESETS_AT_ONCE: u32 = SERVER_RESETS_WAITING as u32 / 4;

const _: () = {
    // The least that a call and its reset take up: two heads, five indexed headers, a code.
    let shortest_cancelled = 9 + 5 + 9 + 4;
    assert!(
        RESETS_AT_ONCE as usize + LARGE / shortest_cancelled < SERVER_RESETS_WAITING,
        "one more read must not be too much for h2"
    );
};

/// How many streams are remembered for their headers.
const REMEMBERED: usize = 128;

#[derive(Default)]
struct Rare {
    goaway: Option<GoAway>,
    end: Option<WireEnd>,
    /// Streams whose newest header block was long, with its length as it travelled.
    long_blocks: VecDeque<(u32, usize)>,
    /// Streams whose headers begin with a malformed `:status`, and its value.
    malformed: Vec<(u32, String)>,
    /// Told of the first GOAWAY.
    on_goaway: Option<OnGoAway>,
}

/// What is done about the first GOAWAY, before h2 sees it.
type OnGoAway = Box<dyn FnOnce(&GoAway) + Send>;

impl fmt::Debug for Rare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rare")
            .field("goaway", &self.goaway)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Why no more bytes come from, or go to, the peer. The first reason is kept.
#[derive(Clone, Debug)]
pub(crate) enum WireEnd {
    /// The peer closed its direction.
    Eof,
    /// Reading failed.
    Read(Arc<io::Error>),
    /// Writing failed.
    Write(Arc<io::Error>),
    /// The tap saw something that it does not let pass.
    Violation(Violation),
}

/// Something the peer must not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Violation {
    /// What our GOAWAY says.
    pub(crate) code: Reason,
    pub(crate) text: String,
    /// It came in place of the SETTINGS that a connection starts with.
    pub(crate) in_preface: bool,
}

impl Facts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            created: now,
            last_read: AtomicU64::new(0),
            data_received: AtomicU64::new(0),
            window_granted: AtomicU64::new(0),
            settings_seen: AtomicBool::new(false),
            settings_acked: AtomicU32::new(0),
            max_concurrent_streams: AtomicU32::new(u32::MAX),
            initial_window_size: AtomicU32::new(DEFAULT_WINDOW),
            max_header_list_size: AtomicU32::new(u32::MAX),
            headers_sent: AtomicU32::new(0),
            pings_received: AtomicU32::new(0),
            resets_received: AtomicU32::new(0),
            resets_handled: AtomicU32::new(0),
            progress_sent: AtomicU32::new(0),
            goaways_sent: AtomicU32::new(0),
            rare: Mutex::default(),
            has_ended: AtomicBool::new(false),
            is_worn: AtomicBool::new(false),
            has_long_blocks: AtomicBool::new(false),
        }
    }

    /// Whether the peer's first SETTINGS has come, whole.
    pub(crate) fn settings_seen(&self) -> bool {
        self.settings_seen.load(Ordering::Acquire)
    }

    /// How many of our SETTINGS the peer has acknowledged.
    pub(crate) fn settings_acked(&self) -> u32 {
        self.settings_acked.load(Ordering::Relaxed)
    }

    /// The peer's MAX_CONCURRENT_STREAMS; without one, no limit.
    pub(crate) fn max_concurrent_streams(&self) -> u32 {
        self.max_concurrent_streams.load(Ordering::Relaxed)
    }

    /// The peer's INITIAL_WINDOW_SIZE.
    pub(crate) fn initial_window_size(&self) -> u32 {
        self.initial_window_size.load(Ordering::Relaxed)
    }

    /// The peer's MAX_HEADER_LIST_SIZE; without one, no limit.
    pub(crate) fn max_header_list_size(&self) -> u32 {
        self.max_header_list_size.load(Ordering::Relaxed)
    }

    /// When bytes last came from the peer: any bytes are a sign of life.
    pub(crate) fn last_read(&self) -> Instant {
        self.created + Duration::from_micros(self.last_read.load(Ordering::Relaxed))
    }

    /// How many bytes of DATA have come, as flow control counts them: with their padding.
    pub(crate) fn data_received(&self) -> u64 {
        self.data_received.load(Ordering::Relaxed)
    }

    /// How many bytes the peer has been granted on the connection, besides those it starts with.
    pub(crate) fn window_granted(&self) -> u64 {
        self.window_granted.load(Ordering::Relaxed)
    }

    /// The highest stream whose HEADERS have left this machine, at least in part.
    pub(crate) fn headers_sent(&self) -> u32 {
        self.headers_sent.load(Ordering::Acquire)
    }

    /// How many PINGs have come, without acknowledgements of ours.
    pub(crate) fn pings_received(&self) -> u32 {
        self.pings_received.load(Ordering::Relaxed)
    }

    /// How many RST_STREAMs have come.
    #[cfg_attr(not(test), expect(dead_code, reason = "for channelz"))]
    pub(crate) fn resets_received(&self) -> u32 {
        self.resets_received.load(Ordering::Relaxed)
    }

    /// Whether so many RST_STREAMs have come that nothing more is read until they are handled.
    pub(super) fn has_resets_to_handle(&self) -> bool {
        let handled = self.resets_handled.load(Ordering::Relaxed);
        let received = self.resets_received.load(Ordering::Relaxed);
        received.wrapping_sub(handled) > RESETS_AT_ONCE
    }

    /// For a server: all calls that have come have been looked at. Says whether reading had stopped for that.
    pub(crate) fn handled_resets(&self) -> bool {
        let had_stopped = self.has_resets_to_handle();
        let received = self.resets_received.load(Ordering::Relaxed);
        self.resets_handled.store(received, Ordering::Relaxed);
        had_stopped
    }

    /// How many HEADERS and DATA have left.
    pub(crate) fn progress_sent(&self) -> u32 {
        self.progress_sent.load(Ordering::Relaxed)
    }

    /// How many GOAWAYs have left. A server's second says that the client has acknowledged the first.
    pub(crate) fn goaways_sent(&self) -> u32 {
        self.goaways_sent.load(Ordering::Relaxed)
    }

    /// The peer's GOAWAY: the code and text of its first, the last stream of its latest.
    pub(crate) fn goaway(&self) -> Option<GoAway> {
        self.rare().goaway.clone()
    }

    /// Why the wire is at its end, if it is.
    pub(crate) fn end(&self) -> Option<WireEnd> {
        self.rare().end.clone()
    }

    /// Whether the wire is at its end, in either direction.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Whether data that came for streams which were reset here, or the resets that a client provoked, have used
    /// up half of what h2 allows: the connection had better be replaced.
    pub(crate) fn is_worn(&self) -> bool {
        self.is_worn.load(Ordering::Relaxed)
    }

    /// The length of the newest header block of `stream` as it travelled, if it was long: 4 KiB or more.
    ///
    /// h2 cuts trailers that are over its limit and does not say so.
    pub(crate) fn long_block(&self, stream: u32) -> Option<usize> {
        if !self.has_long_blocks.load(Ordering::Acquire) {
            return None;
        }
        let rare = self.rare();
        let mut newest_first = rare.long_blocks.iter().rev();
        let found = newest_first.find(|(id, _)| *id == stream);
        found.map(|(_, length)| *length)
    }

    /// The malformed `:status` that the headers of `stream`, or of any, begin with. For a connection that h2 has
    /// ended: that is what it does when it comes to them.
    pub(crate) fn malformed_status(&self, stream: Option<u32>) -> Option<String> {
        let rare = self.rare();
        let mut oldest_first = rare.malformed.iter();
        let found = oldest_first.find(|(id, _)| stream.is_none_or(|stream| stream == *id));
        found.map(|(_, value)| value.clone())
    }

    /// Has `tell` called with the first GOAWAY, before h2 sees it; at once if it has come.
    pub(crate) fn on_goaway(&self, tell: impl FnOnce(&GoAway) + Send + 'static) {
        let mut rare = self.rare();
        match rare.goaway.clone() {
            Some(goaway) => {
                drop(rare);
                tell(&goaway);
            }
            None => rare.on_goaway = Some(Box::new(tell)),
        }
    }

    fn rare(&self) -> MutexGuard<'_, Rare> {
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how old the connection is by that time.
    pub(super) fn record_read(&self, now: Instant) -> Duration {
        let age = now.saturating_duration_since(self.created);
        let micros = age.as_secs() * 1_000_000 + u64::from(age.subsec_micros());
        self.last_read.store(micros, Ordering::Relaxed);
        age
    }

    /// The first SETTINGS without a limit means that there is none; later ones change what they name.
    pub(super) fn record_settings(&self, settings: Settings) {
        for (value, fact) in [
            (
                settings.max_concurrent_streams,
                &self.max_concurrent_streams,
            ),
            (settings.initial_window_size, &self.initial_window_size),
            (settings.max_header_list_size, &self.max_header_list_size),
        ] {
            if let Some(value) = value {
                fact.store(value, Ordering::Relaxed);
            }
        }
        self.settings_seen.store(true, Ordering::Release);
    }

    pub(super) fn record_long_block(&self, stream: u32, length: usize) {
        let mut rare = self.rare();
        match rare.long_blocks.back_mut() {
            Some((newest, known)) if *newest == stream => *known = length,
            _ => rare.long_blocks.push_back((stream, length)),
        }
        if rare.long_blocks.len() > REMEMBERED {
            rare.long_blocks.pop_front();
        }
        self.has_long_blocks.store(true, Ordering::Release);
    }

    pub(super) fn record_malformed_status(&self, stream: u32, value: String) {
        let malformed = &mut self.rare().malformed;
        if malformed.len() < REMEMBERED {
            malformed.push((stream, value));
        }
    }

    /// Nobody else writes this one, nor the next.
    pub(super) fn record_data(&self, length: u32) {
        let all = self.data_received() + u64::from(length);
        self.data_received.store(all, Ordering::Relaxed);
    }

    pub(super) fn record_window(&self, increment: u32) {
        let all = self.window_granted() + u64::from(increment);
        self.window_granted.store(all, Ordering::Relaxed);
    }

    pub(super) fn record_settings_ack(&self) {
        self.settings_acked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_ping(&self) {
        self.pings_received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_reset(&self) {
        self.resets_received.fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody else writes this one, nor the next.
    pub(super) fn record_headers_sent(&self, stream: u32) {
        let highest = self.headers_sent.load(Ordering::Relaxed).max(stream);
        self.headers_sent.store(highest, Ordering::Release);
    }

    pub(super) fn record_progress_sent(&self) {
        let all = self.progress_sent().wrapping_add(1);
        self.progress_sent.store(all, Ordering::Relaxed);
    }

    pub(super) fn record_goaway_sent(&self) {
        self.goaways_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails if its last stream is one that no client opens, or higher than the one before allowed.
    pub(super) fn record_goaway(&self, new: GoAway) -> Result<(), String> {
        let id = new.last_stream;
        let mut rare = self.rare();
        // 2^31-1 is what a server says that will say more later.
        if id != 0 && id.is_multiple_of(2) {
            return Err(format!(
                "received goaway with non-zero even-numbered stream id: {id}"
            ));
        }
        match &mut rare.goaway {
            Some(previous) if id > previous.last_stream => {
                return Err(format!(
                    "received goaway with stream id: {id}, which exceeds stream id of previous goaway: {}",
                    previous.last_stream
                ));
            }
            Some(previous) => previous.last_stream = id,
            none => {
                *none = Some(new.clone());
                let tell = rare.on_goaway.take();
                drop(rare);
                if let Some(tell) = tell {
                    tell(&new);
                }
            }
        }
        Ok(())
    }

    pub(super) fn record_worn(&self) {
        self.is_worn.store(true, Ordering::Relaxed);
    }

    pub(crate) fn record_end(&self, end: WireEnd) {
        self.rare().end.get_or_insert(end);
        self.has_ended.store(true, Ordering::Release);
    }
}
