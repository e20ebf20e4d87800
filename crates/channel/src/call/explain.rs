//! The status of a call that failed learns how it came to that.

use bytes::Bytes;
use highball_core::Status;
use highball_core::explanation::{Attempts as Limit, Explanation, InForce, Phase};
use prost::Message;

use super::{Attempts, Call, Journal};
use crate::picker_slot::Generation;

/// How many subchannels are told about one by one.
const MOST_SUBCHANNELS: usize = 16;

impl Call {
    /// The status that the call ends with, explained.
    #[cold]
    pub(super) fn explained(&self, status: Status, journal: &mut Journal) -> Status {
        let (method, target) = (self.method.path(), self.channel.target());
        let mut why = journal.explain(self.deadline, method, target);
        self.look_around(&mut why);
        status.with_explanation(why)
    }

    /// The message in its frame, unless it is too large.
    pub(super) fn framed(
        &self,
        message: &impl Message,
        journal: &mut Journal,
    ) -> Result<Bytes, Status> {
        let framed = self.framing.encode(message);
        framed.map_err(|status| {
            journal.enter(Phase::Send);
            self.explained(status, journal)
        })
    }

    /// Adds what calls can see of the control plane.
    fn look_around(&self, why: &mut Explanation) {
        let generation = self.channel.slot().load();
        look_at(&generation, why);
        let policy = generation.methods.as_ref().and_then(|it| it.policy());
        why.config = Some(self.in_force(policy));
    }

    fn in_force(&self, policy: Option<&'static str>) -> InForce {
        let most = |of_policy: u32| of_policy.min(self.channel.max_attempts());
        let mut config = InForce::new(policy);
        config.timeout = self.deadline.timeout();
        config.wait_for_ready = self.wait_for_ready;
        config.attempts = match &self.attempts {
            Attempts::One => Limit::One,
            Attempts::Retried(policy) => Limit::Retried(most(policy.max_attempts)),
            Attempts::Hedged(policy) => Limit::Hedged(most(policy.max_attempts)),
        };
        config
    }
}

/// Adds the subchannels that there are.
pub(super) fn look_at(generation: &Generation, why: &mut Explanation) {
    let links = generation.links.all();
    let told = links.iter().take(MOST_SUBCHANNELS);
    why.subchannels = told.map(|(_, link)| link.explain()).collect();
    why.more_subchannels = links.len() - why.subchannels.len();
}
