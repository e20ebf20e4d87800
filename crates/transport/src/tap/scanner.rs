//! Finds the frames in one direction of a connection, however the bytes are cut.
//!
//! ```text
//!   Preface(n) ──► Head ──► Payload ──► Head ──► …      SETTINGS, GOAWAY, RST_STREAM and the connection's
//!   24 bytes       9 bytes  `length`                    WINDOW_UPDATE: kept; HEADERS that may begin with a
//!                                                       `:status` spelled out: their front; all others: payload
//!                                                       passed over
//! ```

use bytes::Bytes;
use h2::Reason;

use super::status_field;

/// The magic that a client's bytes start with.
pub(super) const PREFACE_LEN: usize = 24;

const HEAD_LEN: usize = 9;

/// How much of a payload is kept: all of any SETTINGS that h2 accepts. Of HEADERS, less.
const KEPT: usize = 16 * 1024;

/// The types of frames that are told apart here.
pub(super) mod kind {
    pub(in crate::tap) const DATA: u8 = 0;
    pub(in crate::tap) const HEADERS: u8 = 1;
    pub(in crate::tap) const RST_STREAM: u8 = 3;
    pub(in crate::tap) const SETTINGS: u8 = 4;
    pub(in crate::tap) const PING: u8 = 6;
    pub(in crate::tap) const GOAWAY: u8 = 7;
    pub(in crate::tap) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::tap) const CONTINUATION: u8 = 9;
}

/// ACK of SETTINGS and PING; END_STREAM of DATA and HEADERS.
const FLAG_ONE: u8 = 1;

/// The nine bytes that every frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    fn parse(bytes: &[u8; HEAD_LEN]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// Whether this is an acknowledgement. For SETTINGS and PING.
    pub(super) fn is_ack(self) -> bool {
        self.flags & FLAG_ONE != 0
    }

    /// Whether the stream's direction ends with it. For DATA and HEADERS.
    pub(super) fn ends_stream(self) -> bool {
        self.flags & FLAG_ONE != 0
    }

    /// Whether its payload is read here.
    fn has_news(self) -> bool {
        match self.kind {
            kind::SETTINGS => !self.is_ack(),
            kind::GOAWAY | kind::RST_STREAM => true,
            kind::WINDOW_UPDATE => self.stream == 0,
            _ => false,
        }
    }

    /// How much of its payload is read here, if any.
    fn most_read(self) -> usize {
        match self.kind {
            kind::HEADERS => status_field::FRONT,
            _ => KEPT,
        }
    }

    /// The name of the frame's type, for people.
    pub(super) fn name(self) -> &'static str {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        NAMES
            .get(usize::from(self.kind))
            .copied()
            .unwrap_or("a frame of unknown type")
    }
}

/// The settings of a peer that matter here; `None` where its SETTINGS said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) enable_push: Option<u32>,
    pub(super) max_concurrent_streams: Option<u32>,
    pub(super) initial_window_size: Option<u32>,
    pub(super) max_header_list_size: Option<u32>,
}

impl Settings {
    /// Identifiers as in RFC 9113; the last of several values counts.
    fn parse(payload: &[u8]) -> Self {
        let mut settings = Self::default();
        for entry in payload.chunks_exact(6) {
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            match u16::from_be_bytes([entry[0], entry[1]]) {
                2 => settings.enable_push = Some(value),
                3 => settings.max_concurrent_streams = Some(value),
                4 => settings.initial_window_size = Some(value),
                6 => settings.max_header_list_size = Some(value),
                _ => {}
            }
        }
        settings
    }
}

/// A GOAWAY of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoAway {
    /// The highest stream that the peer may have worked on.
    pub(crate) last_stream: u32,
    pub(crate) code: Reason,
    pub(crate) debug: Bytes,
}

impl GoAway {
    /// A frame with a shorter payload is malformed; h2 says so to the peer.
    fn parse(payload: &[u8]) -> Option<Self> {
        let (fixed, debug) = payload.split_first_chunk::<8>()?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *fixed;
        Some(Self {
            last_stream: u32::from_be_bytes([l0, l1, l2, l3]) & 0x7fff_ffff,
            code: Reason::from(u32::from_be_bytes([c0, c1, c2, c3])),
            debug: Bytes::copy_from_slice(&debug[..debug.len().min(1024)]),
        })
    }
}

/// What the bytes turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A frame begins.
    Head(FrameHead),
    /// A whole SETTINGS, not an acknowledgement; follows its head.
    Settings(Settings),
    /// A whole GOAWAY; follows its head.
    GoAway(GoAway),
    /// A WINDOW_UPDATE of the connection; follows its head.
    WindowUpdate(u32),
    /// The code of a RST_STREAM; follows its head.
    Reset(Reason),
    /// The `:status` of HEADERS, for people, if they begin with one that is not HTTP's; follows their head.
    MalformedStatus { stream: u32, value: String },
}

