//! From a target to endpoints.
//!
//! ```text
//!   "dns:///echo.example.com:50051"
//!        │
//!        ▼  ResolverRegistry::find                    whose scheme is it?
//!   Target + ResolverFactory
//!        │
//!        ▼  supervise: build, run                     one async function per channel
//!   Resolver ── Resolution { endpoints, service config } ──► channel ─► policy
//!        ▲                                                      │
//!        └───── a verdict on each, and requests for more ◄──────┘
//! ```
//!
//! A resolver is an async function that sends [`Resolution`]s until it is dropped. Three ways to write
//! one, the least work first:
//!
//! | the name service | implement | you get |
//! |---|---|---|
//! | answers when asked | [`Lookup`], for [`Polling`] | when to ask, backoff, time-out |
//! | tells of changes | [`Watch`], for [`Watching`] | restarts with backoff, no duplicates |
//! | is something else | [`Resolver`] and [`ResolverFactory`] | the whole contract |
//!
//! If the program knows the endpoints itself, [`ManualResolver`] needs no code at all.
//!
//! The reading path through Highball starts here: stop 1 is [`target`], where a string becomes a target,
//! and stop 2 is [`dns`], where a target becomes endpoints.
//!
//! Deliberately absent: balancing, connections, service config semantics, and global registries.

pub mod target;

pub mod dns;

mod bad_target;

mod registry;
mod resolver;

mod resolution;
mod updates;

mod contained;
mod supervise;

mod polling;
mod watching;

mod host_port;
mod hosts;

mod proxy;

mod fixed;
mod ip;
mod manual;
mod passthrough;
mod unix;

#[cfg(test)]
mod testing;

pub use futures_core::Stream;
pub use futures_core::future::BoxFuture;

pub use bad_target::BadTarget;
#[doc(inline)]
pub use dns::Dns;
pub use hosts::{HostLookup, SystemHosts};
pub use ip::Ip;
pub use manual::ManualResolver;
pub use passthrough::Passthrough;
pub use polling::{Lookup, Polling};
pub use proxy::{BadProxy, Proxy, ProxySettings};
pub use registry::ResolverRegistry;
pub use resolution::Resolution;
pub use resolver::{Resolver, ResolverFactory, ResolverOptions};
pub use supervise::supervise;
#[doc(inline)]
pub use target::{Target, encode_authority};
pub use unix::Unix;
pub use updates::{Ack, Inbox, Updates, pair};
pub use watching::{Watch, Watching};
