//! The cases, by their official names.

mod compression;
mod credentials;
mod endings;
mod metadata;
mod orca;
mod scaling;
mod streaming;
mod unary;

use std::time::Duration;

use super::{Failure, Tester};

pub(super) use unary::exchange;

/// The cases there are, but for `long_lived_channel` and the soak tests, which [`Soak`](super::Soak) is for.
///
/// All but the last are official. `call_credentials` is in place of those that need Google's cloud: a token arrives over
/// TLS, and in plaintext is not sent.
pub const CASES: [&str; 28] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "half_duplex",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "pick_first_unary",
    "very_large_request",
    "concurrent_large_unary",
    "client_compressed_unary",
    "client_compressed_unary_noprobe",
    "server_compressed_unary",
    "client_compressed_streaming",
    "client_compressed_streaming_noprobe",
    "server_compressed_streaming",
    "orca_per_rpc",
    "orca_oob",
    "max_concurrent_streams_connection_scaling",
    "call_credentials",
];

/// Official cases that are left out, and why.
///
/// `cacheable_unary` has a call made by GET and answered by a proxy that caches. gRPC over HTTP/2 has requests by POST
/// alone (PROTOCOL-HTTP2), which proxies do not answer from a cache; C-core, where GET was an experiment, refuses it,
/// and in grpc-java the case says of itself that it is broken. The server's part of it is there.
pub const LEFT_OUT: [(&str, &str); 8] = [
    (
        "cacheable_unary",
        "it is about requests by GET, and gRPC over HTTP/2 has them by POST alone",
    ),
    ("compute_engine_creds", CLOUD),
    ("compute_engine_channel_credentials", CLOUD),
    ("google_default_credentials", CLOUD),
    ("jwt_token_creds", CLOUD),
    ("oauth2_auth_token", CLOUD),
    ("per_rpc_creds", CLOUD),
    ("service_account_creds", CLOUD),
];

/// Their tokens are the cloud's, which tells whose they are.
const CLOUD: &str = "its credentials are those of Google's cloud; see call_credentials";

/// The longest a case may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Goes through one of the [`CASES`].
///
/// # Errors
///
/// What was not as it should be; that the case took longer than a minute; that there is no such case.
pub async fn run(case: &str, tester: &Tester) -> Result<(), Failure> {
    let running = async {
        match case {
            "empty_unary" => unary::empty(tester).await,
            "large_unary" => unary::large(tester).await,
            "very_large_request" => unary::very_large_request(tester).await,
            "concurrent_large_unary" => unary::concurrent_large(tester).await,
            "pick_first_unary" => unary::pick_first(tester).await,
            "client_streaming" => streaming::client(tester).await,
            "server_streaming" => streaming::server(tester).await,
            "ping_pong" => streaming::ping_pong(tester).await,
            "empty_stream" => streaming::empty(tester).await,
            "half_duplex" => streaming::half_duplex(tester).await,
            "cancel_after_begin" => endings::cancel_after_begin(tester).await,
            "cancel_after_first_response" => endings::cancel_after_first_response(tester).await,
            "timeout_on_sleeping_server" => endings::timeout_on_sleeping_server(tester).await,
            "status_code_and_message" => endings::status_code_and_message(tester).await,
            "special_status_message" => endings::special_status_message(tester).await,
            "unimplemented_method" => endings::unimplemented_method(tester).await,
            "unimplemented_service" => endings::unimplemented_service(tester).await,
            "custom_metadata" => metadata::custom(tester).await,
            "client_compressed_unary" => compression::client_unary(tester, true).await,
            "client_compressed_unary_noprobe" => compression::client_unary(tester, false).await,
            "server_compressed_unary" => compression::server_unary(tester).await,
            "client_compressed_streaming" => compression::client_streaming(tester, true).await,
            "client_compressed_streaming_noprobe" => {
                compression::client_streaming(tester, false).await
            }
            "server_compressed_streaming" => compression::server_streaming(tester).await,
            "orca_per_rpc" => orca::per_rpc(tester).await,
            "orca_oob" => orca::out_of_band(tester).await,
            "max_concurrent_streams_connection_scaling" => scaling::max_streams(tester).await,
            "call_credentials" => credentials::of_a_call(tester).await,
            other => Err(no_such(other)),
        }
    };
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended.unwrap_or_else(|_| Err(Failure::new(format!("not done after {PATIENCE:?}"))))
}

fn no_such(case: &str) -> Failure {
    let left_out = LEFT_OUT.iter().find(|(name, _)| *name == case);
    Failure::new(match left_out {
        Some((_, why)) => format!("left out: {why}"),
        None => format!(
            "there is no case named {case:?}; there are {}",
            CASES.join(", ")
        ),
    })
}
