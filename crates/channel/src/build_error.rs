//! Why there is no channel.

use highball_resolver::BadTarget;

use crate::service_config::BadServiceConfig;

/// A channel that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The target has no meaning.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// No credentials were chosen.
    #[error("no transport security set: call .credentials(…), or .insecure() for plaintext")]
    NoCredentials,
    /// What is secret would travel in plaintext.
    #[error(
        "the call credentials require transport level security: choose .credentials(…) in place of .insecure()"
    )]
    InsecureCallCredentials,
    /// Calls are to go to one name, and connections are to be secured for another.
    #[error(
        "the channel's authority is {authority:?}, but its credentials are for {server_name:?}"
    )]
    AuthorityConflict {
        /// What [`ChannelBuilder::authority`](crate::ChannelBuilder::authority) has set.
        authority: String,
        /// What the credentials insist on.
        server_name: String,
    },
    /// The default service config is invalid.
    #[error("the provided default service config is invalid: {0}")]
    ServiceConfig(#[from] BadServiceConfig),
    /// The text that was chosen as `:authority` is none.
    #[error("{0:?} is no authority for the calls of a channel: want host[:port]")]
    Authority(String),
    /// There is no tokio runtime here for the channel's task.
    #[error("a channel must be built on a tokio runtime: {0}")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
}
