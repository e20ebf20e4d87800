//! A call that a connection has let in.

use tokio::time::Instant;

use super::{CallHead, Permit, Receiver, Responder};

/// A call that was let in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// What the client's headers say.
    pub head: CallHead,
    /// When they, or what came with them, were read.
    pub arrived: Instant,
    /// The client's messages.
    pub receiver: Receiver,
    /// The reply.
    pub responder: Responder,
    /// The place of the call's handler. To be kept until nothing works on the call any more.
    pub permit: Permit,
}
