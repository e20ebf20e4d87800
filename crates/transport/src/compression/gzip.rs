//! `gzip` (RFC 1952): members, one behind the other.
//!
//! ```text
//!   ┌────────┬────────┬──────────┬────────┬╌╌╌╌╌
//!   │ header │ packed │ checksum │ length │ header …
//!   └────────┴────────┴──────────┴────────┴╌╌╌╌╌
//! ```
//!
//! The library unpacks the format as well, but would have to be made anew for each member: in a message of
//! thousands of empty ones, each would cost far more than its bytes.

use std::cell::RefCell;
use std::io;

use bytes::{Buf as _, Bytes};
use zlib_rs::Deflate;
use zlib_rs::crc32::crc32;

use super::inflate::{Unpacker, unpack};
use super::zlib::{self, LEVEL, Stream, WINDOW_BITS};
use crate::framing::FramingError;

/// Asks the library for this format, together with the size of the window.
const FORMAT: u8 = 16;

/// What was cut short.
const CUT: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// A checksum and a length.
const TRAILER: usize = 8;

thread_local! {
    static PACKER: RefCell<Deflate> =
        RefCell::new(Deflate::new(LEVEL, true, FORMAT + WINDOW_BITS));
}

pub(super) fn pack(payload: &[u8], room: &mut [u8]) -> Option<usize> {
    PACKER.with_borrow_mut(|packer| zlib::pack(packer, payload, room))
}

/// A message ends in its length, if it is of one member.
pub(super) fn unpack_members(packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
    let length = packed.last_chunk().copied().map_or(0, u32::from_le_bytes);
    zlib::with_stream(|stream| {
        let mut members = Members {
            stream,
            next: Part::Header,
            checksum: 0,
            length: 0,
        };
        unpack(&mut members, packed, length as usize, limit)
    })
}

struct Members<'a> {
    stream: &'a mut Stream,
    next: Part,
    /// Of what the member has been so far.
    checksum: u32,
    /// How much that is. It may be more than 4 GiB: the format counts from 0 again then.
    length: u32,
}

#[derive(Clone, Copy)]
enum Part {
    Header,
    Packed,
    /// No member follows.
    End,
}

impl Unpacker for Members<'_> {
    fn begin(&mut self, packed: Bytes) {
        self.stream.packed = packed;
        // No member at all is no message.
        self.next = Part::Header;
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.next {
                Part::Header => self.open()?,
                Part::Packed => {
                    let length = self.stream.read(out)?;
                    self.checksum = crc32(self.checksum, &out[..length]);
                    self.length = self.length.wrapping_add(length as u32);
                    if self.stream.has_ended() {
                        self.close()?;
                    }
                    if length > 0 {
                        return Ok(length);
                    }
                }
                Part::End => return Ok(0),
            }
        }
    }
}

impl Members<'_> {
    fn open(&mut self) -> io::Result<()> {
        let packed = &mut self.stream.packed;
        packed.advance(header_length(packed)?);
        self.stream.begin(false);
        (self.checksum, self.length) = (0, 0);
        self.next = Part::Packed;
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let packed = &mut self.stream.packed;
        if packed.len() < TRAILER {
            return Err(CUT.into());
        }
        if packed.get_u32_le() != self.checksum {
            return Err(io::Error::other("incorrect data check"));
        }
        if packed.get_u32_le() != self.length {
            return Err(io::Error::other("incorrect length check"));
        }
        self.next = match packed.is_empty() {
            true => Part::End,
            false => Part::Header,
        };
        Ok(())
    }
}

