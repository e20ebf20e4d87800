//! One child policy per endpoint: what a policy with endpoints below it, a *petiole*, is made of
//! (gRFC A61).
//!
//! ```text
//!   resolver's order     [A]      [B]      [A]      [C]
//!                         │        │     duplicate    │
//!                       child    child              child      each with exactly its endpoint
//!                         │        │                  │
//!                       READY    IDLE              CONNECTING
//!                         │        └─► reconnected at once: counts as CONNECTING
//!                         ▼
//!                  aggregate: READY, pickers in the resolver's order
//! ```
//!
//! To see it run, read `tests/transcripts/round_robin/endpoints_change.txt`. Exercise: in the step with three
//! endpoints, why is there no `create` for `b:2`, and what would there be if `b:3` stood in its place?

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use highball_core::{Attributes, ConnectivityState, Endpoint, Rejected, StateCounts, Status};

use crate::pick_first::resolver_error;
use crate::round_robin::RoundRobinPicker;
use crate::{Child, Cx, Event, LbState, Picker, Policy, Update};

/// The children of a petiole: one policy `P` per endpoint.
///
/// Children follow the resolver's order. Endpoints are the same if the set of their addresses is: a child
/// lives as long as its endpoint is in the list, whatever its place. A child that becomes IDLE is told to
/// reconnect at once, and counts as CONNECTING. READY children are healthy ones where health checking is
/// configured.
///
/// Build the picker when [`take_changed`](Self::take_changed) says so: it does so once at the end of a
/// turn, however many children changed in it.
pub struct PerEndpoint<P> {
    /// In the resolver's order, without duplicates.
    children: Vec<Member<P>>,
    /// Where in `children` the child in a slot is, sorted by slot.
    by_slot: Vec<(u64, usize)>,
    /// What the resolver said last, if it failed when there were no children.
    resolver_error: Option<Status>,
    reconnects: bool,
    changed: bool,
    /// Whether [`Event::Settle`] has been asked for.
    settling: bool,
}

struct Member<P> {
    identity: Identity,
    /// A list of it alone, as the child gets it.
    endpoint: Arc<[Endpoint; 1]>,
    child: Child<P>,
}

/// An endpoint's identity as a key: its sorted addresses, separated by what no address contains.
type Identity = Box<str>;

/// The attribute by which a petiole asks its children to let READY mean healthy. Not nameable outside
/// this crate, so no resolver can set it.
#[derive(Debug, PartialEq)]
pub(crate) struct HealthWanted;

impl<P: Policy> PerEndpoint<P> {
    /// No children yet.
    pub fn new() -> Self {
        Self {
            children: Vec::new(),
            by_slot: Vec::new(),
            resolver_error: None,
            reconnects: true,
            changed: false,
            settling: false,
        }
    }

    /// Leaves children IDLE that become so, for policies that connect on demand.
    #[must_use]
    pub fn without_reconnect(mut self) -> Self {
        self.reconnects = false;
        self
    }

    /// Keeps the children whose endpoints remain, starts and drops the others, updates them all. Each
    /// child sees its own endpoint alone.
    ///
    /// The work starts at a random child, so that many clients do not all connect to the first endpoint
    /// first.
    ///
    /// # Errors
    ///
    /// There are no endpoints, or the first error of a child; the other children go on.
    pub fn update(&mut self, update: Update<P::Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.resolver_error = None;
        self.changed = true;
        let attributes = wanting_health(&update.attributes);
        let mut endpoints = unique(&update.endpoints);
        let mut old = self.take_by_identity();
        let mut slots: Vec<Option<Member<P>>> = endpoints.iter().map(|_| None).collect();
        let mut outcome = Ok(());
        let start = cx.rng().usize(..endpoints.len().max(1));
        for index in (start..endpoints.len()).chain(0..start) {
            let (identity, endpoint) = &mut endpoints[index];
            let endpoint = Arc::new([(*endpoint).clone()]);
            let mut member = match old.remove(identity) {
                Some(member) => Member { endpoint, ..member },
                None => Member {
                    identity: std::mem::take(identity),
                    endpoint,
                    child: Child::new(cx),
                },
            };
            let result = member.update(&attributes, &update.config, cx);
            outcome = outcome.and(result);
            self.reconnect(&mut member.child, cx);
            slots[index] = Some(member);
        }
        drop_in_order(old);
        self.install(slots);
        match self.children.is_empty() {
            true => Err(Rejected(self.no_children())),
            false => outcome,
        }
    }

    /// Delivers an event to the child it is for, or to all if it is for everyone. Gives back one that is
    /// the caller's own.
    pub fn deliver(&mut self, event: Event, cx: &mut Cx<'_>) -> Option<Event> {
        if cx.is_mine(&event) {
            return self.settle(event);
        }
        match cx.hop() {
            Some(slot) => {
                if let Some(index) = self.index_of(slot) {
                    self.deliver_to(index, event, cx);
                }
            }
            None => {
                if let (Event::ResolutionFailed(status), true) = (&event, self.children.is_empty())
                {
                    self.resolver_error = Some(resolver_error(status));
                    self.changed = true;
                }
                for index in 0..self.children.len() {
                    self.deliver_to(index, event.clone(), cx);
                }
            }
        }
        None
    }

    fn deliver_to(&mut self, index: usize, event: Event, cx: &mut Cx<'_>) {
        let child = &mut self.children[index].child;
        child.call(cx, |policy, cx| policy.event(event, cx));
        let reconnects = self.reconnects;
        reconnect_if_idle(child, reconnects, cx);
        if child.take_changed() && !std::mem::replace(&mut self.settling, true) {
            cx.settle_later();
        }
    }

