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
//!
//! This is the sixth stop of the reading path: attempts become a connection. Exercise: gRFC A105 gives a
//! subchannel several connections, and lets it go from READY to CONNECTING when it loses them. Which pairs
//! of state and input change in the matrix of the tests?

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
        self.connectivity().fmt(f)?;
        match self {
            Self::TransientFailure(status) => write!(f, ", last error: {status}"),
            Self::Idle | Self::Connecting | Self::Ready | Self::Shutdown => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use highball_core::Status;
    use highball_transport::client::{Closed, Lost};

    use super::*;

    fn states() -> [State; 5] {
        [
            State::Idle,
            State::Connecting,
            State::Ready,
            State::TransientFailure(Status::unavailable("earlier")),
            State::Shutdown,
        ]
    }

    fn inputs() -> [(&'static str, Input); 6] {
        [
            ("Connect", Input::Connect),
            ("Connected", Input::Connected),
            ("Failed", Input::Failed(Status::unavailable("refused"))),
            ("Lost", Input::Lost(Lost::Closed(Closed::Eof))),
            ("BackoffOver", Input::BackoffOver),
            ("Shutdown", Input::Shutdown),
        ]
    }

    /// Every pair of a state and an input. `-` is what does not happen.
    const MATRIX: &str = "
                        Connect     Connected  Failed             Lost  BackoffOver  Shutdown
    IDLE                CONNECTING  -          -                  -     -            SHUTDOWN
    CONNECTING          -           READY      TRANSIENT_FAILURE  -     -            SHUTDOWN
    READY               -           -          -                  IDLE  -            SHUTDOWN
    TRANSIENT_FAILURE   -           -          -                  -     IDLE         SHUTDOWN
    SHUTDOWN            -           -          -                  -     -            -
    ";

    #[test]
    fn the_whole_matrix_is_as_the_picture_says() {
        let mut rows = MATRIX
            .trim()
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let header = rows.next().unwrap();
        assert_eq!(header, inputs().map(|(name, _)| name));
        for (state, row) in states().iter().zip(rows) {
            let after = inputs().map(|(_, input)| match next(state, &input) {
                Some(state) => state.connectivity().to_string(),
                None => "-".to_owned(),
            });
            assert_eq!(row[0], state.connectivity().to_string());
            assert_eq!(row[1..], after, "from {state}");
        }
    }

    #[test]
    fn a_failure_carries_its_reason_into_the_state() {
        let refused = Status::unavailable("refused");
        let state = next(&State::Connecting, &Input::Failed(refused.clone()));
        assert_eq!(state, Some(State::TransientFailure(refused)));
    }

    #[test]
    fn every_arrow_of_the_picture_is_in_the_matrix() {
        let picture = include_str!("state.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"));
        let picture: String = picture.collect();
        for (name, input) in inputs() {
            let moves = states().iter().any(|state| next(state, &input).is_some());
            assert!(moves && picture.contains(name), "{name}");
        }
    }
}
