//! The five connectivity states, and how a parent's state follows from its children's.

use std::fmt;

/// Whether something that connects (a channel, a subchannel, a policy) can carry calls.
///
/// Follows [connectivity-semantics-and-api.md](https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectivityState {
    /// Not connected and not trying to be: a call or an explicit request wakes it.
    Idle,
    /// Trying to connect: calls wait.
    Connecting,
    /// Connected: calls go through.
    Ready,
    /// Failed, waiting out a backoff: calls fail unless they wait for ready.
    TransientFailure,
    /// Closed for good.
    Shutdown,
}

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        })
    }
}

/// How many children are in each state, and what that makes of their parent.
///
/// READY if any is READY, else CONNECTING if any is, else IDLE if any is, else TRANSIENT_FAILURE, also
/// when there are none. Children in SHUTDOWN are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([usize; 4]);

impl StateCounts {
    /// Counts one child that moved from `old` (`None`: it is new) to `new`.
    pub fn record(&mut self, old: Option<ConnectivityState>, new: ConnectivityState) {
        if let Some(count) = old.and_then(|old| self.0.get_mut(old as usize)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.0.get_mut(new as usize) {
            *count += 1;
        }
    }

    /// The parent's state.
    pub fn aggregate(&self) -> ConnectivityState {
        use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
        [Ready, Connecting, Idle]
            .into_iter()
            .find(|state| self.0[*state as usize] > 0)
            .unwrap_or(TransientFailure)
    }
}

impl FromIterator<ConnectivityState> for StateCounts {
    fn from_iter<I: IntoIterator<Item = ConnectivityState>>(states: I) -> Self {
        let mut counts = Self::default();
        states
            .into_iter()
            .for_each(|state| counts.record(None, state));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectivityState::{self, Connecting, Idle, Ready, Shutdown, TransientFailure};
    use super::*;

    fn aggregate(states: &[ConnectivityState]) -> ConnectivityState {
        states.iter().copied().collect::<StateCounts>().aggregate()
    }

    #[test]
    fn precedence_is_ready_connecting_idle_failure() {
        assert_eq!(
            aggregate(&[TransientFailure, Idle, Connecting, Ready]),
            Ready
        );
        assert_eq!(aggregate(&[TransientFailure, Idle, Connecting]), Connecting);
        assert_eq!(aggregate(&[TransientFailure, Idle]), Idle);
        assert_eq!(
            aggregate(&[TransientFailure, TransientFailure]),
            TransientFailure
        );
    }

    #[test]
    fn no_members_and_shutdown_members_are_a_failure() {
        assert_eq!(aggregate(&[]), TransientFailure);
        assert_eq!(aggregate(&[Shutdown, Shutdown]), TransientFailure);
        assert_eq!(aggregate(&[Shutdown, Idle]), Idle);
    }

    #[test]
    fn a_single_member_sets_the_state_through_every_transition() {
        let mut counts = StateCounts::default();
        let mut old = None;
        for new in [
            Idle,
            Connecting,
            TransientFailure,
            TransientFailure,
            Idle,
            Connecting,
            Ready,
        ] {
            counts.record(old, new);
            assert_eq!(counts.aggregate(), new);
            old = Some(new);
        }
        counts.record(old, Shutdown);
        assert_eq!(counts, StateCounts::default());
    }
}
