//! Headers and trailers of a reply, as PROTOCOL-HTTP2 writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use highball_core::{Code, MetadataMap, Status};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::compression::{ALL_COMPRESSIONS, Compression, GRPC_ACCEPT_ENCODING};
use crate::framing::GRPC_ENCODING;
use crate::percent;
use crate::response::header_list_size;
use crate::tap::Facts;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The head of a reply with this HTTP status: what every reply carries, and the application's metadata.
/// `headers` is what it is made in: empty, but perhaps with room. `compression` is announced: what its messages are
/// compressed by.
///
/// What is accepted is said in all of them. A client that is refused for the encoding of its messages must be told (the
/// compression document of gRPC), and what is always there is one byte in HPACK.
pub(super) fn response(
    http: StatusCode,
    headers: HeaderMap,
    metadata: MetadataMap,
    compression: Compression,
) -> Response<()> {
    let mut headers = if metadata.is_empty() {
        headers
    } else {
        metadata.into_wire()
    };
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_ACCEPT_ENCODING, ALL_COMPRESSIONS);
    if compression != Compression::Identity {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(compression.name()));
    }
    let mut response = Response::new(());
    *response.status_mut() = http;
    *response.headers_mut() = headers;
    response
}

/// The head of a reply that refuses a call.
pub(super) fn refusal(http: StatusCode, headers: HeaderMap, status: Status) -> Response<()> {
    let mut response = response(http, headers, MetadataMap::new(), Compression::Identity);
    put_status(response.headers_mut(), status);
    response
}

/// Adds the end of a call that went well to its trailers, or to the headers of a reply that has
/// nothing else.
pub(super) fn put_ok(fields: &mut HeaderMap, metadata: MetadataMap) {
    put_metadata(fields, metadata);
    put(fields, Code::Ok, "");
}

/// The same for any status.
pub(super) fn put_status(fields: &mut HeaderMap, mut status: Status) {
    put_metadata(fields, std::mem::take(status.metadata_mut()));
    put(fields, status.code(), status.message());
    if !status.details().is_empty() {
        let details = STANDARD_NO_PAD.encode(status.details());
        if let Ok(value) = HeaderValue::try_from(details) {
            fields.insert(GRPC_STATUS_DETAILS, value);
        }
    }
}

fn put_metadata(fields: &mut HeaderMap, metadata: MetadataMap) {
    if fields.is_empty() {
        *fields = metadata.into_wire();
    } else if !metadata.is_empty() {
        fields.extend(metadata.into_wire());
    }
}

/// Whether a client takes the headers or the trailers of a reply. One that gets more than it accepts loses
/// some, perhaps the status.
pub(super) enum Fit {
    /// It does.
    Whole,
    /// It takes these in their place: a status that says so.
    Instead(HeaderMap),
    /// Not even that.
    Nothing,
}

/// Counts headers or trailers, as HTTP/2 does, against what the client accepts.
pub(super) fn fit(fields: &HeaderMap, peer: &Facts) -> Fit {
    const STATUS: usize = ":status200".len() + 32;
    let limit = peer.max_header_list_size() as usize;
    let size = |fields: &HeaderMap| STATUS + header_list_size(fields);
    let is_surely_whole =
        limit == u32::MAX as usize || limit >= ALWAYS && has_no_more_than_always(fields);
    if is_surely_whole || size(fields) <= limit {
        return Fit::Whole;
    }
    let instead = too_large(fields, size(fields), limit);
    match size(&instead) <= limit {
        true => Fit::Instead(instead),
        false => Fit::Nothing,
    }
}

/// More than all takes up that a reply has in any case, its headers or its trailers.
const ALWAYS: usize = 256;

/// Whether there is no more in headers than `content-type` and `grpc-accept-encoding`, or in trailers than
/// `grpc-status`. None have less, so it is told by their number, and by what comes first.
fn has_no_more_than_always(fields: &HeaderMap) -> bool {
    match fields.len() {
        1 => true,
        2 => fields.keys().next() == Some(&CONTENT_TYPE),
        _ => false,
    }
}

