//! What a policy hears.

use std::fmt;
use std::sync::Arc;

use highball_core::{ConnectivityState, LoadReport, Status};

use crate::{LoadWatchId, SubchannelId, TimerId};

/// Something that happened outside the policy.
///
/// A policy with children hands every event to its child helper first; what comes back is its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The resolver failed. What it resolved before still holds. For everyone in the subtree.
    ResolutionFailed(Status),
    /// Someone wants a connection: leave IDLE. For everyone in the subtree.
    ExitIdle,
    /// A subchannel changed its state. For its owner.
    Subchannel {
        /// Which one.
        id: SubchannelId,
        /// What it is in now.
        state: SubchannelState,
    },
    /// A READY subchannel changed its health. For its owner, and only after
    /// [`watch_health`](crate::Subchannel::watch_health).
    Health {
        /// Which one.
        id: SubchannelId,
        /// How it is now.
        state: HealthState,
    },
    /// A server has said how loaded it is, out of band (gRFC A51). For the policy that wants to know, and only
    /// after [`Cx::watch_load`](crate::Cx::watch_load).
    Load {
        /// The server of which subchannel.
        id: SubchannelId,
        /// Which watch over it.
        watch: LoadWatchId,
        /// What it said.
        report: Arc<LoadReport>,
    },
    /// A timer is over. For its owner.
    Timer(TimerId),
    /// One of this policy's [`Waker`](crate::Waker)s was used. For that policy.
    Woken,
    /// Every other event of this turn has been delivered: publish what was put off. For the policy that
    /// put it off; only [`PerEndpoint`](crate::PerEndpoint) does, so that a thousand endpoints turning
    /// READY in one turn cost one picker.
    Settle,
}

impl Event {
    /// Whether a policy passes this on to all of its children.
    pub fn is_for_everyone(&self) -> bool {
        matches!(self, Self::ResolutionFailed(_) | Self::ExitIdle)
    }
}

/// The state of a subchannel, with the reason where there is one.
#[derive(Clone, Debug, PartialEq)]
pub enum SubchannelState {
    /// Not connected: new, back from backoff, or it lost its connection.
    Idle,
    /// Connecting.
    Connecting,
    /// Connected: the peer's SETTINGS have been read. IDLE follows when the connection is lost; where there were several
    /// (gRFC A105), an attempt at another one may be under way, or have failed: then CONNECTING or TRANSIENT_FAILURE.
    Ready,
    /// The last attempt failed, for this reason; backoff runs, then it is IDLE.
    TransientFailure(Status),
}

impl SubchannelState {
    /// The bare state.
    pub fn connectivity(&self) -> ConnectivityState {
        match self {
            Self::Idle => ConnectivityState::Idle,
            Self::Connecting => ConnectivityState::Connecting,
            Self::Ready => ConnectivityState::Ready,
            Self::TransientFailure(_) => ConnectivityState::TransientFailure,
        }
    }
}

/// What a health check says about a subchannel that is READY (gRFC A17).
#[derive(Clone, Debug, PartialEq)]
pub enum HealthState {
    /// Not known yet.
    Connecting,
    /// It serves.
    Ready,
    /// It does not serve, for this reason.
    TransientFailure(Status),
}

impl fmt::Display for SubchannelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connectivity().fmt(f)?;
        match self {
            Self::TransientFailure(status) => write!(f, " ({status})"),
            Self::Idle | Self::Connecting | Self::Ready => Ok(()),
        }
    }
}
