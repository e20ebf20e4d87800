//! What a client says before its first message.

use std::time::Duration;

use highball_core::MetadataMap;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};

use crate::compression::{Compression, Compressions};

/// The head of a call: what its request headers say, checked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallHead {
    /// `:path` and `:authority`.
    pub(super) uri: Uri,
    /// `host`, if there was no `:authority`.
    pub(super) host: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) timeout: Option<Duration>,
    pub(super) compression: Compression,
    pub(super) accepted: Compressions,
    /// The application's metadata.
    pub metadata: MetadataMap,
}

impl CallHead {
    /// The whole of `:path`, whatever it is.
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("", PathAndQuery::as_str)
    }

    /// [`path`](Self::path), shared: it outlives the head without a copy.
    pub fn shared_path(&self) -> PathAndQuery {
        let root = || PathAndQuery::from_static("/");
        self.uri.path_and_query().cloned().unwrap_or_else(root)
    }

    /// Whom the client means to talk to: `:authority`, or `host` in its absence.
    pub fn authority(&self) -> Option<&str> {
        let host = || self.host.as_ref().and_then(|host| host.to_str().ok());
        self.uri.authority().map(Authority::as_str).or_else(host)
    }

    /// What the client's software calls itself.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent
            .as_ref()
            .and_then(|agent| agent.to_str().ok())
    }

    /// What the client's messages are compressed by, those that are: `grpc-encoding`.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// What the client can read, of all that this build knows: `grpc-accept-encoding`. Empty if it does not
    /// say.
    pub fn accepted(&self) -> Compressions {
        self.accepted
    }

    /// How long the client waits, counted from the arrival of the headers: `grpc-timeout`, cut to
    /// thirty years. Never zero.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
