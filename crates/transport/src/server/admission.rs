//! The checks every call passes before anybody works on it, in the order gRPC's servers make them.
//!
//! HTTP/2 has made its own before: stream ids, the number of open streams, duplicate pseudo-headers and
//! headers such as `connection` never get here.

use std::time::Duration;

use highball_core::{MetadataMap, Status, decode_timeout};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request};

use super::CallHead;
use crate::compression::{Compression, Compressions, Heard};
use crate::framing::{Encoding, FramingError};

/// A longer time than this is no limit: thirty years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Why a call is not let in, and what HTTP and gRPC are told.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) http: StatusCode,
    pub(super) status: Status,
}

impl Refusal {
    fn new(http: StatusCode, status: Status) -> Self {
        Self { http, status }
    }
}

/// Makes a call's head of the headers of its request, or says why there is no such call.
///
/// Takes everything out of `parts`. Its map of headers is left empty, with its room: the reply uses it.
pub(super) fn admit(
    parts: &mut request::Parts,
    header_limit: u32,
    heard: &mut Heard,
) -> Result<CallHead, Refusal> {
    let uri = std::mem::take(&mut parts.uri);
    let fields = Fields::sort(&mut parts.headers, &uri, header_limit, heard);
    within_limit(fields.size, header_limit)?;
    let host = single_host(&uri, fields.hosts, fields.host)?;
    grpc_content_type(fields.content_type)?;
    let timeout = timeout(fields.timeout)?;
    let metadata =
        MetadataMap::from_wire(fields.metadata).map_err(|error| bad_request(error.to_string()))?;
    is_post(&parts.method)?;
    if timeout == Some(Duration::ZERO) {
        let status = Status::deadline_exceeded("context deadline exceeded");
        return Err(Refusal::new(StatusCode::OK, status));
    }
    let compression = compression(fields.encoding)?;
    Ok(CallHead {
        uri,
        host,
        user_agent: fields.user_agent,
        timeout,
        compression,
        accepted: fields.accepted,
        metadata,
    })
}

/// The fields of a request, told apart in one pass: to look each up would hash its name, and to take it out
/// would close the gap. Of several values of a name that may have one only, the first counts.
#[derive(Default)]
struct Fields {
    /// Counted like HTTP/2's SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 bytes a field.
    size: usize,
    hosts: usize,
    host: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    timeout: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    encoding: Option<HeaderValue>,
    /// All that the values of this one name.
    accepted: Compressions,
    /// What is left are the application's, but for what a proxy may have added.
    metadata: HeaderMap,
}

impl Fields {
    /// Of a list over the limit only the size is of interest.
    fn sort(headers: &mut HeaderMap, uri: &http::Uri, limit: u32, heard: &mut Heard) -> Self {
        let mut fields = Self {
            size: pseudo_headers(uri),
            ..Self::default()
        };
        let mut current = None;
        for (name, value) in headers.drain() {
            // A further value of a name comes without it.
            current = name.or(current);
            let Some(name) = &current else { continue };
            fields.size += name.as_str().len() + value.len() + 32;
            if fields.size > limit as usize {
                continue;
            }
            let place = match name.as_str() {
                "content-type" => &mut fields.content_type,
                "grpc-timeout" => &mut fields.timeout,
                "user-agent" => &mut fields.user_agent,
                "grpc-encoding" => &mut fields.encoding,
                "host" => {
                    fields.hosts += 1;
                    &mut fields.host
                }
                "te" => continue,
                "grpc-accept-encoding" => {
                    fields.accepted = fields.accepted.union(heard.read(value));
                    continue;
                }
                _ => {
                    fields.metadata.append(name.clone(), value);
                    continue;
                }
            };
            place.get_or_insert(value);
        }
        fields
    }
}

/// What the pseudo-headers add to the size of the list.
fn pseudo_headers(uri: &http::Uri) -> usize {
    const NAMES: usize = ":method:scheme:authority:path".len() + 4 * 32;
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |name| name.as_str().len());
    NAMES + path + authority
}

