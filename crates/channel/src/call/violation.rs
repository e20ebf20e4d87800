//! Replies with the wrong number of messages.
//!
//! ```text
//!   Due::Any                                 of a method that streams its replies
//!   Due::One ── a message ──► Due::None      of a method with one reply
//!      │ the end                 │ another message
//!      ▼                         ▼
//!   NoResponse                SecondResponse
//! ```

use highball_core::Status;

/// A server that sent not exactly one message where the method has just one. The call ends UNIMPLEMENTED, as
/// [statuscodes.md](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md) asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    NoResponse,
    SecondResponse,
}

/// How many messages a response has yet to bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Due {
    #[default]
    Any,
    One,
    None,
}

impl Due {
    /// A message has come.
    pub(super) fn received(&mut self) -> Result<(), Violation> {
        match self {
            Self::Any => Ok(()),
            Self::One => {
                *self = Self::None;
                Ok(())
            }
            Self::None => Err(Violation::SecondResponse),
        }
    }

    /// The response has ended well.
    pub(super) fn ended(self) -> Result<(), Violation> {
        match self {
            Self::Any | Self::None => Ok(()),
            Self::One => Err(Violation::NoResponse),
        }
    }
}

impl From<Violation> for Status {
    fn from(violation: Violation) -> Self {
        Self::unimplemented(match violation {
            Violation::NoResponse => {
                "cardinality violation: received no response message from non-server-streaming RPC"
            }
            Violation::SecondResponse => {
                "cardinality violation: expected <EOF> for non server-streaming RPCs, \
                 but received another message"
            }
        })
    }
}
