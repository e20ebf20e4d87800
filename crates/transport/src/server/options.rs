//! What a user may set about a server's connections.

use std::sync::Arc;
use std::time::Duration;

use super::drain::SETTINGS_TIMEOUT;
use super::portions::Rota;
use crate::credentials::{InsecureCredentials, ServerCredentials};
use crate::inflow::Windows;
use crate::keepalive::Vigil;
use crate::settings;

/// The settings of a server's connections. [`Default`] is what users get.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many calls one client may have open on one connection, and how many handlers one connection
    /// runs at a time; 100 by default. A handler that outlives its call still counts.
    pub max_concurrent_streams: u32,
    /// How much a client may send before its handlers read; [`Windows::Dynamic`] by default.
    pub windows: Windows,
    /// The largest list of request headers a call may have, in bytes as HTTP/2 counts them; 16 KiB by
    /// default. A call with more fails with RESOURCE_EXHAUSTED.
    pub max_header_list_size: u32,
    /// How connections are secured; not at all by default.
    pub credentials: Arc<dyn ServerCredentials>,
    /// How long a client may take from its connection's start to its HTTP/2 settings, the security
    /// handshake included; 20 s by default.
    pub handshake_timeout: Duration,
    /// Whether clients that are silent are asked if they are still there (gRFC A8); after two hours by
    /// default.
    pub keepalive: Option<Keepalive>,
    /// How often clients may ask.
    pub enforcement_policy: EnforcementPolicy,
    /// How long a connection may be without streams before its client is asked to go (GOAWAY `max_idle`);
    /// for ever by default.
    pub max_connection_idle: Option<Duration>,
    /// How old a connection may become, 10 % more or less, before its client is asked to go (GOAWAY
    /// `max_age`), so that clients come to know new servers (gRFC A9); any age by default.
    pub max_connection_age: Option<Duration>,
    /// How long its calls may go on from there, from the second GOAWAY on, before they are cut; for ever by
    /// default.
    pub max_connection_age_grace: Option<Duration>,
    /// Which of these connections was at work last. A clone's connections share it.
    pub(super) rota: Rota,
}

/// Keepalive as a server does it (gRFC A8): with streams and without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a client may be silent before it is asked; two hours by default, and a second at least.
    pub time: Duration,
    /// How long it may then stay silent before the connection is closed; 20 s by default. On Linux also
    /// how long what has been sent may stay unacknowledged (`TCP_USER_TIMEOUT`, gRFC A18).
    pub timeout: Duration,
}

/// How often clients may ask whether the server is still there (gRFC A8). One that asks too soon three times,
/// without being sent anything in between, loses its connection: GOAWAY `ENHANCE_YOUR_CALM`,
/// `too_many_pings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnforcementPolicy {
    /// How far PINGs must be apart; five minutes by default.
    pub min_time: Duration,
    /// Whether that goes for clients without streams, too. By default theirs must be two hours apart.
    pub permit_without_stream: bool,
}

/// The shortest time between two PINGs of a server.
const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(1);

impl Keepalive {
    /// Its first look is early: when the client's acknowledgement of the settings is overdue.
    pub(super) fn vigil(self) -> Option<Vigil> {
        let time = self.time.max(MIN_KEEPALIVE_TIME);
        Vigil::with_first_look(SETTINGS_TIMEOUT, time, self.timeout, true)
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2 * 60 * 60),
            timeout: Duration::from_secs(20),
        }
    }
}

impl Default for EnforcementPolicy {
    fn default() -> Self {
        Self {
            min_time: Duration::from_secs(5 * 60),
            permit_without_stream: false,
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_concurrent_streams: settings::SERVER_MAX_CONCURRENT_STREAMS,
            windows: Windows::default(),
            max_header_list_size: settings::MAX_HEADER_LIST_SIZE,
            credentials: Arc::new(InsecureCredentials),
            handshake_timeout: Duration::from_secs(20),
            keepalive: Some(Keepalive::default()),
            enforcement_policy: EnforcementPolicy::default(),
            max_connection_idle: None,
            max_connection_age: None,
            max_connection_age_grace: None,
            rota: Rota::default(),
        }
    }
}

impl ServerOptions {
    /// The settings for h2: none is left to its default.
    pub(super) fn builder(&self) -> h2::server::Builder {
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(self.max_concurrent_streams)
            .max_pending_accept_reset_streams(
                settings::SERVER_RESETS_WAITING
                    .saturating_add(self.max_concurrent_streams as usize),
            )
            .max_local_error_reset_streams(Some(settings::SERVER_LOCAL_ERROR_RESETS))
            .max_concurrent_reset_streams(settings::RESET_STREAMS_KEPT)
            .reset_stream_duration(settings::RESET_STREAMS_KEPT_FOR)
            .data_frame_budget(settings::SERVER_DATA_FRAME_BUDGET)
            .max_header_list_size(settings::h2_header_list_limit(self.max_header_list_size))
            .header_table_size(settings::HEADER_TABLE_SIZE)
            .max_frame_size(settings::MAX_FRAME_SIZE)
            .max_send_buffer_size(settings::MAX_SEND_BUFFER)
            .initial_window_size(self.windows.stream())
            .initial_connection_window_size(self.windows.connection());
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_http2_does_not_allow_are_cut() {
        let options = ServerOptions {
            windows: Windows::Fixed {
                stream: u32::MAX,
                connection: 0,
            },
            ..ServerOptions::default()
        };
        // h2 panics if a window is too large.
        options.builder();
        let windows = options.windows;
        assert_eq!(
            (windows.connection(), windows.stream()),
            (65_535, 0x7fff_ffff)
        );
    }
}
