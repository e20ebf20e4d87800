//! HTTP/2 frames, written and read without judgement: a script may send what no HTTP/2 library would.

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// One frame. What a script has no name for travels as [`Frame::Other`].
///
/// `Debug` gives one short line: long payloads are shown by their length.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// DATA.
    Data {
        /// The stream it is for.
        stream: u32,
        /// What it carries.
        data: Bytes,
        /// END_STREAM.
        end: bool,
        /// How many bytes of padding come behind the data.
        padding: u8,
    },
    /// HEADERS, always with END_HEADERS.
    Headers {
        /// The stream it is for.
        stream: u32,
        /// The header block, compressed by HPACK. [`header_block`] makes one.
        block: Bytes,
        /// END_STREAM.
        end: bool,
    },
    /// RST_STREAM.
    Reset {
        /// The stream it ends.
        stream: u32,
        /// The error code.
        code: u32,
    },
    /// SETTINGS, as identifiers and values.
    Settings(Vec<(u16, u32)>),
    /// The acknowledgement of SETTINGS.
    SettingsAck,
    /// PING.
    Ping {
        /// Whether it answers another.
        ack: bool,
        /// Eight bytes that the answer repeats.
        payload: [u8; 8],
    },
    /// GOAWAY.
    GoAway {
        /// The last stream that the sender may have worked on.
        last_stream: u32,
        /// The error code.
        code: u32,
        /// More, for people.
        debug: Bytes,
    },
    /// WINDOW_UPDATE.
    WindowUpdate {
        /// The stream, or 0 for the connection.
        stream: u32,
        /// By how many bytes the window grows.
        increment: u32,
    },
    /// Any other frame, and one of the above whose payload does not fit it.
    Other {
        /// The frame's type.
        kind: u8,
        /// The frame's flags.
        flags: u8,
        /// The stream it is for.
        stream: u32,
        /// What it carries.
        payload: Bytes,
    },
}

/// ACK, and END_STREAM.
const FIRST_FLAG: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

impl Frame {
    /// DATA without padding.
    pub fn data(stream: u32, data: impl Into<Bytes>, end: bool) -> Self {
        Self::Data {
            stream,
            data: data.into(),
            end,
            padding: 0,
        }
    }

    /// HEADERS with these fields, pseudo headers among them.
    pub fn headers(stream: u32, fields: &[(&str, &str)], end: bool) -> Self {
        Self::Headers {
            stream,
            block: header_block(fields),
            end,
        }
    }

    /// GOAWAY.
    pub fn goaway(last_stream: u32, code: u32, debug: &'static str) -> Self {
        Self::GoAway {
            last_stream,
            code,
            debug: Bytes::from_static(debug.as_bytes()),
        }
    }

    /// The stream it is for; 0 for the connection.
    pub fn stream(&self) -> u32 {
        match self {
            Self::Data { stream, .. }
            | Self::Headers { stream, .. }
            | Self::Reset { stream, .. }
            | Self::WindowUpdate { stream, .. }
            | Self::Other { stream, .. } => *stream,
            Self::Settings(_) | Self::SettingsAck | Self::Ping { .. } | Self::GoAway { .. } => 0,
        }
    }

    /// The frame as it travels.
    pub fn encode(&self) -> Bytes {
        let (kind, flags, payload) = self.parts();
        let mut bytes = BytesMut::with_capacity(9 + payload.len());
        bytes.put_uint(payload.len() as u64, 3);
        bytes.put_u8(kind);
        bytes.put_u8(flags);
        bytes.put_u32(self.stream());
        bytes.put(payload);
        bytes.freeze()
    }

    /// Type, flags and payload.
    fn parts(&self) -> (u8, u8, Bytes) {
        let mut payload = BytesMut::new();
        let (kind, flags) = match self {
            Self::Data {
                data, end, padding, ..
            } => {
                let mut flags = u8::from(*end);
                if *padding > 0 {
                    flags |= PADDED;
                    payload.put_u8(*padding);
                }
                payload.put(data.clone());
                payload.put_bytes(0, usize::from(*padding));
                (0, flags)
            }
            Self::Headers { block, end, .. } => {
                payload.put(block.clone());
                (1, END_HEADERS | u8::from(*end))
            }
            Self::Reset { code, .. } => {
                payload.put_u32(*code);
                (3, 0)
            }
            Self::Settings(entries) => {
                for (identifier, value) in entries {
                    payload.put_u16(*identifier);
                    payload.put_u32(*value);
                }
                (4, 0)
            }
            Self::SettingsAck => (4, FIRST_FLAG),
            Self::Ping { ack, payload: echo } => {
                payload.put_slice(echo);
                (6, u8::from(*ack))
            }
            Self::GoAway {
                last_stream,
                code,
                debug,
            } => {
                payload.put_u32(*last_stream);
                payload.put_u32(*code);
                payload.put(debug.clone());
                (7, 0)
            }
            Self::WindowUpdate { increment, .. } => {
                payload.put_u32(*increment);
                (8, 0)
            }
            Self::Other {
                kind,
                flags,
                payload: bytes,
                ..
            } => {
                payload.put(bytes.clone());
                (*kind, *flags)
            }
        };
        (kind, flags, payload.freeze())
    }

