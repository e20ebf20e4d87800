//! The 17 canonical status codes, their numbers and their names.

use std::fmt;
use std::str::FromStr;

/// How a call ended: one of gRPC's canonical codes.
///
/// The number is what travels in `grpc-status`; the name is what a service config and people write.
/// Follows [statuscodes.md](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The call succeeded.
    Ok = 0,
    /// The call was cancelled, typically by the caller.
    Cancelled = 1,
    /// An error that nothing more is known about.
    Unknown = 2,
    /// The caller passed something that is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call ended.
    DeadlineExceeded = 4,
    /// The thing asked for does not exist.
    NotFound = 5,
    /// The thing to be created exists.
    AlreadyExists = 6,
    /// The caller is known but may not do this.
    PermissionDenied = 7,
    /// A quota, a limit or a resource is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// The call lost a race, such as a transaction conflict.
    Aborted = 10,
    /// The call went past a valid range.
    OutOfRange = 11,
    /// The method does not exist or is not supported.
    Unimplemented = 12,
    /// An invariant of the system is broken.
    Internal = 13,
    /// The service cannot be reached now; trying again may help.
    Unavailable = 14,
    /// Data is lost or corrupted for good.
    DataLoss = 15,
    /// The caller has no valid credentials.
    Unauthenticated = 16,
}

const ALL: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// All codes, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(code, _)| *code)
    }

    /// The code with this number, if there is one.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number)
            .ok()
            .and_then(|index| ALL.get(index))
            .map(|(code, _)| *code)
    }

    /// The number that travels in `grpc-status`: 0 to 16.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The name in capitals, as service configs and logs write it: `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    /// Whether a resolver, a policy or another part of the control plane must not produce this code.
    ///
    /// Such a code would blame the application for a fault of its infrastructure; whoever receives one
    /// turns it into [`Code::Internal`]. Follows gRFC A54.
    pub fn is_restricted_for_control_plane(self) -> bool {
        matches!(
            self,
            Self::InvalidArgument
                | Self::NotFound
                | Self::AlreadyExists
                | Self::FailedPrecondition
                | Self::Aborted
                | Self::OutOfRange
                | Self::DataLoss
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no status code's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid code: {0:?}")]
pub struct UnknownCode(pub String);

impl FromStr for Code {
    type Err = UnknownCode;

    /// Reads a name; capitals do not matter (gRFC A6).
    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        ALL.iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(code, _)| *code)
            .ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_both_ways() {
        for (number, code) in (0..).zip(Code::all()) {
            assert_eq!(code.number(), number);
            assert_eq!(Code::from_number(i64::from(number)), Some(code));
            assert_eq!(code.name().parse(), Ok(code));
            assert_eq!(code.name().to_lowercase().parse(), Ok(code));
        }
        assert_eq!(Code::all().count(), 17);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert_eq!(Code::from_number(17), None);
        assert_eq!(Code::from_number(-1), None);
        assert_eq!(
            "CANCELED".parse::<Code>().unwrap_err().to_string(),
            "invalid code: \"CANCELED\""
        );
    }

    #[test]
    fn a54_names_the_codes_a_control_plane_may_not_produce() {
        let restricted: Vec<_> = Code::all()
            .filter(|code| code.is_restricted_for_control_plane())
            .map(Code::number)
            .collect();
        assert_eq!(restricted, [3, 5, 6, 9, 10, 11, 15]);
    }
}
