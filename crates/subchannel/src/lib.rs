//! The connection to one address, which comes and goes; or several of them.
//!
//! A policy creates a subchannel for one address and asks it to connect; from then on the subchannel
//! reports each state it is in. Calls never talk to the subchannel: they hold its [`Link`], which has a
//! connection for as long as the subchannel is READY.
//!
//! ```text
//!   policy ──connect──► Subchannel ──┐                            ┌──► Report: states, in order
//!                                    ▼                            │
//!                                  actor ── news ──► Condition ───┤
//!                                    ▲                            ▼
//!                                    └── crowded ──── Link: connections, oldest first
//!                                                       ▲
//!   calls ─── a free stream of the oldest, lock-free ───┤
//!         └── none free: the queue for all of them ─────┘
//! ```
//!
//! What may follow what is one function, [`Condition::after`]; the actor only brings it news. Follows gRFC A61 (one
//! address, for life), A62 (a lost connection goes IDLE), A105 (several connections, if the service config allows
//! them and the server's MAX_CONCURRENT_STREAMS keeps calls waiting) and
//! [connection-backoff.md](https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md).
//!
//! Deliberately absent: policies (whoever reports are for), re-resolution (a policy asks for it), retries
//! of its own accord (from IDLE it waits to be asked), closing connections that are not needed any more (a server's
//! MAX_CONNECTION_IDLE does).

// A new state or event must be thought about wherever the old ones are.
#![warn(clippy::wildcard_enum_match_arm)]

mod state;

mod link;
mod queue;

mod subchannel;

mod actor;
mod attempt;

pub use link::Link;
pub use state::{Attempt, Condition, Input, State};
pub use subchannel::{Options, Report, Subchannel};