fn within_limit(size: usize, limit: u32) -> Result<(), Refusal> {
    if size <= limit as usize {
        return Ok(());
    }
    let text = format!("peer header list size exceeded limit ({size} vs. {limit})");
    let http = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Refusal::new(http, Status::resource_exhausted(text)))
}

/// At most one `host`, which counts only if there is no `:authority` (gRFC A41).
fn single_host(
    uri: &http::Uri,
    hosts: usize,
    host: Option<HeaderValue>,
) -> Result<Option<HeaderValue>, Refusal> {
    let authorities = usize::from(uri.authority().is_some());
    if hosts > 1 {
        return Err(bad_request(format!(
            "num values of :authority: {authorities}, num values of host: {hosts}, \
             both must only have 1 value as per HTTP/2 spec"
        )));
    }
    Ok(host.filter(|_| authorities == 0))
}

/// `application/grpc`, alone or followed by `+` or `;`.
fn grpc_content_type(value: Option<HeaderValue>) -> Result<(), Refusal> {
    let value = value.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    if is_grpc(value) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(value);
    let status = Status::internal(format!("invalid gRPC request content-type {shown:?}"));
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, status))
}

fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

fn timeout(value: Option<HeaderValue>) -> Result<Option<Duration>, Refusal> {
    let Some(value) = value else {
        return Ok(None);
    };
    let timeout = decode_timeout(value.as_bytes());
    let timeout = timeout.map_err(|error| bad_request(error.to_string()))?;
    Ok(Some(timeout.min(LONGEST)))
}

fn is_post(method: &Method) -> Result<(), Refusal> {
    if method == Method::POST {
        return Ok(());
    }
    let text = format!("Received a HEADERS frame with :method {method:?} which should be POST");
    let status = Status::internal(text);
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, status))
}

/// The reply to an encoding that is not known carries `grpc-accept-encoding`, as every reply does.
fn compression(encoding: Option<HeaderValue>) -> Result<Compression, Refusal> {
    let Some(name) = encoding else {
        return Ok(Compression::Identity);
    };
    match Encoding::named(name.as_bytes()) {
        Encoding::Known(compression) | Encoding::NotAllowed(compression) => Ok(compression),
        Encoding::Unknown(name) => {
            let text = FramingError::UnknownEncoding(name.into()).to_string();
            Err(Refusal::new(StatusCode::OK, Status::unimplemented(text)))
        }
    }
}

