//! `gzip` and `deflate`: one algorithm, in two formats.

use std::cell::RefCell;
use std::io;
#[cfg(feature = "gzip")]
use std::io::Read as _;

#[cfg(feature = "gzip")]
use bytes::buf::Reader;
use bytes::{Buf as _, Bytes};
#[cfg(feature = "gzip")]
use flate2::bufread::GzDecoder;
use flate2::{Compress, Compression as Level, FlushCompress, Status};
#[cfg(feature = "deflate")]
use flate2::{Decompress, FlushDecompress};

use super::inflate::{Unpacker, unpack};
use crate::framing::FramingError;

/// Both formats look back by 32 KiB at most, the largest there is.
#[cfg(feature = "gzip")]
const WINDOW_BITS: u8 = 15;

/// What text is compressed by, and more: the room for a message that does not say how long it is.
#[cfg(feature = "deflate")]
const USUAL_RATIO: usize = 8;

#[cfg(feature = "gzip")]
thread_local! {
    static GZIP_PACKER: RefCell<Compress> =
        RefCell::new(Compress::new_gzip(Level::default(), WINDOW_BITS));
    static GZIP_UNPACKER: RefCell<Gzip> =
        RefCell::new(Gzip(GzDecoder::new(Bytes::new().reader())));
}

#[cfg(feature = "deflate")]
thread_local! {
    static DEFLATE_PACKER: RefCell<Compress> =
        RefCell::new(Compress::new(Level::default(), true));
    static DEFLATE_UNPACKER: RefCell<Deflate> = RefCell::new(Deflate {
        stream: Decompress::new(true),
        packed: Bytes::new(),
        has_ended: false,
    });
}

#[cfg(feature = "gzip")]
pub(super) fn pack_gzip(payload: &[u8], room: &mut [u8]) -> Option<usize> {
    GZIP_PACKER.with_borrow_mut(|packer| pack(packer, payload, room))
}

#[cfg(feature = "deflate")]
pub(super) fn pack_deflate(payload: &[u8], room: &mut [u8]) -> Option<usize> {
    DEFLATE_PACKER.with_borrow_mut(|packer| pack(packer, payload, room))
}

fn pack(packer: &mut Compress, payload: &[u8], room: &mut [u8]) -> Option<usize> {
    packer.reset();
    match packer.compress(payload, room, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => usize::try_from(packer.total_out()).ok(),
        // There was not enough room.
        Ok(Status::Ok | Status::BufError) | Err(_) => None,
    }
}

/// A message in gzip's format ends in its length, if it is of one piece.
#[cfg(feature = "gzip")]
pub(super) fn unpack_gzip(packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
    let length = packed.last_chunk().copied().map_or(0, u32::from_le_bytes);
    GZIP_UNPACKER.with_borrow_mut(|gzip| unpack(gzip, packed, length as usize, limit))
}

#[cfg(feature = "deflate")]
pub(super) fn unpack_deflate(packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
    let length = packed.len().saturating_mul(USUAL_RATIO);
    DEFLATE_UNPACKER.with_borrow_mut(|deflate| unpack(deflate, packed, length, limit))
}

/// One or more members, as the format has them; each has a checksum.
#[cfg(feature = "gzip")]
struct Gzip(GzDecoder<Reader<Bytes>>);

#[cfg(feature = "gzip")]
impl Unpacker for Gzip {
    fn begin(&mut self, packed: Bytes) {
        drop(self.0.reset(packed.reader()));
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.0.read(out)?;
            let rest = self.0.get_ref().get_ref();
            if length > 0 || rest.is_empty() {
                return Ok(length);
            }
            let next = rest.clone();
            self.begin(next);
        }
    }
}

/// A stream in zlib's format, with a checksum at its end.
#[cfg(feature = "deflate")]
struct Deflate {
    stream: Decompress,
    packed: Bytes,
    has_ended: bool,
}

#[cfg(feature = "deflate")]
impl Unpacker for Deflate {
    fn begin(&mut self, packed: Bytes) {
        self.stream.reset(true);
        self.packed = packed;
        self.has_ended = false;
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended {
            let (taken, given) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(&self.packed, out, FlushDecompress::None)?;
            self.packed
                .advance((self.stream.total_in() - taken) as usize);
            self.has_ended = matches!(status, Status::StreamEnd);
            if self.has_ended && !self.packed.is_empty() {
                return Err(io::Error::other("bytes follow its end"));
            }
            let given = self.stream.total_out() - given;
            if given > 0 {
                return Ok(given as usize);
            }
            if !self.has_ended && self.packed.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
#[cfg(feature = "gzip")]
mod tests {
    use super::*;

    fn gzip(payload: &[u8]) -> Vec<u8> {
        let mut room = vec![0; payload.len() + 100];
        let length = pack_gzip(payload, &mut room).unwrap();
        room.truncate(length);
        room
    }

    #[test]
    fn the_members_of_gzip_are_one_message_and_counted_together() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(unpack_gzip(members.clone().into(), 7).unwrap(), "one two");
        assert!(matches!(
            unpack_gzip(members.into(), 6),
            Err(FramingError::TooLargeUnpacked { .. })
        ));
    }

    #[test]
    fn gzip_with_a_wrong_checksum_is_corrupt() {
        let mut packed = gzip(b"hello, hello, hello");
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert!(matches!(
            unpack_gzip(packed.into(), 100),
            Err(FramingError::Corrupt(_))
        ));
    }

    #[test]
    fn a_wrong_length_is_corrupt_and_no_reason_to_set_memory_aside() {
        let mut packed = gzip(b"hello, hello, hello");
        let end = packed.len() - 4;
        packed[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            unpack_gzip(packed.into(), usize::MAX),
            Err(FramingError::Corrupt(_))
        ));
    }
}
