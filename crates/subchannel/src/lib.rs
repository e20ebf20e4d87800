//! One connection that comes and goes.
//!
//! A policy creates a subchannel for one address and asks it to connect; from then on the subchannel
//! reports each state it is in. Calls never talk to the subchannel: they hold its [`Link`], which has a
//! connection for as long as the subchannel is READY.
//!
//! ```text
//!   policy ──connect──► Subchannel ──┐                         ┌──► report(State), in order
//!                                    ▼                         │
//!                                  actor: until asked ─ attempt ─ serve ─ back off ─┐
//!                                    ▲                         │                    │
//!                                    └─────────────────────────┼────────────────────┘
//!   calls ◄── connection, lock-free ── Link ◄──────────────────┘
//! ```
//!
//! What may follow what is one function, [`next`]; the actor only brings it news. Follows gRFC A61 (one
//! address, for life), A62 (a lost connection goes IDLE) and
//! [connection-backoff.md](https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md).
//!
//! Deliberately absent: policies (whoever reports are for), re-resolution (a policy asks for it), retries
//! of its own accord (from IDLE it waits to be asked).

// A new state or event must be thought about wherever the old ones are.
#![warn(clippy::wildcard_enum_match_arm)]

mod state;

mod link;

mod actor;

pub use actor::{Options, Subchannel};
pub use link::Link;
pub use state::{Input, State, next};
