//! The phases of a call, and how long each took.

use std::fmt;
use std::time::Duration;

/// What a call can be about. The order is that of an attempt, behind what is around the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// In the hands of the channel's interceptors: before the call is made, or when they have its outcome.
    Interceptor,
    /// Waiting for the name to be resolved.
    Resolve,
    /// Waiting for the picker to give a connection.
    Pick,
    /// Waiting for call credentials.
    Credentials,
    /// Waiting for a stream: a server limits how many are open on a connection.
    Slot,
    /// Sending the request, as fast as flow control lets it.
    Send,
    /// Waiting for the response.
    Server,
    /// Waiting until it is time for another attempt.
    Backoff,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Interceptor,
        Self::Resolve,
        Self::Pick,
        Self::Credentials,
        Self::Slot,
        Self::Send,
        Self::Server,
        Self::Backoff,
    ];

    /// Its name, in a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interceptor => "interceptor",
            Self::Resolve => "resolve",
            Self::Pick => "pick",
            Self::Credentials => "credentials",
            Self::Slot => "stream slot",
            Self::Send => "send",
            Self::Server => "server",
            Self::Backoff => "backoff",
        }
    }
}

/// What the call is doing in it: "waiting for a stream".
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interceptor => "waiting for an interceptor",
            Self::Resolve => "waiting for the name resolution",
            Self::Pick => "waiting for a connection",
            Self::Credentials => "waiting for call credentials",
            Self::Slot => "waiting for a stream",
            Self::Send => "sending the request",
            Self::Server => "waiting for the server",
            Self::Backoff => "waiting to try again",
        })
    }
}

/// How long a call spent in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spent {
    /// The call has not come so far.
    #[default]
    NotReached,
    /// So long. Zero: it did not have to wait.
    For(Duration),
    /// The phase was reached; how long it took was not measured.
    Unknown,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReached => f.write_str("not reached"),
            Self::For(time) => Readable(*time).fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A duration for people: `0.4 ms`, `250 ms`, `30.0 s`.
pub(super) struct Readable(pub(super) Duration);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1000.0;
        match self.0.as_millis() {
            0..10 if !self.0.is_zero() => write!(f, "{millis:.1} ms"),
            0..10_000 => write!(f, "{millis:.0} ms"),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_numbered_in_their_order() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index);
        }
    }

    #[test]
    fn times_are_readable() {
        let text = |micros| Spent::For(Duration::from_micros(micros)).to_string();
        assert_eq!(text(0), "0 ms");
        assert_eq!(text(420), "0.4 ms");
        assert_eq!(text(12_345), "12 ms");
        assert_eq!(text(9_999_000), "9999 ms");
        assert_eq!(text(30_000_000), "30.0 s");
    }
}
