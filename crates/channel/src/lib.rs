//! A gRPC channel, from target to trailers.
//!
//! ```text
//!  application ── generated stub ── call (deadline, messages) ────────────────────────┐
//!                                                                                      │ per call, no lock
//!  target ─► resolver ─► service config ─► policy tree ─► picker ═══ generation ═══════┤
//!             async fn     parsed once      sync &mut     immutable   swapped          ▼
//!                                              │                      atomically   subchannel link ─► h2 stream
//!                                              └─ create / connect ─► subchannel ─► transport
//! ```
//!
//! Two halves. The *control plane* is one task per channel (the `driver` module) that owns everything as
//! plain structs. The *data path*, calls, shares exactly one thing with it: the current generation, a picker
//! with the links it leads to. Calls load it atomically; they never lock and never hop to a task.
//!
//! # Using it
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use highball_channel::Channel;
//!
//! let channel = Channel::builder("dns:///echo.example.com:50051").insecure().build()?;
//! // let echo = EchoClient::new(channel);
//! // let reply = echo.unary_echo(EchoRequest { message: "hello".into() }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Securing it
//!
//! With the feature `tls-ring` or `tls-aws-lc`, `.credentials(TlsChannelCredentials::new()?)` in place of
//! `.insecure()` is TLS; `tls-native-roots` and `tls-webpki-roots` say which authorities are there to be
//! trusted. [`LocalCredentials`] are for what stays on the machine, [`ChannelCredentials`] for ways of one's
//! own. [`CallCredentials`] give calls a token, which never travels in plaintext. Whom a call was answered by
//! is in [`Response::peer`].
//!
//! # Compressing it
//!
//! By `gzip`, `deflate` (both there by default) or `zstd` (a feature), messages are compressed for a
//! [channel](ChannelBuilder::compression), a [call](Request::with_compression), or a
//! [message](CompressionSwitch) of a stream: none, unless one of these says so. Responses are unpacked whatever the
//! call says: servers are told with each call which encodings this build reads. With `default-features = false` that
//! is `identity` only, and nothing of it is compiled in.
//!
//! # Reaching its servers
//!
//! Directly, or, with the feature `proxy`, through the HTTP proxy that `HTTPS_PROXY` and `NO_PROXY` name or that
//! `ChannelBuilder::proxy` sets (gRFC A1). Without it, a channel that the environment has a proxy for says in the log
//! that it goes past it.
//!
//! Each address has one connection. Calls that the server's MAX_CONCURRENT_STREAMS keeps waiting for a stream have
//! others made to the same address if the service config allows it (gRFC A105), up to a
//! [cap](ChannelBuilder::max_connections_per_subchannel) of the channel's:
//! `{"connectionScaling": {"maxConnectionsPerSubchannel": 4}}`.
//!
//! # Extending it
//!
//! A resolver is a [`resolver::Lookup`] behind [`resolver::Polling`], in a dozen lines; a policy is a
//! [`policy::Policy`], often with [`policy::PerEndpoint`] children. Both are handed to the
//! [`ChannelBuilder`]; there are no global registries. What a policy may go by, beside the states of its
//! subchannels: their health, and the load that servers report with calls and out of band ([`LoadReport`]).
//!
//! A [`ClientInterceptor`], or a closure, is around every call, and hears of the attempts at it if it
//! [asks](Request::observe_attempts). [`Payload`]s are messages without a type, for
//! relays.
//!
//! # Reading it
//!
//! Eight stops, each a file that opens with a picture and an exercise:
//!
//! 1. [`resolver/target.rs`](../src/highball_resolver/target.rs.html): a string becomes a
//!    [target](resolver::Target).
//! 2. [`resolver/dns.rs`](../src/highball_resolver/dns.rs.html): a target becomes
//!    [endpoints](Endpoint).
//! 3. [`channel/service_config`](../src/highball_channel/service_config/mod.rs.html): JSON becomes a
//!    [choice of policy](policy::Choice).
//! 4. [`balancer/lib.rs`](../src/highball_balancer/lib.rs.html),
//!    [`balancer/per_endpoint.rs`](../src/highball_balancer/per_endpoint.rs.html) and
//!    [`echo/custom_round_robin.rs`](../src/highball_echo/custom_round_robin.rs.html): endpoints become
//!    [children](policy::PerEndpoint).
//! 5. [`balancer/pick_first`](../src/highball_balancer/pick_first/mod.rs.html): children become
//!    [attempts](policy::PickFirst).
//! 6. [`subchannel/state.rs`](../src/highball_subchannel/state.rs.html): attempts become a
//!    [connection](subchannel::State).
//! 7. [`channel/driver/turn.rs`](../src/highball_channel/driver/turn.rs.html) and
//!    [`channel/picker_slot.rs`](../src/highball_channel/picker_slot.rs.html): states become a
//!    [picker](policy::Picker).
//! 8. [`channel/call`](../src/highball_channel/call/mod.rs.html) and
//!    [`transport/status.rs`](../src/highball_transport/status.rs.html): a call becomes a
//!    [status](Status).
//!
//! # When a call fails
//!
//! Its [`Status`] has a code and a message, and an [`explanation`](Status::explanation) of how it came to that:
//! how long it waited for what, which servers it tried and what each of them had seen of it, which subchannels
//! there were with their last errors, and what held for it.
//!
//! ```
//! # use highball_channel::Status;
//! fn report(status: &Status) {
//!     println!("{status}");
//!     if let Some(why) = status.explanation() {
//!         println!("{why}"); // in one line
//!         println!("{why:#}"); // in a page
//!     }
//! }
//! ```
//!
//! # Watching it
//!
//! Everything that happens is a [`tracing`] event with a stable target: `channel` (states, generations,
//! commands), `resolver`, `balancer`, `subchannel`, `transport`. Nothing that can happen often is above
//! debug: `RUST_LOG=subchannel=debug,balancer=trace`.

