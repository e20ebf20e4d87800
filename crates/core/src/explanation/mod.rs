//! Why a call failed, beyond its status: where its time went, whom it tried, and what held for it.
//!
//! ```text
//!   interceptor                                                          around the call, if there are any
//!   resolve ─► pick ─► credentials ─► stream slot ─► send ─► server      phases of an attempt
//!                ▲                                              │
//!                └────────────────── backoff ◄──────────────────┘        another attempt
//! ```

mod attempt;
mod config;
mod phase;
mod report;
mod subchannel;

use std::borrow::Cow;
use std::time::Duration;

pub use attempt::{Attempt, Seen};
pub use config::{Attempts, InForce};
pub use phase::{Phase, Spent};
pub use subchannel::Subchannel;

/// What a failed call has been through. A channel attaches one to the status of each call that fails:
/// [`Status::explanation`](crate::Status::explanation).
///
/// `{}` says it in one line, `{:#}` in a page, and the fields say it to programs. Its texts may change at any
/// time. What is not known is said to be unknown, never guessed.
///
/// ```
/// use std::time::Duration;
/// use highball_core::explanation::{Explanation, Phase, Spent};
///
/// let mut why = Explanation::new("/echo.Echo/Say", "dns:///a", Duration::from_secs(1), Phase::Pick);
/// why.set(Phase::Resolve, Spent::For(Duration::from_millis(20)));
/// why.set(Phase::Pick, Spent::For(Duration::from_millis(980)));
/// assert_eq!(
///     why.to_string(),
///     "ended after 1000 ms while waiting for a connection: resolve 20 ms, pick 980 ms; no server was tried"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The full name of the method, `/package.Service/Method`.
    pub method: Cow<'static, str>,
    /// The target of the channel.
    pub target: String,
    /// From the beginning of the call to its status.
    pub took: Duration,
    /// What the call was about when it ended.
    pub ended_in: Phase,
    /// By phase.
    spent: [Spent; Phase::ALL.len()],
    /// The attempts that failed, in the order in which they did; the last one gave the call its status.
    pub attempts: Vec<Attempt>,
    /// How many attempts came before those in `attempts`, which are not told about one by one.
    pub earlier_attempts: usize,
    /// The subchannels that the channel had when the call ended.
    pub subchannels: Vec<Subchannel>,
    /// How many more there were, which are not told about one by one.
    pub more_subchannels: usize,
    /// What held for the call. `None`: that is unknown, for no resolution had come, or it was an interceptor that
    /// ended the call.
    pub config: Option<InForce>,
}

impl Explanation {
    /// A call that has reached no phase, tried nobody, and of which nothing else is known.
    pub fn new(
        method: impl Into<Cow<'static, str>>,
        target: impl Into<String>,
        took: Duration,
        ended_in: Phase,
    ) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            took,
            ended_in,
            spent: [Spent::NotReached; Phase::ALL.len()],
            attempts: Vec::new(),
            earlier_attempts: 0,
            subchannels: Vec::new(),
            more_subchannels: 0,
            config: None,
        }
    }

    /// How long the call spent in a phase, over all its attempts.
    pub fn spent(&self, phase: Phase) -> Spent {
        self.spent[phase as usize]
    }

    /// Sets how long the call spent in a phase.
    pub fn set(&mut self, phase: Phase, spent: Spent) {
        self.spent[phase as usize] = spent;
    }

    /// The phases that the call has reached, in order, with how long it spent in each.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, Spent)> + '_ {
        let all = Phase::ALL.into_iter();
        all.map(|phase| (phase, self.spent(phase)))
            .filter(|(_, spent)| *spent != Spent::NotReached)
    }
}
