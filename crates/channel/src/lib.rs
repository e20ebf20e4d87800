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
//! # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
//! use highball_channel::Channel;
//!
//! let channel = Channel::builder("dns:///echo.example.com:50051").insecure().build()?;
//! // let echo = EchoClient::new(channel);
//! // let reply = echo.unary_echo(EchoRequest { message: "hello".into() }).await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(doc()).unwrap();
//! ```
//!
//! # Extending it
//!
//! A resolver is a [`resolver::Lookup`] behind [`resolver::Polling`], in a dozen lines; a policy is a
//! [`policy::Policy`], often with [`policy::PerEndpoint`] children. Both are handed to the
//! [`ChannelBuilder`]; there are no global registries.
//!
//! # Reading it
//!
//! Eight stops, each a file that opens with a picture and an exercise:
//!
//! 1. [`resolver::Target`] (`resolver/target.rs`): a string becomes a target.
//! 2. [`resolver::Dns`] (`resolver/dns.rs`): a target becomes endpoints.
//! 3. [`ServiceConfig`] (`channel/service_config`): JSON becomes a choice of policy.
//! 4. [`policy`] (`balancer/lib.rs`), [`policy::PerEndpoint`] (`balancer/per_endpoint.rs`) and the echo
//!    crate's `custom_round_robin.rs`: endpoints become children.
//! 5. [`policy::PickFirst`] (`balancer/pick_first`): children become attempts.
//! 6. [`subchannel::State`] (`subchannel/state.rs`): attempts become a connection.
//! 7. [`Channel`] (`channel/driver/turn.rs`, `channel/picker_slot.rs`): states become a picker.
//! 8. [`Method`] (`channel/call`) and [`Status`] (`transport/status.rs`): a call becomes a status.
//!
//! # Watching it
//!
//! Everything that happens is a [`tracing`] event with a stable target: `channel` (states, generations,
//! commands), `resolver`, `balancer`, `subchannel`, `transport`. Nothing that can happen often is above
//! debug: `RUST_LOG=subchannel=debug,balancer=trace`.

mod builder;
mod channel;

mod service_config;

mod driver;

mod activity;
mod picker_slot;

mod call;

pub use builder::{BuildError, ChannelBuilder};
pub use call::{CallOptions, Method, Request, Streaming};
pub use channel::Channel;
pub use futures_core::Stream;
pub use highball_core::{
    Address, Attributes, Backoff, Code, ConnectivityState, Endpoint, Entry, InvalidMetadata,
    MetadataMap, Network, Rejected, Response, Status,
};
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

/// One connection that comes and goes. The `highball-subchannel` crate.
pub mod subchannel {
    #[doc(inline)]
    pub use highball_subchannel::{Input, State, next};
}

/// Byte streams and connections. The client's part of the `highball-transport` crate.
pub mod transport {
    #[doc(inline)]
    pub use highball_transport::client::ClientOptions;
    #[doc(inline)]
    pub use highball_transport::{
        BoxIo, Connector, Io, MemoryListener, MemoryNetwork, SystemConnector,
    };
}
