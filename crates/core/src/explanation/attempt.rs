//! One attempt at a call: whom it went to, and how it failed.

use std::fmt;
use std::time::Duration;

use super::phase::Readable;
use crate::{Address, Code};

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// The server; `None` if the picker had none to give.
    pub server: Option<Address>,
    /// When it failed, from the beginning of the call.
    pub after: Duration,
    /// How it failed.
    pub code: Code,
    /// What its status said.
    pub message: String,
    /// What is known of what the server has seen of it.
    pub seen: Seen,
}

/// Whether a server can have worked on an attempt. A call that a server may have worked on is repeated safely
/// only if it does no harm to do its work twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// No: it has not left this machine, or the server says that it has not looked at it.
    No,
    /// The request was on its way, and nothing came back: the server may have worked on it or not.
    Unknown,
    /// The server has answered.
    Answered,
}

impl Attempt {
    /// An attempt that failed with a code and a message, so long after the call began.
    pub fn new(
        server: Option<Address>,
        after: Duration,
        code: Code,
        message: impl Into<String>,
        seen: Seen,
    ) -> Self {
        Self {
            server,
            after,
            code,
            message: message.into(),
            seen,
        }
    }
}

/// Whom it went to and its code: `a:1 (UNAVAILABLE)`. With `#`, when and why as well.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => write!(f, "{server}")?,
            None => f.write_str("no server")?,
        }
        if !f.alternate() {
            return write!(f, " ({})", self.code);
        }
        write!(f, " after {}: {}", Readable(self.after), self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " [{}]", self.seen)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no server has worked on it",
            Self::Unknown => "whether the server has worked on it is unknown",
            Self::Answered => "the server has answered",
        })
    }
}
