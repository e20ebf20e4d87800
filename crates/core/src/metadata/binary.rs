//! `-bin` values: bytes as base64, the way PROTOCOL-HTTP2 asks for them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::HeaderValue;

/// Writes without padding, reads with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A `-bin` value from the wire that is not base64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed binary metadata in header {key:?}: not base64")]
pub struct UndecodableBinary {
    /// The header's name.
    pub key: String,
}

pub(super) fn encode(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(BASE64.encode(bytes)).expect("base64 is made of legal header bytes")
}

pub(super) fn decode(value: &[u8]) -> Option<Bytes> {
    BASE64.decode(value).ok().map(Bytes::from)
}

/// The values of one header field, which may hold several, split at commas.
pub(super) fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
