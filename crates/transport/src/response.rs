//! The server's HEADERS, judged: response headers, trailers, or something that is not gRPC at all.

use std::task::{Context, Poll, ready};

use h2::RecvStream;
use highball_core::{Code, MetadataMap, Status};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::compression::GRPC_ACCEPT_ENCODING;
use crate::status::{BARE_OK, from_headers, from_trailers, http_code, is_bare_ok};

/// How much of a body that is not gRPC is kept for the error's text.
const FOREIGN_BODY: usize = 1024;

/// What the first HEADERS of a response are.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The call's headers. Messages may follow.
    Headers(MetadataMap),
    /// Headers and trailers in one: the call has ended, well or not.
    Trailers(Result<MetadataMap, Status>),
    /// A reply of something that is no gRPC server.
    Foreign(Foreign),
    /// gRPC, but broken.
    Malformed(Status),
}

/// Judges the first HEADERS; `is_last` says that they end the stream.
pub(crate) fn open(head: Parts, is_last: bool, limit: u32) -> Opening {
    if header_list_size(&head.headers) > limit as usize {
        return Opening::Malformed(too_large(limit));
    }
    if !is_grpc(&head.headers) {
        return Opening::Foreign(Foreign::new(head.status, &head.headers));
    }
    // With gRPC's content-type, `:status` says nothing that grpc-status does not say better.
    if is_last {
        return Opening::Trailers(from_trailers(head.headers));
    }
    match from_headers(head.headers) {
        Ok(metadata) => Opening::Headers(metadata),
        Err(status) => Opening::Malformed(status),
    }
}

/// How a call ended that these trailers end. They must not be over the limit, neither as they are nor as
/// they `travelled`: h2 drops what is over its own limit, and says nothing of it.
pub(crate) fn trailers(
    trailers: HeaderMap,
    travelled: usize,
    limit: u32,
) -> Result<MetadataMap, Status> {
    if is_bare_ok(&trailers) && travelled.max(BARE_OK) <= limit as usize {
        return Ok(MetadataMap::new());
    }
    if header_list_size(&trailers).max(travelled) > limit as usize {
        return Err(too_large(limit));
    }
    from_trailers(trailers)
}

fn too_large(limit: u32) -> Status {
    Status::resource_exhausted(format!(
        "peer header list size exceeded limit ({limit} bytes)"
    ))
}

/// The size of a header list as HTTP/2 counts it: 32 bytes for each field beside its text.
pub(crate) fn header_list_size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum()
}

/// Whether the content type is gRPC's: `application/grpc`, alone or before `+` or `;`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    // Looking at the names, of which there are few, is less work than hashing this one.
    headers
        .iter()
        .find(|(name, _)| **name == header::CONTENT_TYPE)
        .is_some_and(|(_, value)| is_grpcs(value))
}

