//! `zstd`: frames of Zstandard.

use std::cell::RefCell;
use std::io;

use bytes::{Buf as _, Bytes};
use zstd_safe::{
    CCtx, CLEVEL_DEFAULT, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective,
    get_error_name, get_frame_content_size,
};

use super::inflate::{Unpacker, unpack};
use crate::framing::FramingError;

/// How far back a frame may look: 8 MiB, which every decoder should grant (RFC 8878), for it is kept beside the
/// message where that is long.
const WINDOW_BITS: u32 = 23;

/// The room for a message that does not say how long it is.
const USUAL_RATIO: usize = 8;

thread_local! {
    static PACKER: RefCell<CCtx<'static>> = RefCell::new(packer());
    static UNPACKER: RefCell<Zstd> = RefCell::new(Zstd::new());
}

fn packer() -> CCtx<'static> {
    let mut context = CCtx::create();
    // Cannot fail: these are legal values of what there is.
    let _ = context.set_parameter(CParameter::CompressionLevel(CLEVEL_DEFAULT));
    let _ = context.set_parameter(CParameter::ChecksumFlag(true));
    context
}

pub(super) fn pack(payload: &[u8], room: &mut [u8]) -> Option<usize> {
    // It fails where there is no room.
    PACKER.with_borrow_mut(|context| context.compress2(room, payload).ok())
}

pub(super) fn unpack_frames(packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
    let said = get_frame_content_size(&packed).ok().flatten();
    let length = said.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let length = length.unwrap_or(packed.len().saturating_mul(USUAL_RATIO));
    UNPACKER.with_borrow_mut(|zstd| unpack(zstd, packed, length, limit))
}

/// One or more frames.
struct Zstd {
    context: DCtx<'static>,
    packed: Bytes,
    /// A frame has begun and not ended.
    is_in_frame: bool,
}

impl Zstd {
    fn new() -> Self {
        let mut context = DCtx::create();
        // Cannot fail: it is a legal value.
        let _ = context.set_parameter(DParameter::WindowLogMax(WINDOW_BITS));
        Self {
            context,
            packed: Bytes::new(),
            is_in_frame: false,
        }
    }
}

impl Unpacker for Zstd {
    fn begin(&mut self, packed: Bytes) {
        // Cannot fail: parameters stay as they are.
        let _ = self.context.reset(ResetDirective::SessionOnly);
        // No frame at all is no message.
        self.is_in_frame = true;
        self.packed = packed;
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.packed.is_empty() && !self.is_in_frame {
                return Ok(0);
            }
            let mut input = InBuffer::around(&self.packed);
            let mut output = OutBuffer::around(out);
            let hint = self
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(|code| io::Error::other(get_error_name(code)))?;
            let (taken, given) = (input.pos, output.pos());
            self.packed.advance(taken);
            self.is_in_frame = hint > 0;
            if given > 0 {
                return Ok(given);
            }
            if self.packed.is_empty() && self.is_in_frame {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of one letter that asks for a window of this size, in bits.
    fn frame(window: u8) -> Bytes {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let block = [0x09, 0, 0, b'x'];
        let header = [0, (window - 10) << 3];
        [&magic[..], &header, &block].concat().into()
    }

    #[test]
    fn a_frame_that_wants_more_than_8_mib_to_look_back_at_is_refused() {
        assert_eq!(unpack_frames(frame(23), 10).unwrap(), "x");
        let refused = unpack_frames(frame(24), 10).unwrap_err();
        assert!(matches!(refused, FramingError::Corrupt(_)), "{refused}");
    }

    #[test]
    fn the_frames_of_zstd_are_one_message_and_counted_together() {
        let frames = [&frame(10)[..], &frame(11)].concat();
        assert_eq!(unpack_frames(frames.clone().into(), 2).unwrap(), "xx");
        let refused = unpack_frames(frames.into(), 1).unwrap_err();
        assert_eq!(refused, FramingError::TooLargeUnpacked { limit: 1 });
    }
}
