//! `grpc-encoding`: how the messages of one direction of a call are compressed.

use http::{HeaderMap, HeaderName};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// What this side can decompress, as `grpc-accept-encoding` says it.
pub const ACCEPTED_ENCODINGS: &str = "identity";

/// The compression that a peer announced for its messages of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// None: no `grpc-encoding` header, an empty one, or `identity`.
    #[default]
    Identity,
    /// One that is not known here. A server refuses the call with UNIMPLEMENTED before its handler runs;
    /// a client fails with INTERNAL once a message really is compressed.
    Unknown(String),
}

impl Encoding {
    /// Reads `grpc-encoding` from the headers of a call.
    pub fn of(headers: &HeaderMap) -> Self {
        // Few calls have many headers: looking at the names is less work than hashing this one.
        let named = headers.iter().find(|(name, _)| **name == GRPC_ENCODING);
        named.map_or(Self::Identity, |(_, value)| Self::named(value.as_bytes()))
    }

    /// The encoding with this name.
    pub(crate) fn named(name: &[u8]) -> Self {
        match name {
            b"" | b"identity" => Self::Identity,
            _ => Self::Unknown(String::from_utf8_lossy(name).into_owned()),
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
        assert_eq!(Encoding::of(&HeaderMap::new()), Encoding::Identity);
        assert_eq!(of(""), Encoding::Identity);
        assert_eq!(of("identity"), Encoding::Identity);
        assert_eq!(of("snappy"), Encoding::Unknown("snappy".to_owned()));
    }
}
