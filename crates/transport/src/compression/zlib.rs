//! The algorithm of `gzip` and `deflate` (RFC 1951), which differ in what they put around it.

use std::cell::RefCell;
use std::io;

use bytes::{Buf as _, Bytes};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

/// It looks back by 32 KiB at most.
pub(super) const WINDOW_BITS: u8 = 15;

/// The library's default, between the fastest and the smallest.
pub(super) const LEVEL: i32 = 6;

thread_local! {
    static STREAM: RefCell<Stream> = RefCell::new(Stream::new());
}

/// Packs one message, in the format that `packer` was made for.
pub(super) fn pack(packer: &mut Deflate, payload: &[u8], room: &mut [u8]) -> Option<usize> {
    packer.reset();
    match packer.compress(payload, room, DeflateFlush::Finish) {
        Ok(Status::StreamEnd) => usize::try_from(packer.total_out()).ok(),
        // There was not enough room.
        Ok(Status::Ok | Status::BufError) | Err(_) => None,
    }
}

/// Lends this thread's stream. One serves both formats.
pub(super) fn with_stream<R>(unpack: impl FnOnce(&mut Stream) -> R) -> R {
    STREAM.with_borrow_mut(unpack)
}

/// What is packed, bare or in zlib's format (RFC 1950), and whatever follows on it.
pub(super) struct Stream {
    inflate: Inflate,
    /// What has not been read.
    pub(super) packed: Bytes,
    has_ended: bool,
}

impl Stream {
    fn new() -> Self {
        Self {
            inflate: Inflate::new(true, WINDOW_BITS),
            packed: Bytes::new(),
            has_ended: false,
        }
    }

    /// Forgets what it had begun, and begins with what has not been read.
    pub(super) fn begin(&mut self, is_in_zlib_format: bool) {
        self.inflate.reset(is_in_zlib_format);
        self.has_ended = false;
    }

    /// Unpacks into `out`, which is not empty: how many bytes; 0 at the end of the stream.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&self.packed, out, InflateFlush::NoFlush)
                .map_err(|error| self.corrupt(error))?;
            let taken = (self.inflate.total_in() - before.0) as usize;
            let given = (self.inflate.total_out() - before.1) as usize;
            self.packed.advance(taken);
            self.has_ended = status == Status::StreamEnd;
            if given > 0 {
                return Ok(given);
            }
            if taken == 0 && !self.has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }

    /// Whether `packed` is what follows on it.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn corrupt(&self, error: InflateError) -> io::Error {
        let what = self.inflate.error_message();
        io::Error::other(what.unwrap_or(error.as_str()))
    }
}
