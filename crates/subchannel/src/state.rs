//! What a subchannel has and what it tries, the one function that moves it, and the state that follows from it.
//!
//! ```text
//!   connections    0 ──Connected──► 1 ──Connected──► 2 ──Connected──► …          Lost: one less
//!
//!                             Connect, if there is none;
//!                             Crowded, if there are some, and fewer than may be
//!   the next one       Unwanted ─────────────────────────────────► Underway
//!                        ▲   ▲                Connected             │    │
//!             BackoffOver│   └──────────────────────────────────────┘    │ Failed
//!                        └──────────────── BackingOff ◄──────────────────┘
//! ```
//!
//! | connections | the next one | state |
//! |---|---|---|
//! | some | – | READY |
//! | none | Underway | CONNECTING |
//! | none | BackingOff | TRANSIENT_FAILURE |
//! | none | Unwanted | IDLE |
//!
//! With one connection at most, as it is unless a service config says otherwise, this is gRPC's circle of IDLE,
//! CONNECTING and READY or TRANSIENT_FAILURE. With several (gRFC A105) an attempt at another one can be under way, or
//! have failed, when the last one is lost: READY is then followed by CONNECTING or TRANSIENT_FAILURE.
//!
//! A subchannel never connects by itself: without a connection it waits for a policy's [`Input::Connect`]. A lost
//! connection is no failure: the policy decides what is next (gRFC A62). What is not in the picture does not happen.
//!
//! This is the sixth stop of the reading path: attempts become a connection. Exercise: a server takes two streams on
//! a connection, and three connections may be made to it. Seven calls begin at once. Write down every input and every
//! state until the first of them ends.

use std::fmt;

use highball_core::{ConnectivityState, Status};

/// What a subchannel tells of itself.
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

/// What can happen to a subchannel that is not over.
#[derive(Clone, Debug)]
pub enum Input {
    /// A policy asks for a connection.
    Connect,
    /// Calls wait, and no connection has a free stream for them.
    Crowded,
    /// The attempt has brought a connection.
    Connected,
    /// The attempt has failed.
    Failed(Status),
    /// A connection takes no more streams: GOAWAY was received, or it closed.
    Lost,
    /// The backoff has elapsed, or was reset.
    BackoffOver,
}

/// What a subchannel has, and what it tries.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// How many connections it has.
    pub connections: usize,
    /// What becomes of the next one. There is never more than one attempt at a time.
    pub next: Attempt,
}

/// An attempt at a connection. One backoff holds for all of them, however many connections there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// Nobody needs one.
    Unwanted,
    /// It is being made.
    Underway,
    /// It has failed, for this reason.
    BackingOff(Status),
}

impl Condition {
    /// A subchannel that nothing has happened to.
    pub const NEW: Self = Self {
        connections: 0,
        next: Attempt::Unwanted,
    };

    /// The condition after `input`, where there may be `max` connections. It is the same if nothing happens.
    #[must_use]
    pub fn after(&self, input: Input, max: usize) -> Self {
        let connections = match (&self.next, &input) {
            (Attempt::Underway, Input::Connected) => self.connections + 1,
            (_, Input::Lost) => self.connections.saturating_sub(1),
            (Attempt::Unwanted | Attempt::Underway | Attempt::BackingOff(_), _) => self.connections,
        };
        let next = match (&self.next, input) {
            (Attempt::Unwanted, Input::Connect) if self.connections == 0 => Attempt::Underway,
            (Attempt::Unwanted, Input::Crowded) if self.may_grow(max) => Attempt::Underway,
            (Attempt::Underway, Input::Connected) => Attempt::Unwanted,
            (Attempt::Underway, Input::Failed(status)) => Attempt::BackingOff(status),
            (Attempt::BackingOff(_), Input::BackoffOver) => Attempt::Unwanted,
            (Attempt::Unwanted | Attempt::Underway | Attempt::BackingOff(_), _) => {
                self.next.clone()
            }
        };
        Self { connections, next }
    }

    /// Whether [`Input::Crowded`] would begin an attempt. Without a connection it would not: calls do not wait then.
    pub fn may_grow(&self, max: usize) -> bool {
        self.next == Attempt::Unwanted && (1..max).contains(&self.connections)
    }

