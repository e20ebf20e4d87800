//! The bytes from the peer: read in large pieces, watched, then handed to h2.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;

use super::facts::{Facts, LONG_BLOCK, Violation, WireEnd};
use super::flood::FloodGuard;
use super::late::LateData;
use super::lull::Lull;
use super::outgoing::Watch;
use super::provoked::ProvokedResets;
use super::scanner::{FrameHead, FrameScanner, Seen, Settings, kind};
use super::{Role, TapError};
use crate::connect::BoxIo;

/// The least room in h2's buffer that is read into. As h2 takes frames out of it, the room there falls to
/// nothing, and then there is all of it again.
const ROOM: usize = 512;

/// What is read otherwise while the connection is quiet.
const SMALL: usize = 1024;

/// What comes at a time on a busy connection, at least.
const BUSY: usize = 4 * 1024;

/// What a busy one reads at a time. One read then serves many frames.
pub(super) const LARGE: usize = 64 * 1024;

/// A burst below this is that of a quiet connection. Far below what the large buffer is got for, lest a
/// connection in between gets it and gives it back with every burst.
const LITTLE: usize = BUSY / 4;

/// How a TLS server begins to answer who does not speak TLS: with a record of type alert.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

#[derive(Debug)]
pub(super) struct Incoming {
    role: Role,
    /// What is read into in place of h2's buffer: while the connection is busy, and for want of room there. A
    /// quiet connection has none.
    buffer: Vec<u8>,
    /// The part of it that has been read and watched, and not yet been taken by h2.
    unread: Range<usize>,
    /// More comes at a time than h2's buffer holds.
    is_busy: bool,
    /// How much has come since the connection last waited.
    burst: usize,
    lull: Lull,
    scanner: FrameScanner,
    /// The first bytes ever, for telling what answers in HTTP/2's place.
    opening: Vec<u8>,
    is_first_frame: bool,
    /// How long the header block under way is so far.
    block: usize,
    floods: FloodGuard,
    late: LateData,
    provoked: ProvokedResets,
}

