//! A stream that broke: what h2 says of it becomes a status, and whether the server can have seen it.

use h2::Reason;
use highball_core::Status;

use super::shared::Shared;
use super::{Closed, task};
use crate::status::{reason_name, reset_status};
use crate::tap::Facts;

/// How a call ended other than well, and what is known of what the server did with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The status, with the trailing metadata.
    pub status: Status,
    /// Whether the server can have seen the call.
    pub processed: Processed,
    /// The code of the server's RST_STREAM, if that is what ended the call.
    pub reset: Option<Reason>,
}

/// Whether a server can have worked on a call: what transparent retries are decided by (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// Its headers never left this machine.
    NothingSent,
    /// The server says it has not looked at it: REFUSED_STREAM, or a stream above GOAWAY's last.
    Unprocessed,
    /// It may have.
    MaybeProcessed,
}

impl Ended {
    /// The server has answered, or this side has judged its answer.
    pub(super) fn with(status: Status) -> Self {
        Self {
            status,
            processed: Processed::MaybeProcessed,
            reset: None,
        }
    }

    /// h2 ended the connection over the `:status` that the server answered the stream `id` with, if that is so: such a
    /// reply is one, and not the loss that it is to all others.
    pub(super) fn by_malformed_status(error: &h2::Error, id: u32, shared: &Shared) -> Option<Self> {
        let value = malformed_status(error, Some(id), &shared.facts)?;
        let text = format!("transport: malformed http-status: {value}");
        Some(Self::with(Status::internal(text)))
    }

    /// h2 ended the stream `id`; `opened` says that it had given its response headers before.
    pub(super) fn by(error: &h2::Error, id: u32, opened: bool, shared: &Shared) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Self::reset(reason),
            Some(reason) if error.is_reset() => {
                let is_long = shared.facts.long_block(id).is_some();
                Self::with(local_reset(reason, opened, is_long))
            }
            _ if error.is_go_away() && error.is_remote() => Self {
                status: Status::unavailable(
                    "the stream is rejected because server is draining the connection",
                ),
                processed: sent(id, shared).unwrap_or(Processed::Unprocessed),
                reset: None,
            },
            _ => Self {
                status: shared.lost_status(error),
                processed: sent(id, shared).unwrap_or(Processed::MaybeProcessed),
                reset: None,
            },
        }
    }

    fn reset(reason: Reason) -> Self {
        Self {
            status: reset_status(reason),
            processed: match reason {
                Reason::REFUSED_STREAM => Processed::Unprocessed,
                _ => Processed::MaybeProcessed,
            },
            reset: Some(reason),
        }
    }
}

/// What is known if the HEADERS of stream `id` never left.
fn sent(id: u32, shared: &Shared) -> Option<Processed> {
    (id > shared.facts.headers_sent()).then_some(Processed::NothingSent)
}

/// h2 itself reset the stream, for what the server sent on it. It says little of why; `is_long` says that the
/// newest headers were of some length.
fn local_reset(reason: Reason, opened: bool, is_long: bool) -> Status {
    Status::internal(match (reason, opened) {
        (Reason::PROTOCOL_ERROR, true) => {
            "received invalid frame: PROTOCOL_ERROR: a HEADERS frame \
             cannot appear in the middle of a stream, nor may content-length be wrong"
                .to_owned()
        }
        (Reason::PROTOCOL_ERROR, false) if is_long => {
            "received invalid headers: PROTOCOL_ERROR: peer header list \
             size exceeded limit by far, or the headers are malformed"
                .to_owned()
        }
        (Reason::PROTOCOL_ERROR, false) => {
            "received invalid headers: PROTOCOL_ERROR: malformed, as without \
             :status, informational with END_STREAM, or with fields that HTTP/2 forbids"
                .to_owned()
        }
        (Reason::FLOW_CONTROL_ERROR, _) => {
            "flow control violated: received data exceeding the stream's \
             window, or window updates beyond all bounds"
                .to_owned()
        }
        _ => format!("received invalid frame: {}", reason_name(reason)),
    })
}

/// Why h2 ended the connection, in RFC 9113's word for it. Of its own limits it says more than that.
pub(super) fn fault(error: &h2::Error, facts: &Facts) -> String {
    let reason = match error.reason() {
        Some(reason) if error.is_library() && reason != Reason::ENHANCE_YOUR_CALM => reason,
        _ => return error.to_string(),
    };
    let culprit = malformed_status(error, None, facts).map_or_else(String::new, |value| {
        format!(" in a reply's :status, {value}")
    });
    format!("the server broke HTTP/2: {}{culprit}", reason_name(reason))
}

/// The malformed `:status` of `stream`, or of any, that h2 ended the connection over.
fn malformed_status(error: &h2::Error, stream: Option<u32>, facts: &Facts) -> Option<String> {
    let is_refusal = error.is_go_away() && error.is_library();
    match error.reason() {
        Some(Reason::PROTOCOL_ERROR) if is_refusal => facts.malformed_status(stream),
        _ => None,
    }
}

impl Shared {
    /// The status of a stream that is lost with its connection.
    fn lost_status(&self, error: &h2::Error) -> Status {
        if let Some(Closed::Local(status)) = self.closed() {
            return status.clone();
        }
        Status::unavailable(self.describe(error))
    }

    /// Why the connection is gone, and what the server said of it before.
    pub(super) fn describe(&self, error: &h2::Error) -> String {
        let cause = match self.closed() {
            Some(closed) => closed.to_string(),
            None if self.facts.has_ended() => task::closed_by(self).to_string(),
            None => fault(error, &self.facts),
        };
        let address = &self.address;
        match self.facts.goaway() {
            Some(goaway) => format!(
                "connection to {address}: closing transport due to: {cause}, \
                 received prior goaway: code: {}, debug data: {:?}",
                reason_name(goaway.code),
                String::from_utf8_lossy(&goaway.debug)
            ),
            None => format!("connection to {address}: {cause}"),
        }
    }
}
