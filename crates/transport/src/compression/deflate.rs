//! `deflate`: zlib's format (RFC 1950), as in HTTP.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;
use zlib_rs::Deflate;

use super::inflate::{Unpacker, unpack};
use super::zlib::{self, LEVEL, Stream, WINDOW_BITS};
use crate::framing::FramingError;

/// What text is compressed by, and more: the room for a message, which does not say how long it is.
const USUAL_RATIO: usize = 8;

thread_local! {
    static PACKER: RefCell<Deflate> = RefCell::new(Deflate::new(LEVEL, true, WINDOW_BITS));
}

pub(super) fn pack(payload: &[u8], room: &mut [u8]) -> Option<usize> {
    PACKER.with_borrow_mut(|packer| zlib::pack(packer, payload, room))
}

pub(super) fn unpack_stream(packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
    let length = packed.len().saturating_mul(USUAL_RATIO);
    zlib::with_stream(|stream| unpack(&mut Whole(stream), packed, length, limit))
}

/// A stream with nothing behind it. The library compares its checksum.
struct Whole<'a>(&'a mut Stream);

impl Unpacker for Whole<'_> {
    fn begin(&mut self, packed: Bytes) {
        self.0.packed = packed;
        self.0.begin(true);
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(out)?;
        if self.0.has_ended() && !self.0.packed.is_empty() {
            return Err(io::Error::other("bytes follow its end"));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hello, hello, hello` as Python packs it.
    const HELLO: [u8; 17] = [
        0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x40, 0xa2, 0x00, 0x44, 0x28,
        0x06, 0xd5,
    ];

    /// The same for whoever knows that it begins with `hello, `.
    const HELLO_WITH_DICTIONARY: [u8; 14] = [
        0x78, 0xbb, 0x0a, 0xce, 0x02, 0x61, 0xcb, 0xc0, 0xa4, 0x00, 0x44, 0x28, 0x06, 0xd5,
    ];

    /// Why it is corrupt, which it is.
    fn refused(packed: &[u8]) -> String {
        match unpack_stream(Bytes::copy_from_slice(packed), 100) {
            Err(FramingError::Corrupt(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn deflate_is_zlibs_format() {
        let unpacked = unpack_stream(Bytes::from_owner(HELLO), 19);
        assert_eq!(unpacked.unwrap(), "hello, hello, hello");
        assert_eq!(refused(&HELLO[2..]), "incorrect header check");
    }

    #[test]
    fn a_dictionary_that_nobody_has_agreed_on_is_corrupt() {
        assert_eq!(refused(&HELLO_WITH_DICTIONARY), "need dictionary");
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_or_goes_on_is_corrupt() {
        for length in 0..HELLO.len() {
            assert_eq!(refused(&HELLO[..length]), "unexpected end of file");
        }
        let twice = [HELLO, HELLO].concat();
        assert_eq!(refused(&twice), "bytes follow its end");
    }

    #[test]
    fn deflate_with_a_wrong_checksum_is_corrupt() {
        let mut packed = HELLO;
        packed[16] ^= 1;
        assert_eq!(refused(&packed), "incorrect data check");
    }
}
