//! Why a case has failed, in a line.

use std::fmt;

use highball_channel::{InvalidMetadata, Status};

/// A case that did not go as it should.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Fails unless `got` is `wanted`.
    pub(super) fn unless_equal<T: PartialEq + fmt::Debug>(
        what: &str,
        got: &T,
        wanted: &T,
    ) -> Result<(), Self> {
        match got == wanted {
            true => Ok(()),
            false => Err(Self(format!("{what}: got {got:?}, want {wanted:?}"))),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(format!("the call failed: {status}"))
    }
}

impl From<InvalidMetadata> for Failure {
    fn from(error: InvalidMetadata) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