mod authority;
mod build_error;
mod builder;
mod channel;

mod service_config;

mod driver;

mod activity;
mod picker_slot;
mod state;
mod way;

mod call;
mod call_credentials;
mod interceptor;

pub use build_error::BuildError;
pub use builder::ChannelBuilder;
pub use call::{
    AnyStreaming, AttemptEnd, AttemptEvent, AttemptInfo, CallOptions, Method, Pushback, Request,
    ResponseListener, Streaming,
};
pub use call_credentials::{BearerToken, CallCredentials, CallCredentialsError, RequestInfo};
pub use channel::Channel;
pub use futures_core::Stream;
pub use highball_core::{
    Address, AnyMessage, Attributes, AuthInfo, Backoff, BadLoadReport, Code, ConnectivityState,
    Endpoint, Entry, GivenUp, InvalidMetadata, LoadReport, MetadataMap, Network, Payload, Peer,
    Rejected, Response, SecurityLevel, Status, WrongMessage, details, explanation,
};
#[cfg(feature = "tls")]
pub use highball_transport::{
    Certificates, Identity, TlsChannelBuilder, TlsChannelCredentials, TlsError,
};
pub use highball_transport::{ChannelCredentials, LocalCredentials, Secured};
pub use highball_transport::{Compression, CompressionSwitch, Compressions};
pub use highball_transport::{Messages, Sender, Unsent, messages};
pub use interceptor::{ClientInterceptor, MessageStream, Next};
pub use service_config::{
    BadRetryPolicy, BadServiceConfig, HedgingPolicy, MethodConfig, RetryPolicy, RetryThrottling,
    ServiceConfig,
};

/// Resolvers: from a target to endpoints. The `highball-resolver` crate.
pub mod resolver {
    #[doc(inline)]
    pub use highball_resolver::*;
}

/// Balancing policies: from endpoints to a picker. The `highball-balancer` crate.
pub mod policy {
    #[doc(inline)]
    pub use highball_balancer::*;
}

/// The connections to one address, which come and go. The `highball-subchannel` crate.
pub mod subchannel {
    #[doc(inline)]
    pub use highball_subchannel::{Attempt, Condition, Input, State};
}

/// Byte streams and connections. The client's part of the `highball-transport` crate.
pub mod transport {
    #[doc(inline)]
    pub use highball_transport::client::{ClientOptions, Keepalive};
    #[doc(inline)]
    pub use highball_transport::{
        BoxIo, Connector, Io, MemoryListener, MemoryNetwork, SystemConnector, Windows,
    };
}