/// How long the header is (RFC 1952, section 2.3) that `member` begins with. Nothing that it says is of interest.
fn header_length(member: &[u8]) -> io::Result<usize> {
    const CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b111 << 5;
    const DEFLATE: u8 = 8;

    let (fixed, mut rest) = member.split_first_chunk::<10>().ok_or(CUT)?;
    let &[0x1f, 0x8b, DEFLATE, flags, ..] = fixed else {
        return Err(io::Error::other("incorrect header"));
    };
    if flags & RESERVED != 0 {
        return Err(io::Error::other("unknown header flags set"));
    }
    if flags & EXTRA != 0 {
        let (length, extra) = rest.split_first_chunk().ok_or(CUT)?;
        let length = usize::from(u16::from_le_bytes(*length));
        rest = extra.get(length..).ok_or(CUT)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & CHECKSUM != 0 {
        let header = &member[..member.len() - rest.len()];
        let (checksum, behind) = rest.split_first_chunk().ok_or(CUT)?;
        if u16::from_le_bytes(*checksum) != crc32(0, header) as u16 {
            return Err(io::Error::other("header crc mismatch"));
        }
        rest = behind;
    }
    Ok(member.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hello, hello, hello` as Python packs it: what follows on a header.
    const HELLO: [u8; 19] = [
        0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x40, 0xa2, 0x00, 0x9f, 0xa1, 0xca, 0x09,
        19, 0, 0, 0,
    ];

    /// A header's flags, and what they say that it has.
    const EVERYTHING: (u8, &[u8]) = (0b1_1110, b"\x03\0extname\0comment\0\x0a\x20");

    fn gzip(payload: &[u8]) -> Vec<u8> {
        let mut room = vec![0; payload.len() + 100];
        let length = pack(payload, &mut room).unwrap();
        room.truncate(length);
        room
    }

    fn hello((flags, fields): (u8, &[u8])) -> Vec<u8> {
        [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255], fields, &HELLO].concat()
    }

    /// Why it is corrupt, which it is.
    fn refused(packed: Vec<u8>) -> String {
        match unpack_members(packed.into(), usize::MAX) {
            Err(FramingError::Corrupt(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_members_of_gzip_are_one_message_and_counted_together() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        let packed = Bytes::from(members);
        assert_eq!(unpack_members(packed.clone(), 7).unwrap(), "one two");
        assert!(matches!(
            unpack_members(packed, 6),
            Err(FramingError::TooLargeUnpacked { .. })
        ));
    }

    #[test]
    fn an_empty_message_has_a_member_all_the_same() {
        assert_eq!(unpack_members(gzip(b"").into(), 0).unwrap(), "");
        assert_eq!(refused(Vec::new()), "unexpected end of file");
    }

    #[test]
    fn whatever_a_header_has_is_passed_over() {
        for header in [
            (0, &b""[..]),
            (1 << 0, b""),
            (1 << 2, b"\x03\0ext"),
            (1 << 2, b"\0\0"),
            (1 << 3, b"name\0"),
            (1 << 4, b"\0"),
            EVERYTHING,
        ] {
            let unpacked = unpack_members(hello(header).into(), 19);
            assert_eq!(unpacked.unwrap(), "hello, hello, hello", "{header:?}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_understood_is_corrupt() {
        for reserved in [1 << 5, 1 << 6, 1 << 7] {
            assert_eq!(refused(hello((reserved, b""))), "unknown header flags set");
        }
        for (place, byte) in [(0, 0x1e), (1, 0x8a), (2, 7)] {
            let mut packed = hello((0, b""));
            packed[place] = byte;
            assert_eq!(refused(packed), "incorrect header");
        }
        let mut packed = hello(EVERYTHING);
        packed[12] ^= 1;
        assert_eq!(refused(packed), "header crc mismatch");
    }

    #[test]
    fn a_member_that_is_cut_anywhere_is_corrupt() {
        let whole = hello(EVERYTHING);
        for length in 0..whole.len() {
            let first = refused(whole[..length].to_vec());
            assert_eq!(first, "unexpected end of file", "{length}");
            if length > 0 {
                let second = refused([&whole, &whole[..length]].concat());
                assert_eq!(second, "unexpected end of file", "{length}");
            }
        }
    }

    #[test]
    fn what_follows_on_a_member_is_another_or_the_message_is_corrupt() {
        for behind in [&[0; 12][..], b"and much more"] {
            let packed = [&gzip(b"hello"), behind].concat();
            assert_eq!(refused(packed), "incorrect header");
        }
    }

    #[test]
    fn gzip_with_a_wrong_checksum_is_corrupt() {
        let mut packed = gzip(b"hello, hello, hello");
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert_eq!(refused(packed), "incorrect data check");
    }

    #[test]
    fn a_wrong_length_is_corrupt_and_no_reason_to_set_memory_aside() {
        let mut packed = gzip(b"hello, hello, hello");
        let end = packed.len() - 4;
        packed[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(refused(packed), "incorrect length check");
    }
}
