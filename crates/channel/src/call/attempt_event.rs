//! What an attempt at a call comes to: what observers of attempts are told.
//!
//! ```text
//!             ┌───┐ no more streams on this connection
//!             ▼   │
//!   begun ─► Picked ─► Sent ─► Answered ─► Committed ─► Ended
//!     │        │        │ │                   ▲           ▲
//!     │        │        │ └───────────────────┘           │
//!     │        │        │   more was streamed than is kept │
//!     └────────┴────────┴── a failure without a response ──┘
//!
//!   from anywhere ── another has won the race, or the call was dropped ─► Cancelled
//! ```

use std::time::Duration;

use highball_core::explanation::Seen;
use highball_core::{MetadataMap, Peer, Status};

/// Which attempt at its call one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptInfo {
    /// How many attempts there were before it, as `grpc-previous-rpc-attempts` tells the server. Transparent
    /// retries do not count (gRFC A6).
    pub previous_attempts: u32,
    /// Whether it is made in place of one that no server has worked on.
    pub is_transparent_retry: bool,
    /// Whether it races with others: its method has a hedging policy.
    pub is_hedged: bool,
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttemptEvent {
    /// The balancer has picked this server. What follows is the wait for call credentials and for a stream. Comes
    /// again if the connection turns out to take no more streams.
    Picked(Peer),
    /// It has a stream, and its headers are on their way.
    Sent,
    /// The response has begun, with this initial metadata. Not for an attempt that fails without any.
    Answered(MetadataMap),
    /// There will be no other attempt: what becomes of this one is what becomes of the call. Not for a failure
    /// without a response, whether it is the last or not: then it is the next attempt that tells.
    Committed,
    /// It is over. Nothing follows.
    Ended(AttemptEnd),
    /// It was given up: the application has dropped the call, or another attempt has won the race. Nothing
    /// follows.
    Cancelled,
}

/// How an attempt has ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttemptEnd {
    /// Its trailing metadata, or its status, which has them in [`Status::metadata`].
    pub outcome: Result<MetadataMap, Status>,
    /// What is known of what the server has seen of it.
    pub seen: Seen,
    /// What the server says about another attempt.
    pub pushback: Pushback,
}

/// What a server says about another attempt: `grpc-retry-pushback-ms` (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Nothing: the policy decides.
    Silent,
    /// After this time, instead of the policy's delay.
    After(Duration),
    /// Not at all: a negative number, or anything that is not one number.
    Never,
}
