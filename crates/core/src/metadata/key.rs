//! What a metadata key may be, and which keys gRPC keeps for itself.

use super::InvalidMetadata;

/// Keys of HTTP and of the transport that no application may set.
const RESERVED: [&str; 9] = [
    "connection",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Keys that start with `grpc-` and are the application's all the same.
const OPEN: [&str; 3] = ["grpc-retry-pushback-ms", "grpc-tags-bin", "grpc-trace-bin"];

/// Whether values of this key are bytes, sent in base64.
pub(super) fn is_binary(key: &str) -> bool {
    key.ends_with("-bin")
}

/// Whether gRPC or HTTP keeps this key for itself.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with(':')
        || RESERVED.contains(&key)
        || (key.starts_with("grpc-") && !OPEN.contains(&key))
}

/// Whether logs must not show this key's values.
pub(super) fn is_secret(key: &str) -> bool {
    matches!(
        key,
        "authorization" | "proxy-authorization" | "cookie" | "set-cookie"
    ) || key.ends_with("-token")
        || is_binary(key)
}

/// The key in lower case, if an application may set it.
pub(super) fn check(key: &str) -> Result<http::HeaderName, InvalidMetadata> {
    if key.is_empty() {
        return Err(InvalidMetadata::EmptyKey);
    }
    let lower = key.to_ascii_lowercase();
    if is_reserved(&lower) {
        return Err(InvalidMetadata::ReservedKey(lower));
    }
    let legal = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'_' | b'-');
    if !lower.bytes().all(legal) {
        return Err(InvalidMetadata::IllegalKey(lower));
    }
    lower
        .parse()
        .map_err(|_| InvalidMetadata::IllegalKey(lower))
}
