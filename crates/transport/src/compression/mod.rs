//! How messages are compressed: what `grpc-encoding` names, each kind behind a feature of its own.
//!
//! ```text
//!   message ── encoded ── pack ──► shorter than it was, or left as it is ──► DATA
//!   DATA ──► unpack ──► at most as long as the receiver's limit, or refused ──► message
//! ```
//!
//! A build without any of the features `gzip`, `deflate` and `zstd` knows [`Compression::Identity`] only. Then
//! that is no choice at all: a type of no size, whose checks the compiler leaves out.
//!
//! What packs and unpacks keeps tables of some hundred KiB, far more than a stream may cost. So there is one of
//! each for a thread, made when it is first needed, and used for one message at a time.
//!
//! Deliberately absent: levels. Each kind has its library's default.

#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "gzip")]
mod gzip;
mod heard;
#[cfg(any(feature = "gzip", feature = "deflate", feature = "zstd"))]
mod inflate;
mod set;
mod switch;
#[cfg(any(feature = "gzip", feature = "deflate"))]
mod zlib;
#[cfg(feature = "zstd")]
mod zstd;

use std::fmt;

use bytes::Bytes;

use crate::framing::FramingError;

pub(crate) use heard::Heard;
pub use set::Compressions;
pub(crate) use set::{ALL as ALL_COMPRESSIONS, GRPC_ACCEPT_ENCODING};
pub use switch::CompressionSwitch;