impl Incoming {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            buffer: Vec::new(),
            unread: 0..0,
            is_busy: false,
            burst: 0,
            lull: Lull::default(),
            scanner: match role {
                Role::Client => FrameScanner::new(),
                Role::Server => FrameScanner::behind_preface(),
            },
            opening: Vec::new(),
            is_first_frame: true,
            block: 0,
            floods: FloodGuard::new(role),
            late: LateData::new(role),
            provoked: ProvokedResets::new(role),
        }
    }

    /// Those who count what comes, and are to be told of what leaves.
    pub(super) fn watch<'a>(&'a mut self, facts: &'a Facts) -> Watch<'a> {
        Watch {
            facts,
            floods: &mut self.floods,
            late: &mut self.late,
            provoked: &mut self.provoked,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        io: &mut BoxIo,
        facts: &Facts,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            if self.role == Role::Server && facts.has_resets_to_handle() {
                return Poll::Pending;
            }
            if !self.is_busy && out.remaining() >= ROOM {
                return self.read(io, facts, cx, out);
            }
            ready!(self.fill(io, facts, cx))?;
        }
        let length = out.remaining().min(self.unread.len());
        out.put_slice(&self.buffer[self.unread.start..][..length]);
        self.unread.start += length;
        Poll::Ready(Ok(()))
    }

    /// Reads once, into the buffer. Leaves nothing unread at the end of the stream.
    fn fill(
        &mut self,
        io: &mut BoxIo,
        facts: &Facts,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let size = if self.is_busy { LARGE } else { SMALL };
        // Lent out, for what is recorded is part of the same struct.
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() != size {
            buffer = vec![0; size];
        }
        let mut space = ReadBuf::new(&mut buffer);
        let polled = self.read(io, facts, cx, &mut space);
        self.unread = match polled {
            Poll::Ready(Ok(())) => 0..space.filled().len(),
            Poll::Ready(Err(_)) | Poll::Pending => 0..0,
        };
        if polled.is_ready() || self.is_busy {
            self.buffer = buffer;
        }
        polled
    }

    /// Reads once, and looks at what has come.
    fn read(
        &mut self,
        io: &mut BoxIo,
        facts: &Facts,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (start, room) = (space.filled().len(), space.remaining());
        match Pin::new(io).poll_read(cx, space) {
            Poll::Pending => {
                self.settle();
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => {
                let error = Arc::new(error);
                facts.record_end(WireEnd::Read(Arc::clone(&error)));
                return Poll::Ready(Err(io::Error::new(error.kind(), error)));
            }
            Poll::Ready(Ok(())) => {}
        }
        let bytes = &space.filled()[start..];
        if bytes.is_empty() {
            facts.record_end(WireEnd::Eof);
            return Poll::Ready(Ok(()));
        }
        self.burst += bytes.len();
        if bytes.len() == room && self.burst >= BUSY {
            self.is_busy = true;
        }
        let age = facts.record_read(Instant::now());
        self.floods.read_at(age);
        if let Err(violation) = self.look(bytes, facts) {
            // Whoever gets an error gets no bytes with it.
            space.set_filled(start);
            facts.record_end(WireEnd::Violation(violation.clone()));
            let error = io::Error::new(io::ErrorKind::InvalidData, TapError(violation));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    /// The peer is quiet. Behind a few bursts of little, so is the connection. That nothing has come says nothing: h2
    /// looks for more each time it has something to write.
    fn settle(&mut self) {
        if self.is_busy && self.burst > 0 && self.lull.after(self.burst < LITTLE) {
            self.is_busy = false;
        }
        if !self.is_busy {
            self.buffer = Vec::new();
        }
        self.burst = 0;
    }

    /// Looks at what has just been read.
    fn look(&mut self, mut bytes: &[u8], facts: &Facts) -> Result<(), Violation> {
        if self.is_first_frame {
            let room = 64_usize.saturating_sub(self.opening.len());
            self.opening.extend(bytes.iter().take(room));
            if self.role == Role::Client && self.opening.starts_with(&TLS_ALERT) {
                // Shorter than the head of a frame, and the server closes behind it.
                let text = "the server speaks TLS, and this end does not";
                return Err(not_http2(text.to_owned()));
            }
        }
        while let Some(seen) = self.scanner.next(&mut bytes) {
            self.record(seen, facts)?;
        }
        Ok(())
    }

    fn record(&mut self, seen: Seen, facts: &Facts) -> Result<(), Violation> {
        match seen {
            Seen::Head(head) => {
                self.first_frame(head, facts)?;
                match head.kind {
                    kind::DATA => {
                        facts.record_data(head.length);
                        if self.late.data_in(head) {
                            facts.record_worn();
                        }
                    }
                    kind::SETTINGS if head.is_ack() => facts.record_settings_ack(),
                    kind::PING if !head.is_ack() => facts.record_ping(),
                    kind::RST_STREAM => facts.record_reset(),
                    kind::HEADERS | kind::CONTINUATION => self.header_block(head, facts),
                    _ => {}
                }
                self.floods.frame_in(head).map_err(flood)
            }
            Seen::Settings(settings) => {
                self.judge(settings)?;
                facts.record_settings(settings);
                Ok(())
            }
            Seen::WindowUpdate(_) | Seen::Reset(_) => Ok(()),
            Seen::MalformedStatus { stream, value } => {
                facts.record_malformed_status(stream, value);
                Ok(())
            }
            // A client's GOAWAY speaks of streams that the server pushes: there are none.
            Seen::GoAway(_) if self.role == Role::Server => Ok(()),
            Seen::GoAway(goaway) => facts.record_goaway(goaway).map_err(broken),
        }
    }

    /// What h2 does not: a server may not say that it pushes (RFC 9113, section 6.5.2).
    fn judge(&self, settings: Settings) -> Result<(), Violation> {
        match (self.role, settings.enable_push) {
            (Role::Server, _) | (Role::Client, None | Some(0)) => Ok(()),
            (Role::Client, Some(_)) => {
                let text = "the server broke HTTP/2: it enables push";
                Err(broken(text.to_owned()))
            }
        }
    }

    fn header_block(&mut self, head: FrameHead, facts: &Facts) {
        if head.kind == kind::HEADERS {
            self.block = 0;
        }
        self.block += head.length as usize;
        if self.block >= LONG_BLOCK {
            facts.record_long_block(head.stream, self.block);
        }
    }

    /// Both ends start with SETTINGS. What h2 would make of anything else says little.
    fn first_frame(&mut self, head: FrameHead, facts: &Facts) -> Result<(), Violation> {
        if !std::mem::replace(&mut self.is_first_frame, false) {
            return Ok(());
        }
        let opening = std::mem::take(&mut self.opening);
        let is_settings = head.kind == kind::SETTINGS && !head.is_ack() && head.stream == 0;
        if is_settings {
            if head.length == 0 {
                facts.record_settings(Settings::default());
            }
            return Ok(());
        }
        Err(not_http2(
            if self.role == Role::Client && opening.starts_with(b"HTTP/") {
                let line = opening.split(|byte| *byte == b'\r').next().unwrap_or(&[]);
                format!(
                    "the server answers in HTTP/1.1, not in HTTP/2: {:?}",
                    String::from_utf8_lossy(line)
                )
            } else {
                format!(
                    "initial http2 frame from {} is not a settings frame: {}",
                    self.role.peer(),
                    head.name()
                )
            },
        ))
    }
}

fn not_http2(text: String) -> Violation {
    Violation {
        in_preface: true,
        ..broken(text)
    }
}

fn broken(text: String) -> Violation {
    Violation {
        code: Reason::PROTOCOL_ERROR,
        text,
        in_preface: false,
    }
}

fn flood(text: &str) -> Violation {
    Violation {
        code: Reason::ENHANCE_YOUR_CALM,
        text: text.to_owned(),
        in_preface: false,
    }
}