    /// What it comes to.
    pub fn state(&self) -> State {
        match &self.next {
            _ if self.connections > 0 => State::Ready,
            Attempt::Underway => State::Connecting,
            Attempt::BackingOff(status) => State::TransientFailure(status.clone()),
            Attempt::Unwanted => State::Idle,
        }
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
    use std::collections::BTreeSet;

    use highball_core::Status;

    use super::*;

    fn refused() -> Status {
        Status::unavailable("refused")
    }

    fn inputs() -> [(&'static str, Input); 6] {
        [
            ("Connect", Input::Connect),
            ("Crowded", Input::Crowded),
            ("Connected", Input::Connected),
            ("Failed", Input::Failed(refused())),
            ("Lost", Input::Lost),
            ("BackoffOver", Input::BackoffOver),
        ]
    }

    /// A condition as the matrix has it.
    fn name(condition: &Condition) -> String {
        let next = match &condition.next {
            Attempt::Unwanted => "",
            Attempt::Underway => "+",
            Attempt::BackingOff(_) => "!",
        };
        format!("{}{next}", condition.connections)
    }

    /// Every pair of a condition and an input: how many connections there are, with `+` for an attempt under way and
    /// `!` for one that has failed. `.` is what does not happen.
    const MATRIX: &str = "
        max  from  state              Connect  Crowded  Connected  Failed  Lost  BackoffOver
        1    0     IDLE               0+       .        .          .       .     .
        1    0+    CONNECTING         .        .        1          0!      .     .
        1    0!    TRANSIENT_FAILURE  .        .        .          .       .     0
        1    1     READY              .        .        .          .       0     .
        3    0     IDLE               0+       .        .          .       .     .
        3    0+    CONNECTING         .        .        1          0!      .     .
        3    0!    TRANSIENT_FAILURE  .        .        .          .       .     0
        3    1     READY              .        1+       .          .       0     .
        3    1+    READY              .        .        2          1!      0+    .
        3    1!    READY              .        .        .          .       0!    1
        3    2     READY              .        2+       .          .       1     .
        3    2+    READY              .        .        3          2!      1+    .
        3    2!    READY              .        .        .          .       1!    2
        3    3     READY              .        .        .          .       2     .
    ";

    /// All that a new subchannel can come to, with what it comes to after each input.
    fn reachable(max: usize) -> Vec<Vec<String>> {
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        let mut unseen = vec![Condition::NEW];
        while let Some(condition) = unseen.pop() {
            if !seen.insert(name(&condition)) {
                continue;
            }
            let state = condition.state().connectivity();
            let mut row = vec![max.to_string(), name(&condition), state.to_string()];
            for (_, input) in inputs() {
                let after = condition.after(input, max);
                row.push(match after == condition {
                    true => ".".to_owned(),
                    false => name(&after),
                });
                unseen.push(after);
            }
            rows.push(row);
        }
        rows.sort();
        rows
    }

    #[test]
    fn the_whole_matrix_is_as_the_picture_says() {
        let rows = MATRIX.trim().lines();
        let mut rows: Vec<Vec<_>> = rows
            .map(|row| row.split_whitespace().map(str::to_owned).collect())
            .collect();
        let header = rows.remove(0);
        assert_eq!(header[3..], inputs().map(|(name, _)| name.to_owned()));
        rows.sort();
        assert_eq!([reachable(1), reachable(3)].concat(), rows);
    }

    #[test]
    fn a_failure_carries_its_reason_into_the_state() {
        let connecting = Condition::NEW.after(Input::Connect, 1);
        let failed = connecting.after(Input::Failed(refused()), 1);
        assert_eq!(failed.state(), State::TransientFailure(refused()));
    }

    #[test]
    fn a105_ready_may_turn_into_connecting_or_transient_failure() {
        let ready = Condition::NEW
            .after(Input::Connect, 2)
            .after(Input::Connected, 2);
        let growing = ready.after(Input::Crowded, 2);
        assert_eq!(growing.state(), State::Ready);
        assert_eq!(growing.after(Input::Lost, 2).state(), State::Connecting);
        let backing_off = growing.after(Input::Failed(refused()), 2);
        assert_eq!(backing_off.state(), State::Ready);
        assert_eq!(
            backing_off.after(Input::Lost, 2).state(),
            State::TransientFailure(refused())
        );
    }

    #[test]
    fn a105_a_lower_limit_closes_nothing_and_lets_nothing_grow() {
        let three = Condition {
            connections: 3,
            next: Attempt::Unwanted,
        };
        for max in [1, 2, 3] {
            assert_eq!(three.after(Input::Crowded, max), three);
        }
        assert_eq!(three.after(Input::Crowded, 4).next, Attempt::Underway);
    }

    #[test]
    fn every_input_is_in_the_picture() {
        let picture = include_str!("state.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"));
        let picture: String = picture.collect();
        for (name, _) in inputs() {
            assert!(picture.contains(name), "{name}");
        }
    }
}
