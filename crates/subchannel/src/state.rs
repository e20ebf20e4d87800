//! The states of a subchannel, and the one function that moves between them.
//!
//! ```text
//!            Connect                Connected
//!   IDLE ───────────► CONNECTING ──────────────► READY
//!    ▲ ▲                  │                        │
//!    │ │ BackoffOver      │ Failed                 │ Lost
//!    │ └──────── TRANSIENT_FAILURE                 │
//!    └─────────────────────────────────────────────┘
//!                 any of them ──Shutdown──► SHUTDOWN
//! ```
//!
//! A subchannel never connects by itself: from IDLE it waits for a policy's [`Input::Connect`]. A lost
//! connection is no failure: it goes to IDLE, and the policy decides what is next (gRFC A62). What is not
//! in the picture does not happen: [`next`] answers `None`, and nobody is told anything.

use std::fmt;

use highball_core::{ConnectivityState, Status};
use highball_transport::client::Lost;

/// What a subchannel is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// No connection and no attempt at one.
    Idle,
    /// One attempt is under way.
    Connecting,
    /// There is a connection, and the server's SETTINGS have been read from it.
    Ready,
    /// The last attempt failed, for the reason given; waiting out the backoff.
    TransientFailure(Status),
    /// Over for good.
    Shutdown,
}

/// What can happen to a subchannel.
#[derive(Clone, Debug)]
pub enum Input {
    /// A policy asks for a connection.
    Connect,
    /// The attempt has brought a connection.
    Connected,
    /// The attempt has failed.
    Failed(Status),
    /// The connection takes no more streams: GOAWAY was received, or it closed.
    Lost(Lost),
    /// The backoff has elapsed, or was reset.
    BackoffOver,
    /// The subchannel is no longer wanted.
    Shutdown,
}

/// The state after `input`; `None` if nothing happens.
pub fn next(state: &State, input: &Input) -> Option<State> {
    match (state, input) {
        (State::Shutdown, _) => None,
        (_, Input::Shutdown) => Some(State::Shutdown),
        (State::Idle, Input::Connect) => Some(State::Connecting),
        (State::Connecting, Input::Connected) => Some(State::Ready),
        (State::Connecting, Input::Failed(status)) => Some(State::TransientFailure(status.clone())),
        (State::Ready, Input::Lost(_)) => Some(State::Idle),
        (State::TransientFailure(_), Input::BackoffOver) => Some(State::Idle),
        (State::Idle | State::Connecting | State::Ready | State::TransientFailure(_), _) => None,
    }
}

impl State {
    /// The state without the reason for it.
    pub fn connectivity(&self) -> ConnectivityState {
        match self {
            Self::Idle => ConnectivityState::Idle,
            Self::Connecting => ConnectivityState::Connecting,
            Self::Ready => ConnectivityState::Ready,
            Self::TransientFailure(_) => ConnectivityState::TransientFailure,
            Self::Shutdown => ConnectivityState::Shutdown,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransientFailure(status) => write!(f, "TRANSIENT_FAILURE, last error: {status}"),
            other => other.connectivity().fmt(f),
        }
    }
}
