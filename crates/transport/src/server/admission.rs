//! The checks every call passes before anybody works on it, in the order gRPC's servers make them.
//!
//! HTTP/2 has made its own before: stream ids, the number of open streams, duplicate pseudo-headers and
//! headers such as `connection` never get here.

use std::time::Duration;

use highball_core::{MetadataMap, Status, decode_timeout};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request};

use super::CallHead;
use crate::framing::{Encoding, FramingError};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

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
pub(super) fn admit(parts: request::Parts, header_limit: u32) -> Result<CallHead, Refusal> {
    let request::Parts {
        method,
        uri,
        mut headers,
        ..
    } = parts;
    within_limit(&headers, &uri, header_limit)?;
    let host = single_host(&uri, &mut headers)?;
    grpc_content_type(&mut headers)?;
    let timeout = timeout(&mut headers)?;
    let user_agent = headers.remove(header::USER_AGENT);
    let encoding = Encoding::of(&headers);
    // What is left are the application's, but for what a proxy may have added.
    for reserved in [header::TE, GRPC_ENCODING, GRPC_ACCEPT_ENCODING] {
        headers.remove(reserved);
    }
    let metadata =
        MetadataMap::from_wire(headers).map_err(|error| bad_request(error.to_string()))?;
    is_post(&method)?;
    if timeout == Some(Duration::ZERO) {
        let status = Status::deadline_exceeded("context deadline exceeded");
        return Err(Refusal::new(StatusCode::OK, status));
    }
    known(encoding)?;
    Ok(CallHead {
        uri,
        host,
        user_agent,
        timeout,
        metadata,
    })
}

/// Counts like HTTP/2's SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 bytes a field.
fn within_limit(headers: &HeaderMap, uri: &http::Uri, limit: u32) -> Result<(), Refusal> {
    const PSEUDO_HEADERS: usize = ":method:scheme:authority:path".len() + 4 * 32;
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |name| name.as_str().len());
    let fields =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    let size = PSEUDO_HEADERS + path + authority + headers.iter().map(fields).sum::<usize>();
    if size <= limit as usize {
        return Ok(());
    }
    let text = format!("peer header list size exceeded limit ({size} vs. {limit})");
    let http = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Refusal::new(http, Status::resource_exhausted(text)))
}

/// At most one `host`, which counts only if there is no `:authority` (gRFC A41).
fn single_host(uri: &http::Uri, headers: &mut HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
    let hosts = headers.get_all(header::HOST).iter().count();
    let authorities = usize::from(uri.authority().is_some());
    if hosts > 1 {
        return Err(bad_request(format!(
            "num values of :authority: {authorities}, num values of host: {hosts}, \
             both must only have 1 value as per HTTP/2 spec"
        )));
    }
    let host = if hosts == 0 {
        None
    } else {
        headers.remove(header::HOST)
    };
    Ok(host.filter(|_| authorities == 0))
}

/// `application/grpc`, alone or followed by `+` or `;`.
fn grpc_content_type(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let value = headers.remove(header::CONTENT_TYPE);
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

fn timeout(headers: &mut HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.remove(GRPC_TIMEOUT) else {
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
fn known(encoding: Encoding) -> Result<(), Refusal> {
    match encoding {
        Encoding::Identity => Ok(()),
        Encoding::Unknown(name) => {
            let text = FramingError::UnknownEncoding(name).to_string();
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
        admit(request.body(()).unwrap().into_parts().0, 16 * 1024)
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
                .header("x-trace", "7"),
        )
        .unwrap();
        assert_eq!(head.path(), "/pkg.Svc/M");
        assert_eq!(head.authority(), Some("echo.example"));
        assert_eq!(head.user_agent(), Some("tester/1"));
        assert_eq!(head.timeout(), Some(Duration::from_millis(1500)));
        assert_eq!(head.metadata.len(), 1);
        assert_eq!(head.metadata.get("x-trace"), Some("7"));
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
