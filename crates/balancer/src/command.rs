//! Everything a policy can ask for, as data: what the driver applies and a transcript prints.

use std::fmt;
use std::time::Duration;

use highball_core::Address;

use crate::Path;

/// Names one subchannel of a channel; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubchannelId(pub u64);

/// Names one timer of a channel; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(pub u64);

/// Names one watch over the load of a server; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoadWatchId(pub u64);

/// One thing that a policy asked for during a turn.
///
/// Ids are made by the [`Tree`](crate::Tree), so a command needs no answer: what comes of it arrives as
/// an [`Event`](crate::Event) for its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make a subchannel, IDLE, for this one address.
    Create {
        /// What to call it.
        id: SubchannelId,
        /// Whom to tell of its state.
        owner: Path,
        /// What it connects to.
        address: Address,
    },
    /// Connect if IDLE; in any other state nothing happens.
    Connect(SubchannelId),
    /// Nobody uses this subchannel any more: no new calls, and it closes when the last one ends.
    Shutdown(SubchannelId),
    /// Send [`Event::Timer`](crate::Event::Timer) once, when `after` has passed.
    SetTimer {
        /// What to call it.
        id: TimerId,
        /// Whom to tell when it is over.
        owner: Path,
        /// How long to wait.
        after: Duration,
    },
    /// Forget a timer that has not fired.
    CancelTimer(TimerId),
    /// Report the health of this subchannel for as long as it stays READY (gRFC A17). Where health
    /// checking is not configured, that is READY once.
    WatchHealth(SubchannelId),
    /// Stop reporting its health.
    UnwatchHealth(SubchannelId),
    /// Report the load of this subchannel's server whenever it is READY, once in `interval` or more often
    /// (gRFC A51): [`Event::Load`](crate::Event::Load).
    WatchLoad {
        /// What to call it.
        id: LoadWatchId,
        /// Whom to tell.
        owner: Path,
        /// Whose load.
        subchannel: SubchannelId,
        /// How long to wait from one report to the next.
        interval: Duration,
    },
    /// Stop reporting the load.
    UnwatchLoad {
        /// Which watch.
        id: LoadWatchId,
        /// Whose load it is over.
        subchannel: SubchannelId,
    },
    /// The addresses may be out of date: resolve again.
    Resolve,
}

impl fmt::Display for SubchannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