    fn reconnect(&self, child: &mut Child<P>, cx: &mut Cx<'_>) {
        reconnect_if_idle(child, self.reconnects, cx);
        child.take_changed();
    }

    fn take_by_identity(&mut self) -> HashMap<Identity, Member<P>> {
        let members = std::mem::take(&mut self.children).into_iter();
        members
            .map(|member| (member.identity.clone(), member))
            .collect()
    }

    fn install(&mut self, children: Vec<Option<Member<P>>>) {
        self.children = Vec::with_capacity(children.len());
        self.children.extend(children.into_iter().flatten());
        let slots = self.children.iter().map(|member| member.child.slot());
        self.by_slot = slots.zip(0..).collect();
        self.by_slot.sort_unstable();
    }

    fn index_of(&self, slot: u64) -> Option<usize> {
        let found = self.by_slot.binary_search_by_key(&slot, |(slot, _)| *slot);
        found.ok().map(|at| self.by_slot[at].1)
    }
}

/// What became of the children.
impl<P> PerEndpoint<P> {
    /// Whether anything has changed since this was last asked: time to publish.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The children with their endpoints, in the resolver's order.
    pub fn children(&self) -> impl Iterator<Item = (&Endpoint, &LbState)> {
        self.children
            .iter()
            .map(|member| (&member.endpoint[0], member.child.state()))
    }

    /// The pickers of the children in `state`, in the resolver's order. IDLE children that reconnect by
    /// themselves count as CONNECTING.
    pub fn pickers_in(&self, state: ConnectivityState) -> Vec<Arc<dyn Picker>> {
        let in_state = |member: &&Member<P>| self.state_of(member) == state;
        let picker = |member: &Member<P>| member.child.state().picker.clone();
        // Exactly as many: a picker keeps them as they are.
        let mut pickers = Vec::with_capacity(self.children.iter().filter(in_state).count());
        pickers.extend(self.children.iter().filter(in_state).map(picker));
        pickers
    }

    /// The state of all children together: READY if any is, else CONNECTING, else IDLE, else
    /// TRANSIENT_FAILURE. The picker goes round the children in that state, from a random one on; with
    /// no children it fails with the reason.
    pub fn aggregate(&self, cx: &mut Cx<'_>) -> LbState {
        if self.children.is_empty() {
            return LbState::failing(self.no_children());
        }
        let counts: StateCounts = self.children.iter().map(|m| self.state_of(m)).collect();
        let state = counts.aggregate();
        let pickers = self.pickers_in(state);
        let start = cx.rng().usize(..pickers.len().max(1));
        LbState::new(state, RoundRobinPicker::new(pickers, start))
    }

    fn state_of(&self, member: &Member<P>) -> ConnectivityState {
        let state = member.child.state().connectivity;
        if self.reconnects && state == ConnectivityState::Idle {
            return ConnectivityState::Connecting;
        }
        state
    }

    fn no_children(&self) -> Status {
        let known = self.resolver_error.clone();
        known.unwrap_or_else(|| Status::unavailable("no children to pick from"))
    }

    fn settle(&mut self, event: Event) -> Option<Event> {
        if !matches!(event, Event::Settle) || !std::mem::take(&mut self.settling) {
            return Some(event);
        }
        self.changed = true;
        None
    }
}

impl<P: Policy> Member<P> {
    /// Sends the child a list of one.
    fn update(
        &mut self,
        attributes: &Attributes,
        config: &Arc<P::Config>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let update = Update {
            endpoints: self.endpoint.clone(),
            attributes: attributes.clone(),
            config: config.clone(),
        };
        self.child.update(update, cx)
    }
}

impl<P: Policy> Default for PerEndpoint<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: fmt::Debug> fmt::Debug for PerEndpoint<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.children.iter().map(|member| &member.child))
            .finish()
    }
}

fn reconnect_if_idle<P: Policy>(child: &mut Child<P>, reconnects: bool, cx: &mut Cx<'_>) {
    if reconnects && child.state().connectivity == ConnectivityState::Idle {
        child.call(cx, |policy, cx| policy.event(Event::ExitIdle, cx));
    }
}

/// With the wish for health; the same for all petioles whose resolver says nothing else.
fn wanting_health(attributes: &Attributes) -> Attributes {
    static ALONE: LazyLock<Attributes> = LazyLock::new(|| Attributes::default().with(HealthWanted));
    match attributes.is_empty() {
        true => ALONE.clone(),
        false => attributes.clone().with(HealthWanted),
    }
}

fn identity(endpoint: &Endpoint) -> Identity {
    match endpoint.addresses() {
        [alone] => alone.text().into(),
        _ => endpoint.identity().join("\0").into(),
    }
}

/// The endpoints without duplicates, with their identities.
fn unique(endpoints: &[Endpoint]) -> Vec<(Identity, &Endpoint)> {
    let with_identity = endpoints
        .iter()
        .map(|endpoint| (identity(endpoint), endpoint));
    if endpoints.len() == 1 {
        return with_identity.collect();
    }
    let mut seen = HashSet::new();
    with_identity
        .filter(|(identity, _): &(Identity, _)| seen.insert(identity.clone()))
        .collect()
}

/// Drops the children in the order in which they were made: a run looks the same every time.
fn drop_in_order<P>(children: HashMap<Identity, Member<P>>) {
    let mut children: Vec<_> = children.into_values().collect();
    children.sort_by_key(|member| member.child.slot());
}
