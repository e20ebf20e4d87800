//! How large messages may be, and what else a service is served with.

use highball_transport::Compression;
use highball_transport::framing::{DEFAULT_RECEIVE_LIMIT, DEFAULT_SEND_LIMIT};

/// The largest messages of a service, in bytes of their encoding. A larger one ends its call with
/// RESOURCE_EXHAUSTED, a received one before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// The largest message taken from a client; 4 MiB by default.
    pub receive: usize,
    /// The largest message sent to a client; 2 GiB less one byte by default.
    pub send: usize,
}

/// What goes for the calls of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) limits: MessageLimits,
    /// Of its replies; as the requests are if this does not say.
    pub(crate) compression: Option<Compression>,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            receive: DEFAULT_RECEIVE_LIMIT,
            send: DEFAULT_SEND_LIMIT,
        }
    }
}
