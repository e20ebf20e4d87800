//! The outcome of a call: a code, a message for people, and what else is known.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::explanation::Explanation;
use crate::{Code, MetadataMap, details};

/// The outcome of a call that did not succeed (or, in trailers, of one that did).
///
/// One pointer wide, so that `Result<T, Status>` stays small. What caused it, where that is known, is
/// kept as a typed error under [`Error::source`]; [`fmt::Display`] prints the code and the message, which
/// tells the whole story in one line. Cheap to clone: a picker that fails gives every call its own.
#[derive(Clone)]
pub struct Status(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    code: Code,
    message: Cow<'static, str>,
    /// A serialized `google.rpc.Status`, as in `grpc-status-details-bin`; empty if there is none.
    details: Bytes,
    /// Trailing metadata, without the reserved keys.
    metadata: MetadataMap,
    source: Option<Arc<dyn Error + Send + Sync>>,
    explanation: Option<Arc<Explanation>>,
}

impl Status {
    /// A status with a code and a message, and nothing else.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Parts {
            code,
            message: message.into(),
            details: Bytes::new(),
            metadata: MetadataMap::new(),
            source: None,
            explanation: None,
        }))
    }

    /// Success.
    pub fn ok() -> Self {
        Self::new(Code::Ok, "")
    }

    /// [`Code::Cancelled`] with a message.
    pub fn cancelled(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Cancelled, message)
    }

    /// [`Code::Unknown`] with a message.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unknown, message)
    }

    /// [`Code::InvalidArgument`] with a message.
    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// [`Code::DeadlineExceeded`] with a message.
    pub fn deadline_exceeded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::DeadlineExceeded, message)
    }

    /// [`Code::NotFound`] with a message.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// [`Code::PermissionDenied`] with a message.
    pub fn permission_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// [`Code::ResourceExhausted`] with a message.
    pub fn resource_exhausted(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ResourceExhausted, message)
    }

    /// [`Code::FailedPrecondition`] with a message.
    pub fn failed_precondition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }

    /// [`Code::Unimplemented`] with a message.
    pub fn unimplemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unimplemented, message)
    }

    /// [`Code::Internal`] with a message.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// [`Code::Unavailable`] with a message.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// [`Code::Unauthenticated`] with a message.
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// Replaces the details by those in a serialized `google.rpc.Status`, whose code must be this one's: sent as
    /// `grpc-status-details-bin`. [`with_detail`](Self::with_detail) adds them one by one.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Self {
        self.parts().details = details.into();
        self
    }

    /// Replaces the trailing metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        self.parts().metadata = metadata;
        self
    }

    /// Keeps what caused this, for [`Error::source`] and downcasting.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.parts().source = Some(Arc::new(source));
        self
    }

    /// Says how the call came to this, in place of what was said of that before.
    #[must_use]
    pub fn with_explanation(mut self, explanation: Explanation) -> Self {
        self.parts().explanation = Some(Arc::new(explanation));
        self
    }

    /// The same outcome with another message, which the details repeat; all else stays.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.parts().message = message.into();
        self.parts().details = details::retitled(&self.0.details, self.0.code, &self.0.message);
        self
    }

    /// For changing them; copied if others have this status, too.
    fn parts(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.0)
    }

    /// How the call ended.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened, for people; may be empty.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The serialized `google.rpc.Status` of `grpc-status-details-bin`; empty if there was none.
    /// [`detail`](Self::detail) gives what is in it.
    pub fn details(&self) -> &Bytes {
        &self.0.details
    }

    /// Trailing metadata.
    pub fn metadata(&self) -> &MetadataMap {
        &self.0.metadata
    }

    /// Trailing metadata, to add to.
    pub fn metadata_mut(&mut self) -> &mut MetadataMap {
        &mut self.parts().metadata
    }

    /// How a call came to this: where its time went, whom it tried, what held for it. Every call that fails
    /// at a channel has one. It does not travel to other machines.
    pub fn explanation(&self) -> Option<&Explanation> {
        self.0.explanation.as_deref()
    }

    /// This status if it is one the control plane may produce, else [`Code::Internal`] saying that
    /// `who` produced an illegal one (gRFC A54).
    #[must_use]
    pub fn from_control_plane(self, who: &str) -> Self {
        if self.code().is_restricted_for_control_plane() {
            let message = format!("received {who} with illegal status: {self}");
            return Self::internal(message).with_source(self);
        }
        self
    }
}

/// A policy or a channel could not use what a resolver sent: back off, then resolve again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("bad resolver state: {0}")]
pub struct Rejected(pub Status);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            "" => write!(f, "{}", self.code()),
            message => write!(f, "{}: {message}", self.code()),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.code())
            .field("message", &self.message());
        if !self.details().is_empty() {
            out.field("details", &format_args!("{} bytes", self.details().len()));
        }
        if !self.metadata().is_empty() {
            out.field("metadata", self.metadata());
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        if let Some(explanation) = self.explanation() {
            out.field("explanation", &format_args!("{explanation}"));
        }
        out.finish()
    }
}

impl Error for Status {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Two statuses are equal if code, message and details are; all else says how, not what.
impl PartialEq for Status {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
            && self.message() == other.message()
            && self.details() == other.details()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_pointer_wide() {
        assert_eq!(size_of::<Status>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Status>>(), size_of::<usize>());
    }

    #[test]
    fn display_tells_code_and_message() {
        assert_eq!(
            Status::unavailable("no route").to_string(),
            "UNAVAILABLE: no route"
        );
        assert_eq!(Status::ok().to_string(), "OK");
    }

    #[test]
    fn the_cause_is_reachable_and_typed() {
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::unavailable("connection error").with_source(cause);
        let source = status.source().expect("a source was given");
        let io = source
            .downcast_ref::<std::io::Error>()
            .expect("it is an io error");
        assert_eq!(io.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a54_illegal_statuses_become_internal() {
        let legal = Status::unavailable("down").from_control_plane("picker error");
        assert_eq!(legal, Status::unavailable("down"));
        let illegal = Status::not_found("x").from_control_plane("picker error");
        assert_eq!(
            illegal.to_string(),
            "INTERNAL: received picker error with illegal status: NOT_FOUND: x"
        );
    }
}
