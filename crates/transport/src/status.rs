//! A call becomes a status: what HTTP/2 says at the end of a stream, in gRPC's seventeen codes.
//!
//! ```text
//!   what the server sent last                        the call's status
//!   ─────────────────────────                        ─────────────────
//!   HEADERS + END_STREAM, grpc-status: 5       ───►  NOT_FOUND, with grpc-message and details
//!   HEADERS + END_STREAM, no grpc-status       ───►  UNKNOWN
//!   HEADERS :status 503, text/html             ───►  UNAVAILABLE      http_code
//!   HEADERS :status abc                        ───►  INTERNAL, and the connection is gone with it
//!   RST_STREAM(REFUSED_STREAM)                 ───►  UNAVAILABLE      reset_status
//!   DATA + END_STREAM                          ───►  INTERNAL: the trailers are missing
//!   GOAWAY below this stream                   ───►  UNAVAILABLE, and the server has not seen the call
//!   nothing: the connection is gone            ───►  UNAVAILABLE, and it may have
//! ```
//!
//! The first row is the only one that a healthy server produces. All others are the transport's own
//! judgement, after
//! [PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors) and
//! [http-grpc-status-mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
//!
//! *Exercise:* a load balancer in front of the server answers `429` with a page of HTML. Which code does
//! the caller see, and would a retry policy for `UNAVAILABLE` try again? Find the row, then the test that
//! pins it.

use bytes::Bytes;
use h2::Reason;
use highball_core::details::RpcStatus;
use highball_core::{Code, MetadataMap, Status};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::percent;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The code for a reply that is not gRPC, by its `:status`.
pub(crate) fn http_code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 | 431 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status of a stream that the server reset.
pub(crate) fn reset_status(reason: Reason) -> Status {
    let code = match reason {
        Reason::NO_ERROR
        | Reason::PROTOCOL_ERROR
        | Reason::INTERNAL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::STREAM_CLOSED
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::CONNECT_ERROR
        | Reason::HTTP_1_1_REQUIRED => Code::Internal,
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Unknown,
    };
    let name = reason_name(reason);
    Status::new(
        code,
        format!("stream terminated by RST_STREAM with error code: {name}"),
    )
}

/// How a call ended that these trailers end: well, with the trailing metadata, or with another status,
/// which has it.
pub(crate) fn from_trailers(mut trailers: HeaderMap) -> Result<MetadataMap, Status> {
    let code = take_code(&mut trailers)?;
    let text = trailers.remove(GRPC_MESSAGE);
    let details = take_details(&mut trailers);
    let metadata = metadata(trailers)?;
    let status = match code {
        Some(Code::Ok) if details.is_empty() => return Ok(metadata),
        Some(code) => {
            let text = text.map_or_else(String::new, |text| percent::decode(text.as_bytes()));
            Status::new(code, text)
        }
        None => Status::unknown("the server's trailers lack grpc-status"),
    };
    let status = match details.is_empty() {
        true => status,
        false => detailed(status, details),
    };
    match status.code() {
        Code::Ok => Ok(metadata),
        _ => Err(status.with_metadata(metadata)),
    }
}

/// The status with its details, which must be of the same code. What is no `google.rpc.Status` is left out.
fn detailed(status: Status, details: Bytes) -> Status {
    match RpcStatus::read(&details) {
        None => status,
        Some(said) if said.code == status.code().number() => status.with_details(details),
        Some(said) => Status::internal(format!(
            "grpc-status-details-bin mismatch: grpc-status={}, grpc-message={:?}, \
             grpc-status-details-bin={} {:?}",
            status.code(),
            status.message(),
            said.code,
            said.message
        )),
    }
}

/// The size of `grpc-status: 0`, as header lists are counted.
pub(crate) const BARE_OK: usize = "grpc-status0".len() + 32;

/// What nearly every call ends with: `grpc-status: 0`, and nothing else.
pub(crate) fn is_bare_ok(trailers: &HeaderMap) -> bool {
    trailers.len() == 1
        && trailers
            .iter()
            .all(|(name, value)| *name == GRPC_STATUS && value == "0")
}

