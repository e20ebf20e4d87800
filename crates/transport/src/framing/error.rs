//! What can be wrong with a framed message, and the status that each fault ends a call with.

use highball_core::{Code, Status};

use crate::compression::Compression;

/// A message that cannot be framed, or bytes that are no framed message.
///
/// [`Status::from`] gives the status a call ends with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The payload is longer than this side may send: RESOURCE_EXHAUSTED.
    #[error("trying to send message larger than max ({size} vs. {limit})")]
    TooLargeToSend {
        /// Length of the payload in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The prefix announces a payload longer than this side takes: RESOURCE_EXHAUSTED.
    #[error("grpc: received message larger than max ({size} vs. {limit})")]
    TooLarge {
        /// Length of the payload in bytes, as the peer says.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The flag byte is neither 0 nor 1: INTERNAL.
    #[error("grpc: received unexpected payload format {0}")]
    UnknownFlag(u8),
    /// The flag says compressed, and no compression was announced: INTERNAL.
    #[error("grpc: compressed flag set with identity or empty encoding")]
    CompressedWithoutEncoding,
    /// The compression that was announced is not known here: INTERNAL at a client. A server refuses the
    /// call with UNIMPLEMENTED and this text before it reads a message.
    #[error("grpc: Decompressor is not installed for grpc-encoding {0:?}")]
    UnknownEncoding(String),
    /// The compression that was announced is known here, but the call has not said it reads it: INTERNAL.
    #[error(
        "grpc: peer compressed the response with {:?} which is not allowed by AcceptCompressors",
        .0.name()
    )]
    EncodingNotAllowed(Compression),
    /// A compressed message is longer than this side takes: RESOURCE_EXHAUSTED. How long, nobody has found out.
    #[error("grpc: received message after decompression larger than max {limit}")]
    TooLargeUnpacked {
        /// The limit in bytes.
        limit: usize,
    },
    /// A compressed message is not what was announced, or damaged: INTERNAL.
    #[error("grpc: failed to decompress the received message: {0}")]
    Corrupt(String),
    /// The stream ended inside a message: INTERNAL.
    #[error("unexpected EOF")]
    UnexpectedEnd,
}

impl From<FramingError> for Status {
    fn from(error: FramingError) -> Self {
        let code = match error {
            FramingError::TooLargeToSend { .. }
            | FramingError::TooLarge { .. }
            | FramingError::TooLargeUnpacked { .. } => Code::ResourceExhausted,
            FramingError::UnknownFlag(_)
            | FramingError::CompressedWithoutEncoding
            | FramingError::UnknownEncoding(_)
            | FramingError::EncodingNotAllowed(_)
            | FramingError::Corrupt(_)
            | FramingError::UnexpectedEnd => Code::Internal,
        };
        Self::new(code, error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_size_exhaust_resources_and_faults_of_form_are_internal() {
        let (size, limit) = (11, 10);
        for (error, text) in [
            (
                FramingError::TooLargeToSend { size, limit },
                "RESOURCE_EXHAUSTED: trying to send message larger than max (11 vs. 10)",
            ),
            (
                FramingError::TooLarge { size, limit },
                "RESOURCE_EXHAUSTED: grpc: received message larger than max (11 vs. 10)",
            ),
            (
                FramingError::UnknownFlag(2),
                "INTERNAL: grpc: received unexpected payload format 2",
            ),
            (
                FramingError::CompressedWithoutEncoding,
                "INTERNAL: grpc: compressed flag set with identity or empty encoding",
            ),
            (
                FramingError::UnknownEncoding("snappy".to_owned()),
                "INTERNAL: grpc: Decompressor is not installed for grpc-encoding \"snappy\"",
            ),
            (
                FramingError::EncodingNotAllowed(Compression::Identity),
                "INTERNAL: grpc: peer compressed the response with \"identity\" which is not \
                 allowed by AcceptCompressors",
            ),
            (
                FramingError::TooLargeUnpacked { limit },
                "RESOURCE_EXHAUSTED: grpc: received message after decompression larger than max 10",
            ),
            (
                FramingError::Corrupt("a bit fell over".to_owned()),
                "INTERNAL: grpc: failed to decompress the received message: a bit fell over",
            ),
            (FramingError::UnexpectedEnd, "INTERNAL: unexpected EOF"),
        ] {
            assert_eq!(Status::from(error).to_string(), text);
        }
    }
}
