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
//!
//! A client that does not acknowledge the settings of this side in 20 s is closed as well: what it may do
//! is not agreed on.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::keepalive::Vigil;
use crate::tap::Facts;

/// How long the client may take to acknowledge the first GOAWAY, as in grpc-go.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a close may take: for the last words to leave, and for the client's end to come.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the client may take to acknowledge the settings.
pub(super) const SETTINGS_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for the client to acknowledge the settings. Costs nothing once it has.
///
/// Nearly all do at once, and a timer is dear that is set and taken back in the first millisecond of each connection:
/// mostly it is the vigil's alarm that makes sure of a turn when the time is over.
#[derive(Debug)]
pub(super) struct SettingsAck(Option<Overdue>);

#[derive(Debug)]
enum Overdue {
    /// There is a turn then, or soon after.
    From(Instant),
    /// Nobody else sees to it.
    Timer(Pin<Box<Sleep>>),
}

impl SettingsAck {
    /// Due from now on, if there will be a turn then.
    pub(super) fn begin() -> Self {
        Self(Some(Overdue::From(Instant::now() + SETTINGS_TIMEOUT)))
    }

    /// With a timer, unless `vigil`, which began later, looks when that time is over.
    pub(super) fn watched_by(self, vigil: Option<&Vigil>) -> Self {
        match self.0 {
            Some(Overdue::From(by))
                if vigil.is_none_or(|vigil| vigil.time() < SETTINGS_TIMEOUT) =>
            {
                Self(Some(Overdue::Timer(Box::pin(sleep_until(by)))))
            }
            overdue => Self(overdue),
        }
    }

    /// Ready, once, when the client has not acknowledged in time.
    pub(super) fn poll_overdue(&mut self, facts: &Facts, cx: &mut Context<'_>) -> Poll<()> {
        let Some(overdue) = &mut self.0 else {
            return Poll::Pending;
        };
        if facts.settings_acked() > 0 {
            self.0 = None;
            return Poll::Pending;
        }
        match overdue {
            Overdue::From(by) if Instant::now() < *by => return Poll::Pending,
            Overdue::From(_) => {}
            Overdue::Timer(timer) => ready!(timer.as_mut().poll(cx)),
        }
        self.0 = None;
        Poll::Ready(())
    }
}

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

    /// Whether the client knows of the drain, or has been told from which stream on nothing is done. `own`
    /// are the GOAWAYs that announced it besides h2's.
    pub(super) fn is_told(&self, facts: &Facts, own: u32) -> bool {
        self.is_refusing() || facts.goaways_sent() > 1 + own
    }

    pub(super) fn is_refusing(&self) -> bool {
        matches!(self, Self::Refusing)
    }
}