/// The metadata of response headers. A status among them says nothing yet, but must be one.
pub(crate) fn from_headers(mut headers: HeaderMap) -> Result<MetadataMap, Status> {
    if headers.keys().any(|name| *name == GRPC_STATUS) {
        take_code(&mut headers)?;
    }
    metadata(headers)
}

fn metadata(headers: HeaderMap) -> Result<MetadataMap, Status> {
    MetadataMap::from_wire(headers)
        .map_err(|error| Status::internal(format!("transport: {error}")).with_source(error))
}

/// `grpc-status`, if there is one. A number above 16 is a status that nobody knows; several values are
/// none.
fn take_code(trailers: &mut HeaderMap) -> Result<Option<Code>, Status> {
    let mut values = trailers.get_all(GRPC_STATUS).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else {
        return Ok(None);
    };
    let number = std::str::from_utf8(value.as_bytes())
        .ok()
        .filter(|text| text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    let code = number.and_then(Code::from_number);
    if let (Some(code), None) = (code, second) {
        trailers.remove(GRPC_STATUS);
        return Ok(Some(code));
    }
    let said: Vec<_> = trailers
        .get_all(GRPC_STATUS)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let mut text = match number {
        Some(number) if second.is_none() => format!("the server sent unknown grpc-status {number}"),
        _ => format!("transport: malformed grpc-status: {}", said.join(", ")),
    };
    if let Some(message) = trailers.get(GRPC_MESSAGE) {
        text = format!("{text}: {}", percent::decode(message.as_bytes()));
    }
    Err(Status::unknown(text))
}

/// `grpc-status-details-bin`; nothing if it is there more than once or is not base64.
fn take_details(trailers: &mut HeaderMap) -> Bytes {
    let is_single = trailers.get_all(GRPC_STATUS_DETAILS).iter().count() == 1;
    let Some(value) = trailers.remove(GRPC_STATUS_DETAILS).filter(|_| is_single) else {
        return Bytes::new();
    };
    // The metadata map knows base64; any key of the application's will do.
    let name = HeaderName::from_static("details-bin");
    MetadataMap::from_wire(HeaderMap::from_iter([(name, value)]))
        .ok()
        .and_then(|metadata| metadata.get_bin("details-bin"))
        .unwrap_or_default()
}

/// The name of an HTTP/2 error code as RFC 9113 writes it.
pub(crate) fn reason_name(reason: Reason) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = u32::from(reason);
    NAMES
        .get(code as usize)
        .map_or_else(|| format!("{code:#x}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn http_statuses_map_as_documented() {
        for (status, code) in [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (431, Code::Internal),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (200, Code::Unknown),
            (302, Code::Unknown),
            (500, Code::Unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(http_code(status), code, "{status}");
        }
    }

    #[test]
    fn reset_codes_map_as_documented() {
        let codes = [
            Code::Internal,          // NO_ERROR
            Code::Internal,          // PROTOCOL_ERROR
            Code::Internal,          // INTERNAL_ERROR
            Code::Internal,          // FLOW_CONTROL_ERROR: here grpc-go differs
            Code::Internal,          // SETTINGS_TIMEOUT
            Code::Internal,          // STREAM_CLOSED
            Code::Internal,          // FRAME_SIZE_ERROR
            Code::Unavailable,       // REFUSED_STREAM
            Code::Cancelled,         // CANCEL
            Code::Internal,          // COMPRESSION_ERROR
            Code::Internal,          // CONNECT_ERROR
            Code::ResourceExhausted, // ENHANCE_YOUR_CALM
            Code::PermissionDenied,  // INADEQUATE_SECURITY
            Code::Internal,          // HTTP_1_1_REQUIRED
            Code::Unknown,           // not assigned
        ];
        for (reason, code) in (0..).zip(codes) {
            assert_eq!(reset_status(Reason::from(reason)).code(), code, "{reason}");
        }
        assert_eq!(
            reset_status(Reason::CANCEL).to_string(),
            "CANCELLED: stream terminated by RST_STREAM with error code: CANCEL"
        );
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn status(fields: &[(&'static str, &'static str)]) -> Status {
        match from_trailers(headers(fields)) {
            Ok(metadata) => Status::ok().with_metadata(metadata),
            Err(status) => status,
        }
    }

    #[test]
    fn trailers_say_code_message_details_and_metadata() {
        let said = status(&[
            ("grpc-status", "5"),
            ("grpc-message", "no%20such%e2%98%ba"),
            ("grpc-status-details-bin", "CAU"),
            ("k", "v"),
        ]);
        assert_eq!(said.to_string(), "NOT_FOUND: no such\u{263a}");
        assert_eq!(said.details()[..], *b"\x08\x05");
        assert_eq!(said.metadata().get("k"), Some("v"));
        assert_eq!(said.metadata().len(), 1);
        let fine = status(&[("grpc-status", "0"), ("grpc-message", "fine"), ("k", "v")]);
        assert_eq!(fine, Status::ok());
        assert_eq!(fine.metadata().get("k"), Some("v"));
    }

    #[test]
    fn what_is_no_status_is_unknown_and_keeps_its_text() {
        for (fields, text) in [
            (&[][..], "UNKNOWN: the server's trailers lack grpc-status"),
            (
                &[("grpc-status", "x")],
                "UNKNOWN: transport: malformed grpc-status: x",
            ),
            (
                &[("grpc-status", "-1")],
                "UNKNOWN: transport: malformed grpc-status: -1",
            ),
            (
                &[("grpc-status", "17"), ("grpc-message", "new")],
                "UNKNOWN: the server sent unknown grpc-status 17: new",
            ),
            (
                &[("grpc-status", "0"), ("grpc-status", "5")],
                "UNKNOWN: transport: malformed grpc-status: 0, 5",
            ),
            (
                &[("grpc-status", "99999999999999999999")],
                "UNKNOWN: transport: malformed grpc-status: 99999999999999999999",
            ),
            (
                &[("grpc-status", "0"), ("k-bin", "!")],
                "INTERNAL: transport: malformed binary metadata in header \"k-bin\": not base64",
            ),
        ] {
            assert_eq!(status(fields).to_string(), text);
        }
    }

    #[test]
    fn details_that_cannot_be_read_are_left_out() {
        for fields in [
            &[("grpc-status", "5"), ("grpc-status-details-bin", "!")][..],
            &[
                ("grpc-status", "5"),
                ("grpc-status-details-bin", "CAU"),
                ("grpc-status-details-bin", "CAU"),
            ],
            // Base64, but no google.rpc.Status.
            &[("grpc-status", "5"), ("grpc-status-details-bin", "AQID")],
        ] {
            let said = status(fields);
            assert_eq!((said.code(), said.details().len()), (Code::NotFound, 0));
        }
    }

    #[test]
    fn details_of_another_code_are_a_fault_of_the_server() {
        for (fields, text) in [
            (
                &[
                    ("grpc-status", "5"),
                    ("grpc-message", "gone"),
                    ("grpc-status-details-bin", "CAcSAm5v"),
                ][..],
                "INTERNAL: grpc-status-details-bin mismatch: grpc-status=NOT_FOUND, \
                 grpc-message=\"gone\", grpc-status-details-bin=7 \"no\"",
            ),
            (
                &[
                    ("grpc-status", "0"),
                    ("grpc-status-details-bin", "CAcSAm5v"),
                ],
                "INTERNAL: grpc-status-details-bin mismatch: grpc-status=OK, grpc-message=\"\", \
                 grpc-status-details-bin=7 \"no\"",
            ),
            (
                &[
                    ("grpc-status", "0"),
                    ("grpc-status-details-bin", "EgRmaW5l"),
                ],
                "OK",
            ),
        ] {
            let said = status(fields);
            assert_eq!(said.to_string(), text);
            assert!(said.details().is_empty());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_trailers_never_panic(fields in prop::collection::vec((0..4_usize, prop::collection::vec(0x20..0xff_u8, 0..20)), 0..6)) {
            const NAMES: [&str; 4] = ["grpc-status", "grpc-message", "grpc-status-details-bin", "k-bin"];
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                    headers.append(NAMES[name], value);
                }
            }
            let _ = from_headers(headers.clone());
            let _ = from_trailers(headers);
        }
    }
}
