//! What a user may set about a connection.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::uri::Authority;

use super::keepalive::Complaints;
use crate::credentials::{ChannelCredentials, InsecureCredentials};
use crate::inflow::Windows;

/// The settings of a client's connection. [`Default`] is what users get.
///
/// Everything that is not here is fixed: see the table in the crate's documentation.
///
/// A channel has options of its own. What its servers say to its [`Keepalive`] holds for the connections that are
/// made with the same options afterwards, and not for those of a clone: that may be another channel's (gRFC A8).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// What `user-agent` says; `highball/<version>` by default. Characters that a header cannot carry
    /// are left out.
    pub user_agent: Cow<'static, str>,
    /// How connections are secured; not at all by default.
    pub credentials: Arc<dyn ChannelCredentials>,
    /// Whom servers are asked for, in `:authority` and (its host) in the security handshake. An address
    /// may have a [server name](highball_core::Address::server_name) of its own, which goes before this;
    /// where there is neither, servers are asked for their address.
    pub authority: Option<Authority>,
    /// Whether [`authority`](Self::authority) goes before the server names of addresses: true where a user
    /// has chosen it, for then no resolver may have it otherwise.
    pub ignore_server_names: bool,
    /// How much the server may send before it is read; [`Windows::Dynamic`] by default.
    pub windows: Windows,
    /// The largest header list (or trailers) a call accepts, in bytes as HTTP/2 counts them; 16 KiB by
    /// default.
    pub max_header_list_size: u32,
    /// The stream id at which the connection drains, so that another takes over long before ids run out;
    /// three quarters of all ids by default.
    pub last_stream_id: u32,
    /// Whether servers are asked if they are still there; they are not by default.
    pub keepalive: Option<Keepalive>,
    /// Shared by the connections made with these options, and not with their clones.
    pub(super) complaints: Complaints,
}

/// Keepalive as a client does it (gRFCs A8 and A18): PINGs when a server is silent, and the end of the
/// connection when it stays so.
///
/// A server decides how often it may be asked. By default a gRPC server allows a PING in five minutes, and
/// in two hours where there are no streams; a client that asks more often loses its connection
/// (`too_many_pings`), and the new connections of its channel then wait twice as long.
///
/// ```
/// use std::time::Duration;
///
/// use highball_transport::client::{ClientOptions, Keepalive};
///
/// let mut options = ClientOptions::default();
/// options.keepalive = Some(Keepalive {
///     time: Duration::from_secs(300),
///     ..Keepalive::default()
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the server may be silent before it is asked; 10 s by default, and at least.
    pub time: Duration,
    /// How long it may then stay silent before the connection is closed; 20 s by default. On Linux also
    /// how long what has been sent may stay unacknowledged (`TCP_USER_TIMEOUT`).
    pub timeout: Duration,
    /// Whether it is asked even while no stream is open; by default it is not.
    pub permit_without_stream: bool,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            time: super::keepalive::MIN_TIME,
            timeout: Duration::from_secs(20),
            permit_without_stream: false,
        }
    }
}

/// They have nothing to tell apart: one for all channels.
static INSECURE: LazyLock<Arc<dyn ChannelCredentials>> =
    LazyLock::new(|| Arc::new(InsecureCredentials));

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: Cow::Borrowed(concat!("highball/", env!("CARGO_PKG_VERSION"))),
            credentials: INSECURE.clone(),
            authority: None,
            ignore_server_names: false,
            windows: Windows::default(),
            max_header_list_size: crate::settings::MAX_HEADER_LIST_SIZE,
            last_stream_id: crate::settings::LAST_STREAM_ID,
            keepalive: None,
            complaints: Complaints::default(),
        }
    }
}
