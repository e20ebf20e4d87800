//! What a metadata key may be, and which keys gRPC keeps for itself.

use super::InvalidMetadata;

/// Whether values of this key are bytes, sent in base64.
pub(super) fn is_binary(key: &str) -> bool {
    key.ends_with("-bin")
}

/// How many attempts came before: for gRPC to set, and for handlers to read (gRFC A6).
const PREVIOUS_ATTEMPTS: &str = "previous-rpc-attempts";

/// Whether gRPC or HTTP keeps this key for itself: applications cannot set it.
pub(super) fn is_reserved(key: &str) -> bool {
    is_hidden(key) || key.strip_prefix("grpc-") == Some(PREVIOUS_ATTEMPTS)
}

/// Whether applications do not see this key either.
pub(super) fn is_hidden(key: &str) -> bool {
    match key.strip_prefix("grpc-") {
        Some(own) => !matches!(
            own,
            PREVIOUS_ATTEMPTS | "retry-pushback-ms" | "tags-bin" | "trace-bin"
        ),
        None => key.starts_with(':') || is_of_http(key),
    }
}

/// Keys of HTTP and of the transport that no application may set.
fn is_of_http(key: &str) -> bool {
    matches!(
        key,
        "connection"
            | "content-type"
            | "host"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "user-agent"
    )
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