fn is_grpcs(content_type: &HeaderValue) -> bool {
    let suffix = content_type.as_bytes().strip_prefix(b"application/grpc");
    suffix.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// What nearly every response starts with: that it is gRPC's, and perhaps what its server reads, which is of no use
/// here. What comes in another order is looked at more closely.
pub(crate) fn is_bare(headers: &HeaderMap, limit: u32) -> bool {
    const CONTENT_TYPE: usize = "content-type".len() + 32;
    const ACCEPT_ENCODING: usize = "grpc-accept-encoding".len() + 32;
    let mut fields = headers.iter();
    let Some((first, value)) = fields.next() else {
        return false;
    };
    // Counted by the way.
    let mut size = CONTENT_TYPE + value.len();
    *first == header::CONTENT_TYPE
        && is_grpcs(value)
        && fields.all(|(name, value)| {
            size += ACCEPT_ENCODING + value.len();
            *name == GRPC_ACCEPT_ENCODING
        })
        && size <= limit as usize
}

/// A reply of something that is no gRPC server: a proxy's page, mostly.
#[derive(Debug)]
pub(crate) struct Foreign {
    code: Code,
    text: String,
    body: Vec<u8>,
}

impl Foreign {
    fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let content_type = match headers.get(header::CONTENT_TYPE) {
            Some(value) => format!(
                "transport: received unexpected content-type {:?}",
                String::from_utf8_lossy(value.as_bytes())
            ),
            None => "malformed header: missing HTTP content-type".to_owned(),
        };
        let reason = status.canonical_reason().unwrap_or("");
        let text = match status {
            StatusCode::OK => content_type,
            _ => format!(
                "unexpected HTTP status code received from server: {} ({reason}); {content_type}",
                status.as_u16()
            ),
        };
        Self {
            code: http_code(status),
            text,
            body: Vec::new(),
        }
    }

    /// Reads what it has to say, up to 1,024 bytes; ready at the end of it, whatever ends it.
    pub(crate) fn poll_gather(&mut self, body: &mut RecvStream, cx: &mut Context<'_>) -> Poll<()> {
        while self.body.len() < FOREIGN_BODY {
            let Some(Ok(data)) = ready!(body.poll_data(cx)) else {
                break;
            };
            let room = FOREIGN_BODY - self.body.len();
            self.body.extend_from_slice(&data[..data.len().min(room)]);
            // Cannot fail: this much has just come.
            let _ = body.flow_control().release_capacity(data.len());
        }
        Poll::Ready(())
    }

    /// The status it amounts to, with what it said.
    pub(crate) fn status(&self) -> Status {
        if self.body.is_empty() {
            return Status::new(self.code, self.text.clone());
        }
        let body = String::from_utf8_lossy(&self.body);
        Status::new(self.code, format!("{}\ndata: {body:?}", self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 16 * 1024;

    fn parts(status: u16, fields: &[(&'static str, &str)]) -> Parts {
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    #[test]
    fn grpcs_content_type_may_have_a_suffix() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            let head = parts(200, &[("content-type", value)]);
            assert_eq!(is_grpc(&head.headers), expected, "{value:?}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_bare_response_says_nothing_that_is_of_use() {
        let reads = ("grpc-accept-encoding", "identity,deflate,gzip");
        let bare = |fields: &[(&'static str, &str)]| is_bare(&parts(200, fields).headers, LIMIT);
        for fields in [&[GRPC][..], &[GRPC, reads], &[GRPC, reads, reads]] {
            assert!(bare(fields), "{fields:?}");
        }
        let long = "x".repeat(17_000);
        for fields in [
            &[][..],
            &[reads],
            &[("content-type", "text/html"), reads],
            &[GRPC, ("content-type", "text/html")],
            &[GRPC, reads, ("k", "v")],
            &[GRPC, ("grpc-encoding", "gzip")],
            &[GRPC, ("grpc-accept-encoding", &long)],
        ] {
            assert!(!bare(fields), "{fields:?}");
        }
        let headers = parts(200, &[GRPC, reads]).headers;
        let size = u32::try_from(header_list_size(&headers)).unwrap();
        assert!(is_bare(&headers, size) && !is_bare(&headers, size - 1));
    }

    #[test]
    fn headers_are_told_from_trailers_by_the_end_of_the_stream() {
        let head = || parts(200, &[GRPC, ("k", "v"), ("grpc-status", "5")]);
        assert!(matches!(
            open(head(), false, LIMIT),
            Opening::Headers(metadata) if metadata.get("k") == Some("v") && metadata.len() == 1
        ));
        assert!(matches!(
            open(head(), true, LIMIT),
            Opening::Trailers(Err(status)) if status.code() == Code::NotFound
        ));
    }

    /// What a call's status is, given only its first HEADERS, by the rows of the decision list.
    fn verdict(status: u16, fields: &[(&'static str, &str)], is_last: bool) -> String {
        match open(parts(status, fields), is_last, LIMIT) {
            Opening::Headers(_) => "headers".to_owned(),
            Opening::Trailers(Ok(_)) => "OK".to_owned(),
            Opening::Trailers(Err(status)) | Opening::Malformed(status) => status.to_string(),
            Opening::Foreign(foreign) => foreign.status().to_string(),
        }
    }

    #[test]
    fn the_first_headers_decide() {
        let html = ("content-type", "text/html");
        for (status, fields, is_last, expected) in [
            (200, &[GRPC][..], false, "headers"),
            (500, &[GRPC], false, "headers"),
            (
                502,
                &[GRPC, ("grpc-status", "3"), ("grpc-message", "m")],
                true,
                "INVALID_ARGUMENT: m",
            ),
            (
                200,
                &[GRPC, ("grpc-status", "abc")],
                false,
                "UNKNOWN: transport: malformed grpc-status: abc",
            ),
            (
                200,
                &[GRPC, ("k-bin", "!")],
                false,
                "INTERNAL: transport: malformed binary metadata in header \"k-bin\": not base64",
            ),
            (
                200,
                &[GRPC],
                true,
                "UNKNOWN: the server's trailers lack grpc-status",
            ),
            (
                403,
                &[],
                true,
                "PERMISSION_DENIED: unexpected HTTP status code received from server: 403 \
                 (Forbidden); malformed header: missing HTTP content-type",
            ),
            (
                200,
                &[html],
                true,
                "UNKNOWN: transport: received unexpected content-type \"text/html\"",
            ),
            (
                404,
                &[html, ("grpc-status", "0"), ("k-bin", "!")],
                false,
                "UNIMPLEMENTED: unexpected HTTP status code received from server: 404 \
                 (Not Found); transport: received unexpected content-type \"text/html\"",
            ),
        ] {
            assert_eq!(verdict(status, fields, is_last), expected);
        }
    }

    #[test]
    fn header_lists_over_the_limit_exhaust_resources() {
        let long = "x".repeat(17_000);
        let expected = "RESOURCE_EXHAUSTED: peer header list size exceeded limit (16384 bytes)";
        assert_eq!(verdict(200, &[GRPC, ("k", &long)], false), expected);
        let mut map = parts(200, &[("k", &long)]).headers;
        map.append("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(trailers(map, 0, LIMIT).unwrap_err().to_string(), expected);
        let ok = || parts(200, &[("grpc-status", "0")]).headers;
        let cut = trailers(ok(), 17_000, LIMIT);
        assert_eq!(cut.unwrap_err().to_string(), expected);
        let size = u32::try_from(header_list_size(&ok())).unwrap();
        assert!(trailers(ok(), 0, size).is_ok());
        assert!(trailers(ok(), 0, size - 1).is_err());
    }
}
