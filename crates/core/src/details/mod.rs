//! The details of a status: what a program can act on, beside the code and the message for people.
//!
//! ```text
//!   grpc-status: 8
//!   grpc-message: try later
//!   grpc-status-details-bin:  google.rpc.Status { code: 8, message: "try later", details: [Any, Any] }
//!                                                                                           │    │
//!                                     type.googleapis.com/google.rpc.QuotaFailure ──────────┘    │
//!                                     type.googleapis.com/google.rpc.RetryInfo ──────────────────┘
//! ```
//!
//! A detail is a protobuf message of any type that knows its name. Those that <https://google.aip.dev/193>
//! defines are here; your own are made by `highball-codegen` with `type_names`.
//!
//! ```
//! use std::time::Duration;
//!
//! use highball_core::Status;
//! use highball_core::details::{QuotaFailure, RetryInfo, quota_failure::Violation};
//!
//! let violation = Violation {
//!     subject: "project:trains".to_owned(),
//!     description: "1000 tickets a day".to_owned(),
//! };
//! let status = Status::resource_exhausted("try later")
//!     .with_detail(&QuotaFailure { violations: vec![violation] })
//!     .with_detail(&RetryInfo::after(Duration::from_secs(30)));
//!
//! // At the other end:
//! let retry: RetryInfo = status.detail().expect("the server says when");
//! assert_eq!(retry.delay(), Some(Duration::from_secs(30)));
//! ```

#[rustfmt::skip] // The generator has a style of its own.
#[path = "../generated/google.rpc.rs"]
mod google_rpc;

mod any;
mod retry_info;

use bytes::Bytes;
use prost::{Message, Name};

use crate::{Code, Status};

pub use any::{Any, ProtoDuration};
/// `google.rpc.Status`, which carries the details. [`crate::Status`] is what applications use.
pub use google_rpc::Status as RpcStatus;
pub use google_rpc::{
    BadRequest, DebugInfo, ErrorInfo, Help, LocalizedMessage, PreconditionFailure, QuotaFailure,
    RequestInfo, ResourceInfo, RetryInfo, bad_request, help, precondition_failure, quota_failure,
};

impl RpcStatus {
    /// Decodes a `google.rpc.Status`; `None` if that is none.
    pub fn read(encoded: &[u8]) -> Option<Self> {
        Self::decode(encoded).ok()
    }
}

impl Status {
    /// Adds a detail behind those that are here.
    #[must_use]
    pub fn with_detail<T: Message + Name>(self, detail: &T) -> Self {
        let mut details = self.any_details();
        details.push(Any::pack(detail));
        let encoded = encode(self.code(), self.message(), details);
        self.with_details(encoded)
    }

    /// The first detail of this type; `None` too if it cannot be decoded.
    pub fn detail<T: Message + Name + Default>(&self) -> Option<T> {
        self.details_of().next()
    }

    /// The details of this type, in order, without those that cannot be decoded.
    pub fn details_of<T: Message + Name + Default>(&self) -> impl Iterator<Item = T> {
        let details = self.any_details().into_iter();
        details.filter_map(|detail| detail.unpack().ok().flatten())
    }

    /// The details of all types, in order. Nothing if what the server sent is no `google.rpc.Status`.
    pub fn any_details(&self) -> Vec<Any> {
        let status = RpcStatus::read(self.details());
        status.map_or_else(Vec::new, |status| status.details)
    }
}

fn encode(code: Code, message: &str, details: Vec<Any>) -> Bytes {
    let status = RpcStatus {
        code: code.number(),
        message: message.to_owned(),
        details,
    };
    status.encode_to_vec().into()
}

