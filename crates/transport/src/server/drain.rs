//! How a connection ends from this side.
//!
//! ```text
//!   Open ── drain ──► Announced: GOAWAY(2^31-1) and PING are sent; on the ack h2 sends
//!    │                   │       GOAWAY(last stream), ignores later ones, closes after the last
//!    │                   │
//!    │                   ├─ 5 s, acked ──► Acknowledged: nothing is to do
//!    │                   ├─ 5 s, no ack ─► Refusing: GOAWAY(last stream) is sent, later streams are
//!    │                   │                 refused; closes after the last
//!    └──── close ────────┴──► Closing: GOAWAY is sent, all streams are cut; over after 2 s
//! ```

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// How long the client may take to acknowledge the first GOAWAY, as in grpc-go.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a close may take: for the last words to leave, and for the client's end to come.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a connection is on its way out.
#[derive(Debug)]
pub(super) enum Drain {
    Open,
    Announced(Pin<Box<Sleep>>),
    Acknowledged,
    Refusing,
    Closing(Pin<Box<Sleep>>),
}

/// What is to do because time has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The client should have acknowledged the first GOAWAY.
    Acknowledgement,
    /// Closing has taken too long.
    Abandon,
}

impl Drain {
    /// Says whether the drain begins, rather than goes on.
    pub(super) fn begin(&mut self) -> bool {
        let begins = matches!(self, Self::Open);
        if begins {
            *self = Self::Announced(Box::pin(tokio::time::sleep(ACK_TIMEOUT)));
        }
        begins
    }

    /// Says whether the close begins, rather than goes on.
    pub(super) fn close(&mut self) -> bool {
        let begins = !matches!(self, Self::Closing(_));
        if begins {
            *self = Self::Closing(Box::pin(tokio::time::sleep(CLOSE_TIMEOUT)));
        }
        begins
    }

    /// What is due; wakes the task when something will be.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        match self {
            Self::Announced(timer) => timer.as_mut().poll(cx).map(|()| Due::Acknowledgement),
            Self::Closing(timer) => timer.as_mut().poll(cx).map(|()| Due::Abandon),
            Self::Open | Self::Acknowledged | Self::Refusing => Poll::Pending,
        }
    }

    pub(super) fn is_refusing(&self) -> bool {
        matches!(self, Self::Refusing)
    }
}