/// What gRPC needs of the fields, and INTERNAL, with a word on what the call's own status was.
fn too_large(fields: &HeaderMap, size: usize, limit: usize) -> HeaderMap {
    let needed = [CONTENT_TYPE, GRPC_ACCEPT_ENCODING].into_iter();
    let needed = needed.filter_map(|name| Some((name.clone(), fields.get(&name)?.clone())));
    let mut instead: HeaderMap = needed.collect();
    let mut text =
        format!("the server's metadata exceeds the client's limit ({size} vs. {limit} bytes)");
    let number = fields
        .get(GRPC_STATUS)
        .and_then(|number| number.to_str().ok());
    let code = number.and_then(|number| Code::from_number(number.parse().ok()?));
    if let Some(code) = code {
        text = format!("{text}; its status was {code}");
    }
    put(&mut instead, Code::Internal, &text);
    instead
}

fn put(fields: &mut HeaderMap, code: Code, message: &str) {
    fields.insert(GRPC_STATUS, number(code));
    if !message.is_empty() {
        fields.insert(GRPC_MESSAGE, percent::encode(message));
    }
}

fn number(code: Code) -> HeaderValue {
    match code {
        Code::Ok => HeaderValue::from_static("0"),
        other => HeaderValue::from(other.number()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::Compressions;

    fn field<'a>(fields: &'a HeaderMap, name: &str) -> &'a str {
        fields[name].to_str().unwrap()
    }

    #[test]
    fn every_reply_says_what_it_is() {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-shard", "4").unwrap();
        for (metadata, fields) in [(metadata, 3), (MetadataMap::new(), 2)] {
            let response = response(
                StatusCode::OK,
                HeaderMap::new(),
                metadata,
                Compression::Identity,
            );
            assert_eq!(response.status(), 200);
            let content_type = field(response.headers(), "content-type");
            assert_eq!(content_type, "application/grpc");
            let accepted = &response.headers()["grpc-accept-encoding"];
            assert_eq!(accepted, ALL_COMPRESSIONS);
            assert!(!accepted.is_sensitive(), "one for HPACK's table");
            assert_eq!(response.headers().len(), fields);
        }
    }

    #[test]
    fn a_refusal_says_what_is_accepted() {
        let status = Status::unimplemented("no");
        let refusal = refusal(StatusCode::OK, HeaderMap::new(), status);
        let accepted = field(refusal.headers(), "grpc-accept-encoding");
        assert_eq!(accepted, Compressions::all().header_value());
        assert_eq!(field(refusal.headers(), "grpc-status"), "12");
    }

    #[test]
    fn a_status_travels_with_message_details_and_metadata() {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-retry", "no").unwrap();
        let status = Status::not_found("50 % of \u{e9}")
            .with_details(&b"\x08\x05"[..])
            .with_metadata(metadata);
        let mut fields = HeaderMap::new();
        put_status(&mut fields, status);
        assert_eq!(field(&fields, "grpc-status"), "5");
        assert_eq!(field(&fields, "grpc-message"), "50 %25 of %C3%A9");
        assert_eq!(field(&fields, "grpc-status-details-bin"), "CAU");
        assert_eq!(field(&fields, "x-retry"), "no");
    }

    #[test]
    fn what_is_always_there_is_told_from_what_is_not() {
        let head = |metadata| {
            response(
                StatusCode::OK,
                HeaderMap::new(),
                metadata,
                Compression::Identity,
            )
        };
        let bare = head(MetadataMap::new()).into_parts().0.headers;
        let mut ended = HeaderMap::new();
        put(&mut ended, Code::Unauthenticated, "");
        for fields in [&bare, &ended] {
            assert!(has_no_more_than_always(fields));
            assert!(header_list_size(fields) + 64 <= ALWAYS);
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("k", "v").unwrap();
        let mut announced = bare.clone();
        announced.insert(GRPC_ENCODING, HeaderValue::from_static("any"));
        let (mut with_text, mut with_metadata) = (HeaderMap::new(), HeaderMap::new());
        put(&mut with_text, Code::Unknown, "text");
        put_ok(&mut with_metadata, metadata.clone());
        let with_head = head(metadata).into_parts().0.headers;
        for fields in [&with_head, &announced, &with_text, &with_metadata] {
            assert!(!has_no_more_than_always(fields), "{fields:?}");
        }
    }

    #[test]
    fn success_is_a_status_too() {
        let mut fields = HeaderMap::new();
        put_ok(&mut fields, MetadataMap::new());
        assert_eq!(field(&fields, "grpc-status"), "0");
        assert_eq!(fields.len(), 1, "an empty message is not sent");
    }
}