/// The same details for a status with another message; as they are if they cannot be read.
pub(crate) fn retitled(details: &Bytes, code: Code, message: &str) -> Bytes {
    match RpcStatus::read(details) {
        Some(status) if !details.is_empty() => encode(code, message, status.details),
        Some(_) | None => details.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    fn stockout() -> ErrorInfo {
        ErrorInfo {
            reason: "STOCKOUT".to_owned(),
            domain: "trains.example.com".to_owned(),
            metadata: HashMap::from([("line".to_owned(), "7".to_owned())]),
        }
    }

    fn greeting(locale: &str) -> LocalizedMessage {
        LocalizedMessage {
            locale: locale.to_owned(),
            message: "no".to_owned(),
        }
    }

    #[test]
    fn details_are_found_by_their_type_and_keep_their_order() {
        let status = Status::unavailable("sold out")
            .with_detail(&greeting("en"))
            .with_detail(&stockout())
            .with_detail(&greeting("de"));
        assert_eq!(status.detail(), Some(stockout()));
        let locales: Vec<_> = status
            .details_of()
            .map(|it: LocalizedMessage| it.locale)
            .collect();
        assert_eq!(locales, ["en", "de"]);
        assert_eq!(status.detail::<RetryInfo>(), None);
        let names = status.any_details();
        let names: Vec<_> = names.iter().map(|any| any.type_url.as_str()).collect();
        assert_eq!(names[1], "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn what_travels_repeats_code_and_message() {
        let status = Status::not_found("no such line").with_detail(&stockout());
        let says = |status: &Status| {
            let travels = RpcStatus::read(status.details()).unwrap();
            (travels.code, travels.message, travels.details.len())
        };
        assert_eq!(says(&status), (5, "no such line".to_owned(), 1));
        let status = status.with_message("no line 7");
        assert_eq!(says(&status), (5, "no line 7".to_owned(), 1));
        let plain = Status::not_found("x").with_message("y");
        assert!(plain.details().is_empty());
    }

    #[test]
    fn details_that_are_none_are_kept_and_say_nothing() {
        let status = Status::internal("x").with_details(&b"\x01\x02"[..]);
        assert_eq!(status.detail::<ErrorInfo>(), None);
        assert!(status.any_details().is_empty());
        assert_eq!(status.with_message("y").details()[..], [1, 2]);
    }

    #[test]
    fn a_detail_that_is_not_what_it_says_is_passed_over() {
        let broken = Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: vec![0xff],
        };
        assert!(broken.unpack::<ErrorInfo>().is_err());
        let bare = Any {
            type_url: "google.rpc.ErrorInfo".to_owned(),
            value: stockout().encode_to_vec(),
        };
        let details = encode(Code::Aborted, "", vec![broken, bare]);
        let status = Status::new(Code::Aborted, "").with_details(details);
        let readable: Vec<ErrorInfo> = status.details_of().collect();
        assert_eq!(readable, [stockout()]);
    }

    /// The names and the numbers of the standard, byte by byte.
    #[track_caller]
    fn assert_sent<T: Message + Name>(detail: &T, name: &str, wire: &[u8]) {
        let any = Any::pack(detail);
        assert_eq!(
            any.type_url,
            format!("type.googleapis.com/google.rpc.{name}")
        );
        assert_eq!(any.value, wire);
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn the_plain_standard_details_are_what_others_send() {
        let wire = b"\x0a\x08STOCKOUT\x12\x12trains.example.com\x1a\x09\x0a\x04line\x12\x017";
        assert_sent(&stockout(), "ErrorInfo", wire);
        let retry = RetryInfo::after(Duration::new(2, 3));
        assert_sent(&retry, "RetryInfo", b"\x0a\x04\x08\x02\x10\x03");
        let debug = DebugInfo {
            stack_entries: vec![text("a"), text("b")],
            detail: text("c"),
        };
        assert_sent(&debug, "DebugInfo", b"\x0a\x01a\x0a\x01b\x12\x01c");
        let request = RequestInfo {
            request_id: text("a"),
            serving_data: text("b"),
        };
        assert_sent(&request, "RequestInfo", b"\x0a\x01a\x12\x01b");
        let resource = ResourceInfo {
            resource_type: text("a"),
            resource_name: text("b"),
            owner: text("c"),
            description: text("d"),
        };
        let wire = b"\x0a\x01a\x12\x01b\x1a\x01c\x22\x01d";
        assert_sent(&resource, "ResourceInfo", wire);
        let wire = b"\x0a\x02en\x12\x02no";
        assert_sent(&greeting("en"), "LocalizedMessage", wire);
    }

    #[test]
    fn the_standard_details_with_parts_are_what_others_send() {
        let quota = quota_failure::Violation {
            subject: text("a"),
            description: text("b"),
        };
        let violations = vec![quota];
        let wire = b"\x0a\x06\x0a\x01a\x12\x01b";
        assert_sent(&QuotaFailure { violations }, "QuotaFailure", wire);
        let precondition = precondition_failure::Violation {
            r#type: text("a"),
            subject: text("b"),
            description: text("c"),
        };
        let violations = vec![precondition];
        let wire = b"\x0a\x09\x0a\x01a\x12\x01b\x1a\x01c";
        assert_sent(
            &PreconditionFailure { violations },
            "PreconditionFailure",
            wire,
        );
        let field = bad_request::FieldViolation {
            field: text("a"),
            description: text("b"),
            reason: text("c"),
            localized_message: Some(greeting("d")),
        };
        let field_violations = vec![field];
        let wire = b"\x0a\x12\x0a\x01a\x12\x01b\x1a\x01c\x22\x07\x0a\x01d\x12\x02no";
        assert_sent(&BadRequest { field_violations }, "BadRequest", wire);
        let link = help::Link {
            description: text("a"),
            url: text("b"),
        };
        let links = vec![link];
        assert_sent(&Help { links }, "Help", b"\x0a\x06\x0a\x01a\x12\x01b");
    }
}
