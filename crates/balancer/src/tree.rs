//! The root of the policies, as the driver of a channel holds it.

use std::sync::Arc;
use std::time::Instant;

use highball_core::{Attributes, Endpoint, Rejected};

use crate::host::Host;
use crate::{Choice, Command, Cx, Event, GracefulSwitch, LbState, Path, SubchannelId, Wake};

/// All policies of a channel: the chosen one on top, its children below.
///
/// One turn of the driver is any number of [`update`](Self::update)s and [`event`](Self::event)s, then
/// [`take_published`](Self::take_published), then [`take_commands`](Self::take_commands). Nothing here
/// blocks. What a policy has let go of is filtered out here: a policy never hears of a subchannel or a
/// timer that it dropped.
///
/// A policy that panics leaves a tree that may be dropped but not used.
#[derive(Debug)]
pub struct Tree {
    switch: GracefulSwitch,
    host: Host,
}

impl Tree {
    /// A tree without a policy. Randomness comes from `seed`; `wake` is told when a picker or a hook
    /// wakes its policy.
    pub fn new(seed: u64, wake: Arc<dyn Wake>) -> Self {
        Self {
            switch: GracefulSwitch::new(),
            host: Host::new(seed, wake),
        }
    }

    /// Hands endpoints to the chosen policy, which is switched to without a gap if it is another one.
    ///
    /// # Errors
    ///
    /// The policy cannot use these endpoints: the resolver should back off and try again.
    pub fn update(
        &mut self,
        now: Instant,
        choice: &Choice,
        endpoints: Arc<[Endpoint]>,
        attributes: Attributes,
    ) -> Result<(), Rejected> {
        self.host.begin_turn(now);
        let mut cx = Cx::root(&mut self.host, &[]);
        let result = self.switch.update(choice, endpoints, attributes, &mut cx);
        self.host.collect();
        result
    }

    /// Delivers an event to the policy at `to`, as its command named it; at the root, to everyone.
    pub fn event(&mut self, now: Instant, to: &Path, event: Event) {
        self.host.begin_turn(now);
        if self.is_heard(to, &event) {
            self.route(to, event);
        }
    }

    /// What the root published since this was last asked. To be called once all events of a turn are in:
    /// it lets policies build what they put off until then.
    pub fn take_published(&mut self) -> Option<LbState> {
        while let Some(path) = self.host.settling.pop() {
            self.route(&path, Event::Settle);
        }
        self.host.settling = Vec::new();
        let changed = self.switch.take_changed();
        self.switch.state().filter(|_| changed).cloned()
    }

    /// What the policies asked for since this was last asked, in order. To be called last in a turn.
    pub fn take_commands(&mut self) -> Vec<Command> {
        self.host.take_commands()
    }

    /// The subchannels whose health some policy watches, in the order in which they were made.
    pub fn health_watched(&self) -> Vec<SubchannelId> {
        self.host.health_watched()
    }

    /// Every policy with its children, states and addresses, for people to read.
    pub fn dump(&self) -> String {
        format!("{:#?}", self.switch)
    }

    fn route(&mut self, to: &Path, event: Event) {
        let mut cx = Cx::root(&mut self.host, to.slots());
        self.switch.deliver(event, &mut cx);
        self.host.collect();
    }

    /// Whether what the event is about is still held.
    fn is_heard(&mut self, to: &Path, event: &Event) -> bool {
        match event {
            Event::Subchannel { id, .. } => {
                self.host.stop_watching_health(*id);
                self.host.is_live(*id)
            }
            Event::Health { id, .. } => self.host.watches_health(*id),
            Event::Load { id, watch, .. } => self.host.watches_load(*id, *watch),
            Event::Timer(id) => self.host.fire(*id),
            Event::Woken => {
                self.host.rearm(to);
                true
            }
            Event::ResolutionFailed(_) | Event::ExitIdle | Event::Settle => true,
        }
    }
}
