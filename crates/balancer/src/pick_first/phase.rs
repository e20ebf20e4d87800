//! The phases of pick_first, with what each of them owns.

use std::fmt;
use std::time::Instant;

use highball_core::{ConnectivityState, Status};

use crate::Timer;

/// What pick_first is doing; each phase owns what only it needs.
#[derive(Debug)]
pub(super) enum Phase {
    /// There is no address to try.
    Empty,
    /// There are addresses; nobody wants a connection.
    Idle,
    FirstPass(Pass),
    /// Failures since the end of the pass.
    Failing {
        failures: usize,
    },
    Connected(Connection),
}

/// One way through the list.
pub(super) struct Pass {
    /// The address tried last; the length of the list when all have been.
    pub(super) index: usize,
    /// Runs while there is a next address to try.
    pub(super) stagger: Option<Timer>,
    /// Whether it runs behind a TRANSIENT_FAILURE that only READY ends.
    pub(super) sticky: bool,
    pub(super) last_error: Option<Status>,
    pub(super) started: Instant,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) index: usize,
    /// The health that was reported last; `None` if it is not asked for.
    pub(super) health: Option<ConnectivityState>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sticky = if self.sticky { ", sticky" } else { "" };
        write!(f, "at {}{sticky}", self.index)
    }
}