/// One direction's frames. Total: any bytes in any pieces give the same result, and never a panic.
#[derive(Clone, Debug)]
pub(super) struct FrameScanner {
    state: State,
    /// Whether HEADERS have a `:status`.
    has_replies: bool,
}

#[derive(Clone, Debug)]
enum State {
    Preface {
        left: usize,
    },
    BetweenFrames,
    /// The start of a frame, which the bytes so far cut short.
    Head {
        bytes: [u8; HEAD_LEN],
        filled: usize,
    },
    Skipped {
        left: usize,
    },
    Kept {
        head: FrameHead,
        payload: Vec<u8>,
        left: usize,
    },
}

impl FrameScanner {
    /// A direction that starts with a frame: server to client.
    pub(super) fn new() -> Self {
        Self {
            state: State::BetweenFrames,
            has_replies: true,
        }
    }

    /// A direction that starts with the client's preface.
    pub(super) fn behind_preface() -> Self {
        Self {
            state: State::Preface { left: PREFACE_LEN },
            has_replies: false,
        }
    }

    /// Whether the bytes so far end where a frame ends.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.state, State::BetweenFrames)
    }

    /// Takes bytes off the front up to the next thing worth telling; `None` when none are left.
    // The compiler thinks it too large, and not to have it inlined costs a call 300 instructions.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Seen> {
        if bytes.is_empty() {
            return None;
        }
        if matches!(self.state, State::BetweenFrames)
            && let Some(head) = pass_over(bytes, self.has_replies)
        {
            return Some(Seen::Head(head));
        }
        self.piece_together(bytes)
    }

    #[inline(never)]
    fn piece_together(&mut self, bytes: &mut &[u8]) -> Option<Seen> {
        while !bytes.is_empty() {
            if let Some(seen) = self.step(bytes) {
                return Some(seen);
            }
        }
        None
    }

    fn step(&mut self, bytes: &mut &[u8]) -> Option<Seen> {
        let has_replies = self.has_replies;
        match &mut self.state {
            State::Preface { left } | State::Skipped { left } => {
                *left -= take(bytes, *left).len();
                if *left == 0 {
                    self.state = State::BetweenFrames;
                }
                None
            }
            State::BetweenFrames => {
                self.state = State::Head {
                    bytes: [0; HEAD_LEN],
                    filled: 0,
                };
                None
            }
            State::Head {
                bytes: head,
                filled,
            } => {
                let piece = take(bytes, HEAD_LEN - *filled);
                head[*filled..*filled + piece.len()].copy_from_slice(piece);
                *filled += piece.len();
                if *filled < HEAD_LEN {
                    return None;
                }
                let head = FrameHead::parse(head);
                self.state = Self::payload_of(head, has_replies);
                Some(Seen::Head(head))
            }
            State::Kept {
                head,
                payload,
                left,
            } => {
                let piece = take(bytes, *left);
                *left -= piece.len();
                let most = head.most_read();
                if *left == 0 && payload.is_empty() {
                    // It came in one piece: nothing has to be kept of it.
                    let seen = complete(*head, &piece[..piece.len().min(most)]);
                    self.state = State::BetweenFrames;
                    return seen;
                }
                let room = most - payload.len();
                payload.extend_from_slice(&piece[..piece.len().min(room)]);
                if *left > 0 {
                    return None;
                }
                let seen = complete(*head, payload);
                self.state = State::BetweenFrames;
                seen
            }
        }
    }

    fn payload_of(head: FrameHead, has_replies: bool) -> State {
        let left = head.length as usize;
        match left {
            0 => State::BetweenFrames,
            _ if head.has_news() || head.kind == kind::HEADERS && has_replies => State::Kept {
                head,
                payload: Vec::new(),
                left,
            },
            _ => State::Skipped { left },
        }
    }
}

/// Takes a frame off the front whose payload is of no interest, if all of it is there: as nearly every
/// frame is, so that nothing has to be remembered of it.
#[inline(always)]
fn pass_over(bytes: &mut &[u8], has_replies: bool) -> Option<FrameHead> {
    let (head, rest) = bytes.split_first_chunk()?;
    let head = FrameHead::parse(head);
    if head.has_news() {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(head.length as usize)?;
    if head.kind == kind::HEADERS && status_field::may_begin(head.flags, payload) && has_replies {
        return None;
    }
    *bytes = rest;
    Some(head)
}

/// Up to `most` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at(bytes.len().min(most));
    *bytes = rest;
    front
}

