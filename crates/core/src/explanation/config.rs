//! What held for a call: its options, its method's config and its channel's defaults, put together.

use std::fmt;
use std::time::Duration;

use super::phase::Readable;

/// What held for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InForce {
    /// The balancing policy, by name. `None`: the channel had none when the call ended.
    pub policy: Option<&'static str>,
    /// The longest the call could take; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Whether it waited for a connection rather than fail.
    pub wait_for_ready: bool,
    /// How many attempts it could have.
    pub attempts: Attempts,
}

/// How many attempts there could be at a call (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempts {
    /// No more than one that a server may have worked on.
    One,
    /// Up to so many, each when the one before has failed.
    Retried(u32),
    /// Up to so many, without waiting for the first to fail.
    Hedged(u32),
}

impl InForce {
    /// What holds if nobody says anything.
    pub fn new(policy: Option<&'static str>) -> Self {
        Self {
            policy,
            timeout: None,
            wait_for_ready: false,
            attempts: Attempts::One,
        }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy.unwrap_or("no balancing policy"))?;
        match self.timeout {
            Some(timeout) => write!(f, ", time-out {}", Readable(timeout))?,
            None => f.write_str(", no time-out")?,
        }
        f.write_str(match self.wait_for_ready {
            true => ", waits for ready",
            false => ", fails fast",
        })?;
        match self.attempts {
            Attempts::One => f.write_str(", one attempt"),
            Attempts::Retried(most) => write!(f, ", retried up to {most} attempts"),
            Attempts::Hedged(most) => write!(f, ", hedged up to {most} attempts"),
        }
    }
}
