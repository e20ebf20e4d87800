//! A reply's `:status`, where a header block begins with it and spells it out.
//!
//! h2 stops amid a block whose `:status` is not three digits. What the block adds to HPACK's table is lost then, so it
//! ends the connection, and does not say for whose reply. Here nothing is decoded but that first field, and nobody
//! acts on it until h2 has refused it:
//!
//! ```text
//!   ┌ PADDED ─┬ PRIORITY ────────┬ up to two ──────────┬ by index or by name ┬ raw or Huffman ┬──────────┐
//!   │ padding │ dependency,      │ changes of the size │ :status             │ value          │ whatever │
//!   │         │ weight           │ of HPACK's table    │ 08, 18, 48 …        │                │ follows  │
//!   └─────────┴──────────────────┴─────────────────────┴─────────────────────┴────────────────┴──────────┘
//! ```
//!
//! A `:status` in one of HPACK's tables is a good one. One that comes later, has a name out of the dynamic table, or
//! goes on in CONTINUATION, is not found: its call hears of the lost connection, as the others do.
//!
//! # Why the connection is not saved
//!
//! h2 would read on if the field were another of the same size: `48` made `46` is `:scheme`, a name of as many letters
//! that goes with any text. But servers write `:status` to be indexed, so that h2's table would then hold what the
//! server's does not, and a later field that refers to it would be misread: a connection ends rather than that. What
//! is not to be indexed could be exchanged without harm; nobody writes it so. Besides, the byte leaves for h2 before
//! the value has come, if the two are cut apart.

use http::StatusCode;

use super::huffman;
use super::scanner::FrameHead;

/// How much of a payload is looked at: whatever comes before, a value of as much as is shown is within it.
pub(super) const FRONT: usize = 64;

/// How much of a value is shown.
const SHOWN: usize = 32;

const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// `:status`, as a name that is spelled out: raw, or in Huffman's codes.
const NAMES: [&[u8]; 2] = [b"\x07:status", b"\x85\xb8\x84\x8d\x36\xa3"];

/// Whether there may be anything to find: nearly every header block begins with a field of HPACK's tables.
#[inline]
pub(super) fn may_begin(flags: u8, payload: &[u8]) -> bool {
    const INDEXED: u8 = 0x80;
    if flags & (PADDED | PRIORITY) != 0 {
        return true;
    }
    let is_literal = payload.first().is_some_and(|first| first & INDEXED == 0);
    is_literal && may_be_spelled_out(payload)
}

#[cold]
fn may_be_spelled_out(block: &[u8]) -> bool {
    match block {
        [0x08..=0x0e | 0x18..=0x1e | 0x48..=0x4e | 0x20..=0x3f, ..] => true,
        [0x00 | 0x10 | 0x40, name @ ..] => NAMES.iter().any(|spelled| name.starts_with(spelled)),
        _ => false,
    }
}

/// The value of the `:status` that this HEADERS begins with, for people, if it is not one of HTTP's. `front` is the
/// start of the payload, or all of it.
pub(super) fn malformed(head: FrameHead, front: &[u8]) -> Option<String> {
    let mut block = Block::of(head, front)?;
    let value = block.status()?;
    let (text, is_whole) = value.text();
    if is_whole && StatusCode::from_bytes(&text).is_ok() {
        return None;
    }
    let shown = &text[..text.len().min(SHOWN)];
    let rest = if is_whole && shown.len() == text.len() {
        ""
    } else {
        "…"
    };
    Some(format!("\"{}{rest}\"", shown.escape_ascii()))
}

/// What is left of a header block.
struct Block<'a> {
    /// As much of it as is here.
    bytes: &'a [u8],
    /// How long it is in this frame.
    left: usize,
}

/// A string, as much of it as is here.
struct Literal<'a> {
    bytes: &'a [u8],
    length: usize,
    is_huffman: bool,
}

impl<'a> Block<'a> {
    /// The block in a HEADERS; `None` where h2 does not come to decode it.
    fn of(head: FrameHead, front: &'a [u8]) -> Option<Self> {
        let mut block = Self {
            bytes: front,
            left: head.length as usize,
        };
        let padding = match head.flags & PADDED {
            0 => 0,
            _ => usize::from(block.byte()?),
        };
        if head.flags & PRIORITY != 0 {
            let dependency = [block.byte()?, block.byte()?, block.byte()?, block.byte()?];
            let _weight = block.byte()?;
            // A stream that depends on itself is reset, without a look at its headers.
            if u32::from_be_bytes(dependency) & 0x7fff_ffff == head.stream {
                return None;
            }
        }
        block.left = block.left.checked_sub(padding)?;
        (head.stream != 0).then_some(block)
    }

    /// The value of the first field, if that is `:status`, spelled out.
    fn status(&mut self) -> Option<Literal<'a>> {
        let mut first = self.byte()?;
        for _ in 0..2 {
            if first & 0xe0 == 0x20 {
                self.integer(first & 0x1f, 0x1f)?;
                first = self.byte()?;
            }
        }
        match first {
            // Of the static table, where 8 to 14 are `:status`: not to be indexed, never to be, to be indexed.
            0x08..=0x0e | 0x18..=0x1e | 0x48..=0x4e => {}
            0x00 | 0x10 | 0x40 => self.name()?,
            _ => return None,
        }
        self.literal()
    }

    /// Passes over the name, if it is `:status`.
    fn name(&mut self) -> Option<()> {
        let spelled = NAMES.iter().find(|name| self.bytes.starts_with(name))?;
        self.bytes = &self.bytes[spelled.len()..];
        self.left = self.left.checked_sub(spelled.len())?;
        Some(())
    }

    /// A string that ends within this frame.
    fn literal(&mut self) -> Option<Literal<'a>> {
        let first = self.byte()?;
        let length = self.integer(first & 0x7f, 0x7f)?;
        self.left = self.left.checked_sub(length)?;
        let (bytes, rest) = self.bytes.split_at(self.bytes.len().min(length));
        self.bytes = rest;
        Some(Literal {
            bytes,
            length,
            is_huffman: first & 0x80 != 0,
        })
    }

    /// An integer that begins with these bits of a byte: at most five bytes, as h2 has it.
    fn integer(&mut self, bits: u8, mask: u8) -> Option<usize> {
        let mut integer = usize::from(bits);
        if bits < mask {
            return Some(integer);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            integer += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(integer);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }
}

impl Literal<'_> {
    /// What it says, and whether that is all of it.
    fn text(&self) -> (Vec<u8>, bool) {
        let (text, is_text) = match self.is_huffman {
            true => huffman::decode(self.bytes),
            false => (self.bytes.to_vec(), true),
        };
        (text, is_text && self.bytes.len() == self.length)
    }
}