fn complete(head: FrameHead, payload: &[u8]) -> Option<Seen> {
    match head.kind {
        kind::SETTINGS => Some(Seen::Settings(Settings::parse(payload))),
        kind::WINDOW_UPDATE => {
            let increment = u32::from_be_bytes(*payload.first_chunk()?);
            Some(Seen::WindowUpdate(increment & 0x7fff_ffff))
        }
        kind::RST_STREAM => {
            let code = u32::from_be_bytes(*payload.first_chunk()?);
            Some(Seen::Reset(Reason::from(code)))
        }
        kind::HEADERS => {
            let value = status_field::malformed(head, payload)?;
            let stream = head.stream;
            Some(Seen::MalformedStatus { stream, value })
        }
        _ => GoAway::parse(payload).map(Seen::GoAway),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn scan(mut scanner: FrameScanner, pieces: &[&[u8]]) -> Vec<Seen> {
        let mut all = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(seen) = scanner.next(&mut piece) {
                all.push(seen);
            }
        }
        all
    }

    #[test]
    fn settings_and_goaway_are_read_and_the_rest_is_passed_over() {
        let mut bytes = vec![7; PREFACE_LEN];
        let settings = [0, 3, 0, 0, 0, 9, 0, 4, 0, 1, 0, 0, 0, 6, 0, 0, 0x40, 0];
        bytes.extend(frame(kind::SETTINGS, 0, 0, &settings));
        bytes.extend(frame(kind::DATA, 1, 1 << 31 | 5, &[4; 30]));
        bytes.extend(frame(
            kind::GOAWAY,
            0,
            0,
            b"\0\0\0\x05\0\0\0\x0btoo_many_pings",
        ));
        bytes.extend(frame(kind::GOAWAY, 0, 0, b"short"));
        let seen = scan(FrameScanner::behind_preface(), &[&bytes]);
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert_eq!(
            seen[1],
            Seen::Settings(Settings {
                enable_push: None,
                max_concurrent_streams: Some(9),
                initial_window_size: Some(0x1_0000),
                max_header_list_size: Some(0x4000),
            })
        );
        let Seen::Head(data) = seen[2] else { panic!() };
        assert!(data.stream == 5 && data.length == 30 && data.ends_stream());
        assert_eq!(
            seen[4],
            Seen::GoAway(GoAway {
                last_stream: 5,
                code: Reason::ENHANCE_YOUR_CALM,
                debug: Bytes::from_static(b"too_many_pings"),
            })
        );
    }

    #[test]
    fn an_acknowledgement_is_no_settings() {
        let bytes = frame(kind::SETTINGS, 1, 0, b"");
        let seen = scan(FrameScanner::new(), &[&bytes]);
        assert!(matches!(seen[..], [Seen::Head(head)] if head.is_ack()));
    }

    #[test]
    fn a_payload_beyond_what_is_kept_is_passed_over() {
        let mut bytes = frame(kind::GOAWAY, 0, 0, &vec![1; 100_000]);
        bytes.extend(frame(kind::PING, 0, 0, &[0; 8]));
        let seen = scan(FrameScanner::new(), &[&bytes]);
        assert!(matches!(&seen[1], Seen::GoAway(goaway) if goaway.debug.len() == 1024));
        assert!(matches!(seen[2], Seen::Head(head) if head.kind == kind::PING));
    }

    #[test]
    fn the_status_of_replies_is_looked_at() {
        let mut bytes = Vec::new();
        for (stream, block) in [
            (1, &b"\x88"[..]),
            (3, b"\x48\x03200"),
            (5, b"\x48\x03abc"),
            (7, b""),
        ] {
            bytes.extend(frame(kind::HEADERS, 4, stream, block));
        }
        let mut seen = scan(FrameScanner::new(), &[&bytes]);
        let malformed = Seen::MalformedStatus {
            stream: 5,
            value: "\"abc\"".to_owned(),
        };
        assert_eq!(seen.remove(3), malformed, "behind its head");
        let heads = seen.iter().filter(|seen| matches!(seen, Seen::Head(_)));
        assert_eq!((heads.count(), seen.len()), (4, 4));
        bytes.splice(..0, [7; PREFACE_LEN]);
        let seen = scan(FrameScanner::behind_preface(), &[&bytes]);
        assert_eq!(seen.len(), 4, "requests have none: {seen:?}");
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..100);
        let status = (any::<bool>(), any::<u8>(), bytes());
        let status = status.prop_map(|(is_named, length, rest)| {
            let name: &[u8] = if is_named {
                b"\x40\x07:status"
            } else {
                b"\x48"
            };
            [name, &[length % 128], &rest].concat()
        });
        prop_oneof![bytes(), status]
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            frames in prop::collection::vec((0..11_u8, 0..3_u8, any::<u32>(), payload()), 0..10),
            cuts in prop::collection::vec(0..1000_usize, 0..40),
        ) {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload))
                .collect();
            let whole = scan(FrameScanner::new(), &[&bytes]);
            let heads = whole.iter().filter(|seen| matches!(seen, Seen::Head(_))).count();
            prop_assert_eq!(heads, frames.len());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(scan(FrameScanner::new(), &pieces), whole);
        }

        #[test]
        fn arbitrary_bytes_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            scan(FrameScanner::new(), &pieces);
            scan(FrameScanner::behind_preface(), &pieces);
        }
    }
}
