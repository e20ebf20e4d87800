//! The bytes to the peer: gathered while h2 works, written in one go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use tokio::io::AsyncWrite as _;

use super::Role;
use super::facts::{Facts, WireEnd};
use super::flood::FloodGuard;
use super::late::LateData;
use super::lull::Lull;
use super::provoked::ProvokedResets;
use super::scanner::{FrameScanner, Seen, kind};
use crate::connect::BoxIo;

/// How much is gathered at most; beyond it h2 waits for the socket.
const LIMIT: usize = 64 * 1024;

/// What a quiet connection keeps to gather in.
const QUIET: usize = 4 * 1024;

/// Who writes less than this at a time is quiet. Far less than what is kept, lest a connection in between
/// gets a larger buffer and gives it back with every write.
const LITTLE: usize = QUIET / 4;

/// What it has from the first write on: room for the preface, and for a call of little.
const FIRST: usize = 256;

#[derive(Debug)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    /// How much is gathered at most.
    limit: usize,
    /// How much of the buffer has been written.
    written: usize,
    lull: Lull,
    /// Watches what has been written, not what has been gathered.
    scanner: FrameScanner,
    /// What has been written may lie in a buffer of the byte stream's, as it does in TLS.
    is_unflushed: bool,
    /// Nothing more can be written. What h2 still writes is thrown away, so that it goes on reading
    /// what the peer had sent before.
    is_broken: bool,
}

impl Outgoing {
    pub(super) fn new(role: Role) -> Self {
        Self {
            buffer: Vec::new(),
            limit: LIMIT,
            written: 0,
            lull: Lull::default(),
            scanner: match role {
                Role::Client => FrameScanner::behind_preface(),
                Role::Server => FrameScanner::new(),
            },
            is_unflushed: false,
            is_broken: false,
        }
    }

    /// Takes of `bytes` what fits. Waits for the socket only if nothing fits.
    pub(super) fn poll_gather(
        &mut self,
        io: &mut BoxIo,
        watch: &mut Watch<'_>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.buffer.len() - self.written >= self.limit
            && self.poll_flush(io, watch, cx).is_pending()
        {
            // What was written has made room.
            self.compact();
            if self.buffer.len() >= self.limit {
                return Poll::Pending;
            }
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(FIRST);
        }
        let room = self.limit.saturating_sub(self.buffer.len() - self.written);
        let count = bytes.len().min(room);
        if !self.is_broken {
            self.buffer.extend_from_slice(&bytes[..count]);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes what has been gathered.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut BoxIo,
        watch: &mut Watch<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            let count = match ready!(Pin::new(&mut *io).poll_write(cx, rest)) {
                Ok(0) => {
                    self.break_off(watch.facts, io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(count) => count,
                Err(error) => {
                    self.break_off(watch.facts, error);
                    break;
                }
            };
            watch.left(&mut self.scanner, &rest[..count]);
            self.written += count;
            self.is_unflushed = true;
        }
        if self.is_unflushed {
            let flushed = ready!(Pin::new(io).poll_flush(cx));
            self.is_unflushed = false;
            if let Err(error) = flushed {
                self.break_off(watch.facts, error);
            }
        }
        self.written = 0;
        if self.buffer.capacity() > QUIET && self.lull.after(self.buffer.len() < LITTLE) {
            self.buffer = Vec::with_capacity(QUIET);
        }
        self.buffer.clear();
        Poll::Ready(())
    }

    /// Takes whatever comes, for the moment.
    pub(super) fn lift_limit(&mut self) {
        self.limit = usize::MAX;
    }

    pub(super) fn restore_limit(&mut self) {
        self.limit = LIMIT;
    }

    fn break_off(&mut self, facts: &Facts, error: io::Error) {
        self.is_broken = true;
        facts.record_end(WireEnd::Write(Arc::new(error)));
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && !self.is_unflushed
    }

    fn compact(&mut self) {
        self.buffer.drain(..self.written);
        self.written = 0;
    }

    /// Adds a GOAWAY behind what h2 has written. Says no if h2 is amid a frame: one more frame would
    /// then garble it.
    pub(super) fn push_goaway(&mut self, last_stream: u32, code: Reason, debug: &Bytes) -> bool {
        let mut ahead = self.scanner.clone();
        let mut rest = &self.buffer[self.written..];
        while ahead.next(&mut rest).is_some() {}
        if !ahead.is_between_frames() || self.is_broken {
            return false;
        }
        let debug = &debug[..debug.len().min(1024)];
        let length = 8 + debug.len() as u32;
        self.buffer.extend_from_slice(&length.to_be_bytes()[1..]);
        self.buffer
            .extend_from_slice(&[kind::GOAWAY, 0, 0, 0, 0, 0]);
        self.buffer.extend_from_slice(&last_stream.to_be_bytes());
        self.buffer
            .extend_from_slice(&u32::from(code).to_be_bytes());
        self.buffer.extend_from_slice(debug);
        true
    }
}

/// Who is told of what has left.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    pub(super) facts: &'a Facts,
    pub(super) floods: &'a mut FloodGuard,
    pub(super) late: &'a mut LateData,
    pub(super) provoked: &'a mut ProvokedResets,
}

impl Watch<'_> {
    fn left(&mut self, scanner: &mut FrameScanner, mut bytes: &[u8]) {
        while let Some(seen) = scanner.next(&mut bytes) {
            let head = match seen {
                Seen::Head(head) => head,
                Seen::WindowUpdate(increment) => {
                    self.facts.record_window(increment);
                    continue;
                }
                Seen::Reset(code) => {
                    if self.provoked.reset_out(code) {
                        self.facts.record_worn();
                    }
                    continue;
                }
                Seen::Settings(_) | Seen::GoAway(_) | Seen::MalformedStatus { .. } => continue,
            };
            match head.kind {
                kind::HEADERS => {
                    self.facts.record_headers_sent(head.stream);
                    self.floods.headers_out();
                }
                kind::DATA | kind::CONTINUATION => self.floods.progress_out(),
                kind::RST_STREAM => {
                    self.late.reset_out(head.stream);
                    continue;
                }
                kind::GOAWAY => {
                    self.facts.record_goaway_sent();
                    continue;
                }
                _ => continue,
            }
            self.facts.record_progress_sent();
        }
    }
}
