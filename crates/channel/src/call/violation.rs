//! Replies with the wrong number of messages.

use highball_core::Status;

/// A server that sent not exactly one message where the method has just one. The call ends UNIMPLEMENTED, as
/// [statuscodes.md](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md) asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    NoResponse,
    SecondResponse,
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
