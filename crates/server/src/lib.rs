//! A gRPC server: listeners, a router, handlers, a graceful end.
//!
//! ```text
//!   Listener ── accept loop ──► connection task ──► Router ──► Service ──► handler, a task per call
//!                (survives          │                             unary · server_streaming ·
//!                 EMFILE)           └─ drain, close               client_streaming · bidi_streaming
//! ```
//!
//! Services are generated (`EchoServer::new(MyEcho)`) or written by hand on [`Service`]:
//!
//! ```
//! use highball_server::{IncomingCall, Request, Response, Server, Service, Status};
//!
//! /// Doubles numbers. Messages are protobuf; `u32` is prost's name for `google.protobuf.UInt32Value`.
//! struct Doubler;
//!
//! impl Service for Doubler {
//!     fn name(&self) -> &str {
//!         "example.Doubler"
//!     }
//!
//!     fn call(&self, method: &str, call: IncomingCall) {
//!         match method {
//!             "Double" => highball_server::unary(call, async |request: Request<u32>| {
//!                 Ok(Response::new(2 * request.into_message()))
//!             }),
//!             _ => highball_server::unknown_method(call),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = highball_server::bind("127.0.0.1:0").await?;
//! println!("listening on {}", listener.local_addr());
//! let server = Server::builder().add_service(Doubler).build();
//! let serving = tokio::spawn(server.clone().serve(listener));
//! server.graceful_stop().await;
//! serving.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # The life of a handler
//!
//! A handler runs in a task of its own. On a runtime of one thread, one that takes a single message begins in
//! the connection's task, and gets its own at the first `.await` that has to wait. Handlers must not block their
//! thread, there least of all.
//!
//! When its client cancels, its connection is lost or its deadline passes, the call's [`Cancellation`] fires and
//! then the handler's future is **dropped**, at whatever `.await` it is; so cleaning up belongs into destructors,
//! and work that must be finished into a task of its own or behind [`Request::run_to_end`]. A handler that
//! panics ends its own call with INTERNAL and nothing else.
//!
//! # Around handlers
//!
//! A [`ServerInterceptor`], or a closure, is around every handler: it may refuse calls, look at their messages
//! and answers, and leave the handler [attributes](Request::attributes), such as who is calling.
//!
//! # Services that every server may offer
//!
//! [`health`] tells clients and probes which services take calls; [`reflection`] tells tools what there is to
//! call; [`orca`] tells balancing policies how loaded the server is.
//!
//! # Its clients
//!
//! With the feature `tls-ring` or `tls-aws-lc`, [`ServerBuilder::credentials`] takes `TlsServerCredentials`,
//! which may ask clients for certificates, too. A handler finds who its client is in [`Request::peer`].
//!
//! # Compression
//!
//! By `gzip`, `deflate` (both there by default) or `zstd` (a feature), requests may come compressed, and replies leave
//! so for clients that can read it: as the requests came, as the [service](ServerBuilder::compression) has it, as the
//! [handler](Request::compress_reply) says, message by [message](Request::compression_switch) even.
//! Every reply says which encodings this build reads (`grpc-accept-encoding`): `identity`, without these features.
//!
//! # What it logs
//!
//! Events of the target `server`, with fields. `error`: a handler, a service or a connection's task panicked.
//! `warn`: accepting failed, once per run of failures. `debug`: listening, connected and connection closed
//! with client and reason, handshakes that failed, calls refused, cancelled, past their deadline or ended
//! with an error, stops. `trace`: every call's start, and its end if it went well.
//!
//! Deliberately absent: policies and resolvers, and anything of the client.

mod call;
mod cancellation;
mod compression;
mod endless;
mod intercepted;
mod interceptor;
mod kinds;
mod reply;
mod request;
mod service;
mod streaming;

mod builder;
mod limits;
mod router;

mod accept;
mod connection;
mod listener;
mod server;

pub mod health;
pub mod orca;
pub mod reflection;

pub use builder::ServerBuilder;
pub use call::IncomingCall;
pub use cancellation::Cancellation;
pub use highball_core::{
    Address, AnyMessage, Attributes, AuthInfo, Code, MetadataMap, Payload, Peer, Response,
    SecurityLevel, Status, WrongMessage, details,
};
pub use highball_transport::server::{CallHead, EnforcementPolicy, Keepalive, ServerOptions};
pub use highball_transport::{BoxIo, LocalCredentials, Secured, ServerCredentials, Windows};
#[cfg(feature = "tls")]
pub use highball_transport::{
    Certificates, Identity, TlsError, TlsServerBuilder, TlsServerCredentials,
};
pub use highball_transport::{Compression, CompressionSwitch, Compressions};
pub use highball_transport::{Messages, Sender, Unsent, messages};
pub use interceptor::{MessageStream, Next, ServerInterceptor};
pub use kinds::{bidi_streaming, client_streaming, server_streaming, unary, unknown_method};
pub use limits::MessageLimits;
pub use listener::{BoxListener, ListenError, Listener, bind};
pub use request::Request;
pub use server::{ServeError, Server};
pub use service::Service;
pub use streaming::{ResponseStream, Streaming};
