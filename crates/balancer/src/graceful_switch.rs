//! Replaces one policy by another without a gap.
//!
//! ```text
//!            another policy is chosen            pending leaves CONNECTING,
//!                                               or current is not READY
//!   current ─────────────────────────► current ───────────────────────────► current (was pending)
//!                                      pending                               the old one is dropped
//! ```
//!
//! Every row of that decision has a transcript in `tests/transcripts/graceful_switch`.

use std::fmt;
use std::sync::Arc;

use highball_core::{Attributes, ConnectivityState, Endpoint, Rejected};
use tracing::debug;

use crate::policy::AnyPolicy;
use crate::{Child, Choice, Cx, Event, LbState, Update};

/// Runs the policy that was chosen last, once it is fit to take over; until then the one before it.
///
/// The newest policy is *current* if there is no other, else *pending*. Updates and events for everyone
/// go to the newest alone. The pending one takes over as soon as it is anything but CONNECTING, failure
/// included, or as soon as the current one is not READY: then waiting would help nobody.
#[derive(Default)]
pub struct GracefulSwitch {
    current: Option<Running>,
    /// Boxed: there is seldom one.
    pending: Option<Box<Running>>,
    /// What is in force, and whether the owner has seen it.
    state: Option<LbState>,
    changed: bool,
}

/// A policy that runs, with the choice it came from.
struct Running {
    choice: Choice,
    child: Child<Box<dyn AnyPolicy>>,
}

impl GracefulSwitch {
    /// No policy yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands endpoints and config to the chosen policy; starts it if another one was chosen last.
    ///
    /// # Errors
    ///
    /// Those of the policy.
    pub fn update(
        &mut self,
        choice: &Choice,
        endpoints: Arc<[Endpoint]>,
        attributes: Attributes,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let newest = self.pending.as_deref().or(self.current.as_ref());
        if !newest.is_some_and(|newest| newest.choice.is_same_policy(choice)) {
            self.start(choice, cx);
        }
        let newest = self.newest().expect("one was started if there was none");
        newest.choice = choice.clone();
        let update = Update {
            endpoints,
            attributes,
            config: choice.config(),
        };
        let result = newest
            .child
            .call(cx, |policy, cx| policy.update(update, cx));
        self.decide();
        result
    }

    /// Delivers an event to the policy it is for. Gives back one that is the caller's own.
    ///
    /// A failed resolution before there is any policy makes a state of its own: calls fail with that
    /// status as it is.
    pub fn deliver(&mut self, event: Event, cx: &mut Cx<'_>) -> Option<Event> {
        if cx.is_mine(&event) {
            return Some(event);
        }
        let has_policy = self.current.is_some();
        let target = match cx.hop() {
            None => self.newest(),
            Some(slot) => [self.current.as_mut(), self.pending.as_deref_mut()]
                .into_iter()
                .flatten()
                .find(|running| running.child.slot() == slot),
        };
        match (target, event) {
            (Some(target), event) => {
                target.child.call(cx, |policy, cx| policy.event(event, cx));
                self.decide();
            }
            (None, Event::ResolutionFailed(status)) if !has_policy => {
                self.put_in_force(LbState::failing(status));
            }
            (None, _) => {}
        }
        None
    }

    /// What is in force; `None` until there is a first state.
    pub fn state(&self) -> Option<&LbState> {
        self.state.as_ref()
    }

    /// Whether something was put in force since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn newest(&mut self) -> Option<&mut Running> {
        self.pending.as_deref_mut().or(self.current.as_mut())
    }

    /// Starts the chosen policy: as current if it is the first, else as pending in the place of the
    /// pending one before it.
    fn start(&mut self, choice: &Choice, cx: &mut Cx<'_>) {
        debug!(target: "balancer", path = %cx.path(), policy = choice.name(), "policy starts");
        self.pending = None;
        let started = Running {
            choice: choice.clone(),
            child: Child::build(choice.name(), cx, |cx| choice.build(cx)),
        };
        match self.current {
            None => self.current = Some(started),
            Some(_) => self.pending = Some(Box::new(started)),
        }
    }

    /// Looks at what the last call published: what is in force now?
    fn decide(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        let current_spoke = current.child.take_changed();
        let current_is_ready = current.is(ConnectivityState::Ready);
        if let Some(pending) = &mut self.pending {
            let pending_spoke = pending.child.take_changed();
            let pending_is_fit = !pending.is(ConnectivityState::Connecting);
            let nothing_to_lose = (current_spoke || pending_spoke) && !current_is_ready;
            if nothing_to_lose || (pending_spoke && pending_is_fit) {
                return self.swap();
            }
        }
        if current_spoke && let Some(current) = &self.current {
            self.put_in_force(current.child.state().clone());
        }
    }

    /// The pending policy takes over; the old one goes, with all its subchannels.
    fn swap(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.put_in_force(pending.child.state().clone());
            self.current = Some(*pending);
        }
    }

    fn put_in_force(&mut self, state: LbState) {
        self.state = Some(state);
        self.changed = true;
    }
}

impl Running {
    fn is(&self, state: ConnectivityState) -> bool {
        self.child.state().connectivity == state
    }
}

impl fmt::Debug for GracefulSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("GracefulSwitch");
        let running = [
            ("current", self.current.as_ref()),
            ("pending", self.pending.as_deref()),
        ];
        for (role, running) in running {
            if let Some(running) = running {
                out.field(role, &running.child);
            }
        }
        out.finish()
    }
}