    /// The first frame in `bytes`, taken off them; `None` if it is not all there.
    pub fn decode(bytes: &mut BytesMut) -> Option<Self> {
        let length = u32::from_be_bytes([0, *bytes.first()?, *bytes.get(1)?, *bytes.get(2)?]);
        let length = length as usize;
        if bytes.len() < 9 + length {
            return None;
        }
        let mut head = bytes.split_to(9);
        head.advance(3);
        let (kind, flags) = (head.get_u8(), head.get_u8());
        let stream = head.get_u32() & 0x7fff_ffff;
        let payload = bytes.split_to(length).freeze();
        let other = Self::Other {
            kind,
            flags,
            stream,
            payload: payload.clone(),
        };
        Some(Self::named(kind, flags, stream, payload).unwrap_or(other))
    }

    fn named(kind: u8, flags: u8, stream: u32, mut payload: Bytes) -> Option<Self> {
        let first = flags & FIRST_FLAG != 0;
        Some(match (kind, payload.len()) {
            (0, _) => {
                let mut padding = 0;
                if flags & PADDED != 0 {
                    padding = payload.try_get_u8().ok()?;
                    payload.truncate(payload.len().checked_sub(usize::from(padding))?);
                }
                Self::Data {
                    stream,
                    data: payload,
                    end: first,
                    padding,
                }
            }
            (1, _) if flags == END_HEADERS | u8::from(first) => Self::Headers {
                stream,
                block: payload,
                end: first,
            },
            (3, 4) => Self::Reset {
                stream,
                code: payload.get_u32(),
            },
            (4, 0) if first => Self::SettingsAck,
            (4, _) if !first => {
                let mut entries = Vec::new();
                while payload.len() >= 6 {
                    entries.push((payload.get_u16(), payload.get_u32()));
                }
                Self::Settings(entries)
            }
            (6, 8) => Self::Ping {
                ack: first,
                payload: payload[..].try_into().ok()?,
            },
            (7, 8..) => Self::GoAway {
                last_stream: payload.get_u32(),
                code: payload.get_u32(),
                debug: payload,
            },
            (8, 4) => Self::WindowUpdate {
                stream,
                increment: payload.get_u32(),
            },
            _ => return None,
        })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = |end: &bool| if *end { " END_STREAM" } else { "" };
        match self {
            Self::Data {
                stream, data, end, ..
            } => match data.len() {
                0..=40 => write!(f, "DATA[{stream}] {data:?}{}", last(end)),
                length => write!(f, "DATA[{stream}] {length} bytes{}", last(end)),
            },
            Self::Headers { stream, end, .. } => write!(f, "HEADERS[{stream}]{}", last(end)),
            Self::Reset { stream, code } => write!(f, "RST_STREAM[{stream}] {code}"),
            Self::Settings(entries) => write!(f, "SETTINGS {entries:?}"),
            Self::SettingsAck => f.write_str("SETTINGS ACK"),
            Self::Ping { ack, payload } => {
                write!(f, "PING{} {payload:?}", if *ack { " ACK" } else { "" })
            }
            Self::GoAway {
                last_stream,
                code,
                debug,
            } => write!(f, "GOAWAY last {last_stream} code {code} {debug:?}"),
            Self::WindowUpdate { stream, increment } => {
                write!(f, "WINDOW_UPDATE[{stream}] {increment}")
            }
            Self::Other {
                kind,
                flags,
                stream,
                payload,
            } => write!(
                f,
                "type {kind}[{stream}] flags {flags} {} bytes",
                payload.len()
            ),
        }
    }
}

/// A header block of literals: no table, no Huffman codes, so that it means the same at any time.
pub fn header_block(fields: &[(&str, &str)]) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in fields {
        block.put_u8(0);
        put_literal(&mut block, name.as_bytes());
        put_literal(&mut block, value.as_bytes());
    }
    block.freeze()
}

/// HPACK's string: its length as an integer of seven bits and more, then the bytes.
fn put_literal(block: &mut BytesMut, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        block.put_u8(length as u8);
    } else {
        block.put_u8(127);
        length -= 127;
        while length >= 128 {
            block.put_u8((length % 128) as u8 | 128);
            length /= 128;
        }
        block.put_u8(length as u8);
    }
    block.put_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let frames = [
            Frame::data(1, "abc", true),
            Frame::Data {
                stream: 3,
                data: Bytes::from_static(b"x"),
                end: false,
                padding: 255,
            },
            Frame::headers(5, &[(":status", "200"), ("k", &"v".repeat(300))], false),
            Frame::Reset { stream: 1, code: 8 },
            Frame::Settings(vec![(3, 100), (4, 65_535)]),
            Frame::SettingsAck,
            Frame::Ping {
                ack: true,
                payload: [7; 8],
            },
            Frame::goaway(0, 11, "too_many_pings"),
            Frame::WindowUpdate {
                stream: 0,
                increment: 9,
            },
            Frame::Other {
                kind: 99,
                flags: 255,
                stream: 1,
                payload: Bytes::from_static(b"?"),
            },
        ];
        let mut bytes = BytesMut::new();
        for frame in &frames {
            bytes.put(frame.encode());
        }
        for frame in frames {
            assert_eq!(Frame::decode(&mut bytes), Some(frame));
        }
        assert_eq!(Frame::decode(&mut bytes), None);
    }
}