fn bad_request(text: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Status::internal(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> request::Builder {
        http::Request::post("http://echo.example/pkg.Svc/M")
            .header("content-type", "application/grpc")
    }

    fn check(request: request::Builder) -> Result<CallHead, Refusal> {
        let mut parts = request.body(()).unwrap().into_parts().0;
        admit(&mut parts, 16 * 1024, &mut Heard::nothing())
    }

    fn refused(request: request::Builder) -> (u16, String) {
        let refusal = check(request).unwrap_err();
        (refusal.http.as_u16(), refusal.status.to_string())
    }

    #[test]
    fn a_call_shows_its_head() {
        let head = check(
            request()
                .header("te", "trailers")
                .header("host", "ignored.example")
                .header("user-agent", "tester/1")
                .header("grpc-timeout", "1500m")
                .header("grpc-encoding", "identity")
                .header("grpc-accept-encoding", "identity")
                .header("x-trace", "7"),
        )
        .unwrap();
        assert_eq!(head.path(), "/pkg.Svc/M");
        assert_eq!(head.authority(), Some("echo.example"));
        assert_eq!(head.user_agent(), Some("tester/1"));
        assert_eq!(head.timeout(), Some(Duration::from_millis(1500)));
        assert!(head.accepted().iter().eq([Compression::Identity]));
        assert_eq!(head.metadata.len(), 1);
        assert_eq!(head.metadata.get("x-trace"), Some("7"));
    }

    #[test]
    fn of_several_values_the_first_counts_and_metadata_keeps_all_in_order() {
        let request = request()
            .header("x-many", "one")
            .header("grpc-timeout", "1S")
            .header("x-other", "z")
            .header("grpc-timeout", "2S")
            .header("x-many", "two");
        let mut parts = request.body(()).unwrap().into_parts().0;
        let head = admit(&mut parts, 16 * 1024, &mut Heard::nothing()).unwrap();
        assert_eq!(head.timeout(), Some(Duration::from_secs(1)));
        assert!(head.metadata.get_all("x-many").eq(["one", "two"]));
        assert_eq!(head.metadata.len(), 3);
        assert!(parts.headers.is_empty());
    }

    #[test]
    fn host_stands_in_for_a_missing_authority() {
        let with_path_only =
            || http::Request::post("/pkg.Svc/M").header("content-type", "application/grpc");
        let head = check(with_path_only().header("host", "echo.example")).unwrap();
        assert_eq!(head.authority(), Some("echo.example"));
        assert_eq!(check(with_path_only()).unwrap().authority(), None);
    }

    #[test]
    fn two_hosts_are_a_bad_request_whatever_else_is_wrong() {
        let two = |request: request::Builder| request.header("host", "a").header("host", "b");
        let text = "INTERNAL: num values of :authority: 1, num values of host: 2, \
                    both must only have 1 value as per HTTP/2 spec";
        assert_eq!(refused(two(request())), (400, text.to_owned()));
        let not_grpc = http::Request::get("http://echo.example/");
        assert_eq!(refused(two(not_grpc)).0, 400);
    }

    #[test]
    fn only_grpc_is_a_supported_media_type() {
        let with = |value: &str| check(http::Request::post("/s/m").header("content-type", value));
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;v=1",
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "application/grpcx",
            "application/json",
            "",
            "APPLICATION/GRPC",
        ] {
            let refusal = with(bad).unwrap_err();
            assert_eq!(refusal.http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            let text = format!("INTERNAL: invalid gRPC request content-type {bad:?}");
            assert_eq!(refusal.status.to_string(), text);
        }
        assert_eq!(refused(http::Request::post("/s/m")).0, 415);
    }

    #[test]
    fn malformed_timeouts_and_binary_metadata_are_bad_requests_that_say_what() {
        assert_eq!(
            refused(request().header("grpc-timeout", "18f6n")),
            (
                400,
                "INTERNAL: malformed grpc-timeout: \"18f6n\"".to_owned()
            )
        );
        let (http, text) = refused(request().header("k-bin", "%"));
        assert_eq!(http, 400);
        assert!(
            text.starts_with("INTERNAL: malformed binary metadata"),
            "{text}"
        );
        assert!(text.contains("\"k-bin\""), "{text}");
    }

    #[test]
    fn the_method_is_post() {
        let put = http::Request::put("/s/m").header("content-type", "application/grpc");
        let text = "INTERNAL: Received a HEADERS frame with :method PUT which should be POST";
        assert_eq!(refused(put), (405, text.to_owned()));
        let get_of_json = http::Request::get("/s/m").header("content-type", "application/json");
        assert_eq!(
            refused(get_of_json).0,
            415,
            "the content type is looked at first"
        );
    }

    #[test]
    fn a_deadline_that_is_over_is_told_at_once() {
        let text = "DEADLINE_EXCEEDED: context deadline exceeded";
        assert_eq!(
            refused(request().header("grpc-timeout", "0S")),
            (200, text.to_owned())
        );
    }

    #[test]
    fn a_deadline_in_centuries_is_thirty_years() {
        let head = check(request().header("grpc-timeout", "99999999H")).unwrap();
        assert_eq!(head.timeout(), Some(LONGEST));
    }

    #[test]
    fn an_unknown_encoding_is_unimplemented() {
        let text =
            "UNIMPLEMENTED: grpc: Decompressor is not installed for grpc-encoding \"snappy\"";
        assert_eq!(
            refused(request().header("grpc-encoding", "snappy")),
            (200, text.to_owned())
        );
    }

    #[test]
    fn a_header_list_over_the_limit_exhausts_resources() {
        let large = "x".repeat(16 * 1024);
        let (http, text) = refused(request().header("large", large));
        assert_eq!(http, 431);
        assert!(
            text.starts_with("RESOURCE_EXHAUSTED: peer header list size exceeded limit"),
            "{text}"
        );
        assert!(check(request().header("fits", "x".repeat(15 * 1024))).is_ok());
    }
}
