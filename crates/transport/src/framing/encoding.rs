//! `grpc-encoding`: how the messages of one direction of a call are compressed.

use http::{HeaderMap, HeaderName};

use super::FramingError;
use crate::compression::{Compression, Compressions};

pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The compression that a peer announced for its messages of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One that is known here, or none: no `grpc-encoding` header, an empty one, or `identity`.
    Known(Compression),
    /// One that is known here, but that the call has not said it reads: INTERNAL once a message really is
    /// compressed.
    NotAllowed(Compression),
    /// One that is not known here. A server refuses the call with UNIMPLEMENTED before its handler runs;
    /// a client fails with INTERNAL once a message really is compressed.
    Unknown(Box<str>),
}

impl Encoding {
    /// Messages that are not compressed.
    pub const IDENTITY: Self = Self::Known(Compression::Identity);

    /// Reads `grpc-encoding` from the headers of a call.
    pub fn of(headers: &HeaderMap) -> Self {
        // Few calls have many headers: looking at the names is less work than hashing this one.
        let named = headers.iter().find(|(name, _)| **name == GRPC_ENCODING);
        named.map_or(Self::IDENTITY, |(_, value)| Self::named(value.as_bytes()))
    }

    /// The encoding with this name.
    pub(crate) fn named(name: &[u8]) -> Self {
        if name.is_empty() {
            return Self::IDENTITY;
        }
        let name = String::from_utf8_lossy(name);
        match Compression::named(&name) {
            Some(known) => Self::Known(known),
            None => Self::Unknown(name.into()),
        }
    }

    /// The same for a call that reads no others than `allowed`.
    pub(crate) fn within(self, allowed: Compressions) -> Self {
        match self {
            Self::Known(known) if known != Compression::Identity && !allowed.contains(known) => {
                Self::NotAllowed(known)
            }
            encoding => encoding,
        }
    }

    /// What a message that says it is compressed is compressed by.
    pub(super) fn of_a_compressed_message(&self) -> Result<Compression, FramingError> {
        match self {
            Self::Known(known) if *known == Compression::Identity => {
                Err(FramingError::CompressedWithoutEncoding)
            }
            Self::Known(known) => Ok(*known),
            Self::NotAllowed(known) => Err(FramingError::EncodingNotAllowed(*known)),
            Self::Unknown(name) => Err(FramingError::UnknownEncoding(name.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        let of = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            Encoding::of(&HeaderMap::from_iter([(
                HeaderName::from_static("grpc-encoding"),
                value,
            )]))
        };
        assert_eq!(Encoding::of(&HeaderMap::new()), Encoding::IDENTITY);
        assert_eq!(of(""), Encoding::IDENTITY);
        for kind in Compressions::all().iter() {
            assert_eq!(of(kind.name()), Encoding::Known(kind));
        }
        assert_eq!(of("snappy"), Encoding::Unknown("snappy".into()));
    }

    #[test]
    fn a_call_may_allow_less_than_there_is() {
        for kind in Compressions::all().iter() {
            let encoding = Encoding::Known(kind);
            assert_eq!(encoding.clone().within(Compressions::all()), encoding);
            let expected = match kind == Compression::Identity {
                true => encoding.clone(),
                false => Encoding::NotAllowed(kind),
            };
            assert_eq!(encoding.within(Compressions::none()), expected);
        }
    }
}