/// A way to compress messages, or not to.
///
/// Without the features of this crate, which those of the same name of a channel and a server switch on, there
/// is only [`Identity`](Self::Identity).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Messages are sent as they are.
    #[default]
    Identity,
    /// `gzip` (RFC 1952), which nearly every implementation of gRPC knows.
    #[cfg(feature = "gzip")]
    Gzip,
    /// `deflate`: zlib's format (RFC 1950), as in HTTP.
    #[cfg(feature = "deflate")]
    Deflate,
    /// `zstd` (RFC 8878). Few implementations know it.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// All that there are in this build, in the order in which they are offered.
    pub(crate) const ALL: &[Self] = &[
        Self::Identity,
        #[cfg(feature = "gzip")]
        Self::Gzip,
        #[cfg(feature = "deflate")]
        Self::Deflate,
        #[cfg(feature = "zstd")]
        Self::Zstd,
    ];

    /// Its name, as `grpc-encoding` says it.
    ///
    /// ```
    /// use highball_transport::Compression;
    ///
    /// assert_eq!(Compression::Identity.name(), "identity");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
            #[cfg(feature = "deflate")]
            Self::Deflate => "deflate",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// The one with this name, if this build has it.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|compression| compression.name() == name)
    }

    /// Compresses `payload` into `room`: how long it has become, unless there is no room for that.
    pub(crate) fn pack(self, payload: &[u8], room: &mut [u8]) -> Option<usize> {
        match self {
            Self::Identity => {
                let _ = (payload, room);
                None
            }
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::pack(payload, room),
            #[cfg(feature = "deflate")]
            Self::Deflate => deflate::pack(payload, room),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::pack(payload, room),
        }
    }

    /// What `packed` was before, unless that is more than `limit` bytes.
    ///
    /// The memory it takes is bounded by what the message turns out to be, and by the limit: what is over it is
    /// not kept to find that out.
    pub(crate) fn unpack(self, packed: Bytes, limit: usize) -> Result<Bytes, FramingError> {
        match self {
            Self::Identity if packed.len() > limit => Err(FramingError::TooLargeUnpacked { limit }),
            Self::Identity => Ok(packed),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::unpack_members(packed, limit),
            #[cfg(feature = "deflate")]
            Self::Deflate => deflate::unpack_stream(packed, limit),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::unpack_frames(packed, limit),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text that is worth compressing.
    fn text() -> Vec<u8> {
        (0..5000)
            .flat_map(|n: u32| format!("line {n}; ").into_bytes())
            .collect()
    }

    fn pack(compression: Compression, payload: &[u8]) -> Option<Bytes> {
        let mut room = vec![0; payload.len()];
        let length = compression.pack(payload, &mut room)?;
        room.truncate(length);
        Some(room.into())
    }

    fn real() -> impl Iterator<Item = Compression> {
        Compression::ALL
            .iter()
            .copied()
            .filter(|kind| *kind != Compression::Identity)
    }

    #[test]
    fn each_has_a_name_and_is_found_by_it() {
        for kind in Compression::ALL {
            assert_eq!(Compression::named(kind.name()), Some(*kind));
        }
        assert_eq!(Compression::named("snappy"), None);
        assert_eq!(Compression::named("GZIP"), None, "names are in lower case");
    }

    #[test]
    fn what_is_packed_is_shorter_and_is_unpacked_to_what_it_was() {
        let text = text();
        for kind in real() {
            for _ in 0..2 {
                let packed = pack(kind, &text).unwrap();
                assert!(packed.len() < text.len() / 2, "{kind}: {}", packed.len());
                assert_eq!(kind.unpack(packed, text.len()).unwrap(), text, "{kind}");
            }
        }
    }

    #[test]
    fn what_would_not_become_shorter_is_not_packed() {
        let mut noise = vec![0; 1000];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        for kind in real() {
            assert_eq!(pack(kind, &noise), None, "{kind}");
            assert_eq!(pack(kind, b"x"), None, "{kind}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_by_a_byte() {
        let text = text();
        for kind in real() {
            let packed = pack(kind, &text).unwrap();
            assert!(kind.unpack(packed.clone(), text.len()).is_ok(), "{kind}");
            let refused = kind.unpack(packed, text.len() - 1);
            assert!(
                matches!(refused, Err(FramingError::TooLargeUnpacked { .. })),
                "{kind}"
            );
        }
    }

    /// Far more than is set aside on the word of a peer, be it true or not.
    #[test]
    fn a_message_of_zeros_is_unpacked_whole() {
        let zeros = vec![0; 3 << 20];
        for kind in real() {
            let packed = pack(kind, &zeros).unwrap();
            assert!(packed.len() < 10_000, "{kind}: {}", packed.len());
            assert_eq!(kind.unpack(packed, 4 << 20).unwrap(), zeros, "{kind}");
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_corrupt() {
        let text = text();
        for kind in real() {
            let packed = pack(kind, &text).unwrap();
            for length in [0, 1, 9, packed.len() / 2, packed.len() - 1] {
                let cut = kind.unpack(packed.slice(..length), 1 << 20);
                assert!(
                    matches!(cut, Err(FramingError::Corrupt(_))),
                    "{kind} {length}: {cut:?}"
                );
            }
            let longer = [&packed[..], b"and more"].concat();
            let longer = kind.unpack(longer.into(), 1 << 20);
            assert!(
                matches!(longer, Err(FramingError::Corrupt(_))),
                "{kind}: {longer:?}"
            );
        }
    }

    #[test]
    fn a_fault_leaves_nothing_behind_for_the_next_message() {
        let text = text();
        for kind in real() {
            let packed = pack(kind, &text).unwrap();
            let half = packed.slice(..packed.len() / 2);
            assert!(kind.unpack(half, 1 << 20).is_err());
            assert!(kind.unpack(packed.clone(), 100).is_err());
            assert_eq!(kind.unpack(packed, 1 << 20).unwrap(), text, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_within_the_limit_or_refused(bytes: Vec<u8>, limit in 0..300_usize) {
            for kind in Compression::ALL {
                if let Ok(unpacked) = kind.unpack(bytes.clone().into(), limit) {
                    prop_assert!(unpacked.len() <= limit);
                }
            }
        }

        #[test]
        fn any_message_survives(bytes: Vec<u8>, times in 1..20_usize) {
            let message = bytes.repeat(times);
            for kind in real() {
                if let Some(packed) = pack(kind, &message) {
                    prop_assert_eq!(&kind.unpack(packed, message.len()).unwrap()[..], &message[..]);
                }
            }
        }
    }
}
