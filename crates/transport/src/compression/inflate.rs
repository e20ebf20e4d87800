//! From a compressed message to the whole of it, in no more memory than it needs.
//!
//! ```text
//!   what it promises ─► buffer ─► fill ── all of it ──────────────────────────► done
//!   (never believed     64 × what came)  └── there is more: count ── over ────► refused
//!    beyond                                                 └── exactly ─► fill ─► done
//! ```
//!
//! A buffer that grows by half is there twice while it moves. So one that turns out too small is not grown: the
//! rest is counted without being kept, and a buffer of the right size filled from the start. Honest messages
//! need that only where they are compressed to less than a sixty-fourth.

use std::io;

use bytes::Bytes;

use crate::framing::FramingError;

/// Unpacks one message after the other.
pub(super) trait Unpacker {
    /// Forgets what it had begun, and begins with `packed`.
    fn begin(&mut self, packed: Bytes);

    /// Unpacks into `out`, which is not empty: how many bytes; 0 at the end of the message.
    ///
    /// Whatever is no whole message of its kind, or goes on behind it, is an error.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize>;
}

/// How many times as long as what has come a message may claim to be, for room to be made for it at once.
const MOST_BELIEVED: usize = 64;

/// What is counted at a time.
const COUNTED: usize = 16 * 1024;

/// All of `packed`, unless it is more than `limit` bytes. `promised` is how long it says it is.
pub(super) fn unpack(
    unpacker: &mut impl Unpacker,
    packed: Bytes,
    promised: usize,
    limit: usize,
) -> Result<Bytes, FramingError> {
    let believed = packed.len().saturating_mul(MOST_BELIEVED);
    let room = promised.min(believed).min(limit);
    let unpacked = attempt(unpacker, &packed, room, limit);
    // What is left of the message is not to stay here.
    unpacker.begin(Bytes::new());
    unpacked
}

fn attempt(
    unpacker: &mut impl Unpacker,
    packed: &Bytes,
    room: usize,
    limit: usize,
) -> Result<Bytes, FramingError> {
    unpacker.begin(packed.clone());
    let mut buffer = vec![0; room];
    let length = fill(unpacker, &mut buffer)?;
    let rest = count(unpacker, length, limit)?;
    if rest > 0 {
        drop(buffer);
        buffer = vec![0; length + rest];
        unpacker.begin(packed.clone());
        fill(unpacker, &mut buffer)?;
    } else {
        buffer.truncate(length);
        // Fields of the message may be slices of it, and keep all of it.
        if length < buffer.capacity() / 2 {
            buffer.shrink_to_fit();
        }
    }
    Ok(buffer.into())
}

/// Fills the buffer, or as much of it as there is: how much that was.
fn fill(unpacker: &mut impl Unpacker, buffer: &mut [u8]) -> Result<usize, FramingError> {
    let mut length = 0;
    while length < buffer.len() {
        match unpacker.read(&mut buffer[length..]).map_err(corrupt)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// How many bytes follow on the first `length`, unless they are more than `limit` together. What is read behind
/// that is a piece at most.
fn count(unpacker: &mut impl Unpacker, length: usize, limit: usize) -> Result<usize, FramingError> {
    let mut piece = [0; COUNTED];
    let mut rest = 0;
    loop {
        rest += match unpacker.read(&mut piece).map_err(corrupt)? {
            0 => return Ok(rest),
            more => more,
        };
        if rest > limit - length {
            return Err(FramingError::TooLargeUnpacked { limit });
        }
    }
}

fn corrupt(error: io::Error) -> FramingError {
    FramingError::Corrupt(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says how much room it is given.
    struct Zeros {
        whole: usize,
        left: usize,
        largest: usize,
    }

    impl Unpacker for Zeros {
        fn begin(&mut self, _: Bytes) {
            self.left = self.whole;
        }

        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.largest = self.largest.max(out.len());
            let length = self.left.min(out.len()).min(10_000);
            self.left -= length;
            Ok(length)
        }
    }

    /// How long it came to be, and the largest room that was made.
    fn run(whole: usize, promised: usize, limit: usize) -> (Option<usize>, usize) {
        let (left, largest) = (0, 0);
        let mut zeros = Zeros {
            whole,
            left,
            largest,
        };
        let packed = Bytes::from_static(&[0; 1000]);
        let unpacked = unpack(&mut zeros, packed, promised, limit);
        (unpacked.ok().map(|unpacked| unpacked.len()), zeros.largest)
    }

    #[test]
    fn a_promise_that_is_kept_is_all_the_room_there_is() {
        assert_eq!(run(50_000, 50_000, 1 << 20), (Some(50_000), 50_000));
        assert_eq!(run(50_000, 60_000, 1 << 20), (Some(50_000), 60_000));
        assert_eq!(run(0, 0, 1 << 20), (Some(0), COUNTED));
    }

    #[test]
    fn a_promise_is_believed_to_sixty_four_times_what_has_come_and_to_the_limit() {
        assert_eq!(run(10, usize::MAX, 1 << 20), (Some(10), 64_000));
        assert_eq!(run(10, usize::MAX, 20_000), (Some(10), 20_000));
    }

    #[test]
    fn what_promises_too_little_has_exactly_the_room_it_needs() {
        assert_eq!(run(1 << 20, 10, 1 << 20), (Some(1 << 20), 1 << 20));
    }

    #[test]
    fn what_is_over_the_limit_never_has_room() {
        assert_eq!(run((1 << 20) + 1, 10, 1 << 20), (None, COUNTED));
        assert_eq!(run(usize::MAX, usize::MAX, 1 << 20), (None, 64_000));
    }
}
