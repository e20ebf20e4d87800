//! The head of a call: all that travels in its request headers.

use std::time::Duration;

use highball_core::MetadataMap;
use http::uri::{Authority, PathAndQuery};

/// What a call starts with. Cheap to build: path and authority are shared, not copied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// `:path`: `/package.Service/Method`.
    pub path: PathAndQuery,
    /// `:authority`.
    pub authority: Authority,
    /// The time that is left until the call's deadline, measured when the stream is opened; sent as
    /// `grpc-timeout`, rounded up. `Some(Duration::ZERO)` ends the call without touching the wire.
    pub timeout: Option<Duration>,
    /// The application's metadata.
    pub metadata: MetadataMap,
    /// How many attempts came before this one: `grpc-previous-rpc-attempts`, sent if not 0.
    pub previous_attempts: u32,
    /// The largest message the caller accepts, in bytes; 4 MiB by default.
    pub max_receive_message: usize,
}

impl RequestHead {
    /// A head without deadline and metadata.
    pub fn new(authority: Authority, path: PathAndQuery) -> Self {
        Self {
            path,
            authority,
            timeout: None,
            metadata: MetadataMap::new(),
            previous_attempts: 0,
            max_receive_message: 4 * 1024 * 1024,
        }
    }
}
