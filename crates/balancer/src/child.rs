//! One child policy: where it is, what it is, and what it published last.

use std::fmt;

use highball_core::Rejected;
use tracing::debug;

use crate::{Cx, Event, LbState, Policy, Update};

/// A child policy with the state it published last.
///
/// A parent calls it and then looks at [`take_changed`](Self::take_changed): calls go down, values come
/// up. Dropping it drops all that the child owns. Until the child publishes, its state is CONNECTING.
pub struct Child<P> {
    slot: u64,
    name: &'static str,
    state: LbState,
    changed: bool,
    policy: P,
}

impl<P: Policy> Child<P> {
    /// Starts a child.
    pub fn new(cx: &mut Cx<'_>) -> Self {
        Self::build(P::NAME, cx, P::new)
    }

    /// Hands the child other endpoints or another config.
    ///
    /// # Errors
    ///
    /// Those of the child.
    pub fn update(&mut self, update: Update<P::Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.call(cx, |policy, cx| policy.update(update, cx))
    }

    /// Delivers an event that is for the child, for someone below it, or for everyone. Gives back one
    /// that is the caller's own.
    pub fn deliver(&mut self, event: Event, cx: &mut Cx<'_>) -> Option<Event> {
        if cx.is_mine(&event) {
            return Some(event);
        }
        if cx.hop().is_none_or(|slot| slot == self.slot) {
            self.call(cx, |policy, cx| policy.event(event, cx));
        }
        None
    }
}

impl<P> Child<P> {
    pub(crate) fn build(
        name: &'static str,
        cx: &mut Cx<'_>,
        new: impl FnOnce(&mut Cx<'_>) -> P,
    ) -> Self {
        let slot = cx.new_slot();
        let mut child_cx = cx.child(slot);
        let policy = new(&mut child_cx);
        let published = child_cx.take_published();
        Self {
            slot,
            name,
            changed: published.is_some(),
            state: published.unwrap_or_else(LbState::connecting),
            policy,
        }
    }

    /// Calls the child, then reads what it published.
    pub(crate) fn call<R>(
        &mut self,
        cx: &mut Cx<'_>,
        call: impl FnOnce(&mut P, &mut Cx<'_>) -> R,
    ) -> R {
        let mut child_cx = cx.child(self.slot);
        let result = call(&mut self.policy, &mut child_cx);
        if let Some(state) = child_cx.take_published() {
            debug!(
                target: "balancer",
                path = %child_cx.path(),
                policy = self.name,
                old = %self.state.connectivity,
                new = %state.connectivity,
                picker = ?state.picker,
                "published"
            );
            self.state = state;
            self.changed = true;
        }
        result
    }

    /// Its slot in the parent's path.
    pub fn slot(&self) -> u64 {
        self.slot
    }

    /// What it published last.
    pub fn state(&self) -> &LbState {
        &self.state
    }

    /// Whether it has published since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl<P: fmt::Debug> fmt::Debug for Child<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} ", self.slot, self.state.connectivity)?;
        self.policy.fmt(f)
    }
}
