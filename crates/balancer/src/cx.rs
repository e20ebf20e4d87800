//! A policy's window on its channel.

use std::time::{Duration, Instant};

use highball_core::{Address, ConnectivityState};

use crate::host::Host;
use crate::{
    Command, Event, LbState, LoadWatch, Path, Picker, Subchannel, SubchannelId, Timer, Waker,
};

/// What a policy can do: it asks here, and what comes of it arrives as an [`Event`].
///
/// Nothing here blocks, and nothing calls back into the policy. A `Cx` is made for one call of one policy.
#[derive(Debug)]
pub struct Cx<'a> {
    host: &'a mut Host,
    place: Option<Place<'a>>,
    /// The slots still to follow to the policy that the event is for.
    route: &'a [u64],
    published: Option<LbState>,
}

/// One level of the path, without allocating: most calls ask for nothing that needs their path.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    slot: u64,
}

impl<'a> Cx<'a> {
    pub(crate) fn root(host: &'a mut Host, route: &'a [u64]) -> Self {
        Self {
            host,
            place: None,
            route,
            published: None,
        }
    }

    /// Tells the parent how this policy is and how to pick. The parent reads it when this call returns:
    /// the last publication of a call is the one that counts.
    pub fn publish(&mut self, state: ConnectivityState, picker: impl Picker) {
        self.publish_state(LbState::new(state, picker));
    }

    /// The same, with a state that is already put together.
    pub fn publish_state(&mut self, state: LbState) {
        self.published = Some(state);
    }

    /// Makes a subchannel, IDLE until it is told to connect.
    pub fn new_subchannel(&mut self, address: Address) -> Subchannel {
        let owner = self.path();
        self.host.create(owner, address)
    }

    /// Sets a timer. A policy has no clock: this is how it waits.
    pub fn set_timer(&mut self, after: Duration) -> Timer {
        let owner = self.path();
        self.host.set_timer(owner, after)
    }

    /// Wants to be told how loaded the server of a subchannel is, out of band (gRFC A51): whenever the
    /// subchannel is READY, once in `interval` or more often. A server may report less often than it is asked
    /// to, and 30 seconds are mostly the least it puts up with.
    ///
    /// The subchannel may belong to a policy below this one, and several policies may watch it: its server is
    /// asked once for all of them. The watch ends with the subchannel.
    pub fn watch_load(&mut self, id: SubchannelId, interval: Duration) -> LoadWatch {
        let owner = self.path();
        self.host.watch_load(owner, id, interval)
    }

    /// The addresses may be out of date. A hint: the resolver decides when.
    pub fn request_resolution(&mut self) {
        self.host.send(Command::Resolve);
    }

    /// A way back to this policy for its pickers and completion hooks.
    pub fn waker(&mut self) -> Waker {
        let owner = self.path();
        self.host.waker(owner)
    }

    /// The time of this turn. It does not move during the turn.
    pub fn now(&self) -> Instant {
        self.host.now.expect("a turn begins with its time")
    }

    /// Randomness: seeded in tests, so that runs repeat.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.host.rng
    }

    /// Where this policy is in the tree.
    pub fn path(&self) -> Path {
        let upwards = || std::iter::successors(self.place.as_ref(), |place| place.parent);
        Path::upwards(upwards().count(), upwards().map(|place| place.slot))
    }
}

/// For policies with children. The helpers [`PerEndpoint`](crate::PerEndpoint),
/// [`GracefulSwitch`](crate::GracefulSwitch) and [`Child`](crate::Child) are written with these.
impl Cx<'_> {
    /// A slot for a new child; no other child of this channel ever has the same.
    pub fn new_slot(&mut self) -> u64 {
        self.host.new_slot()
    }

    /// The window of the child in `slot`, for one call of it.
    pub fn child(&mut self, slot: u64) -> Cx<'_> {
        Cx {
            host: self.host,
            place: Some(Place {
                parent: self.place.as_ref(),
                slot,
            }),
            route: self.route.split_first().map_or(&[], |(_, rest)| rest),
            published: None,
        }
    }

    /// The child that the event is for; `None` if it is for this policy or for everyone.
    pub fn hop(&self) -> Option<u64> {
        self.route.first().copied()
    }

    /// Whether `event` is for this policy alone.
    pub fn is_mine(&self, event: &Event) -> bool {
        self.hop().is_none() && !event.is_for_everyone()
    }

    /// What has been published through this window.
    pub fn take_published(&mut self) -> Option<LbState> {
        self.published.take()
    }

    /// The subchannels that were made in this turn by this policy or below it.
    pub fn created(&self) -> Vec<SubchannelId> {
        let path = self.path();
        let below = |id: &&SubchannelId| {
            let owner = self.host.owner(**id);
            owner.is_some_and(|owner| owner.slots().starts_with(path.slots()))
        };
        self.host.created().iter().filter(below).copied().collect()
    }

    /// What a subchannel connects to; `None` if it was shut down before this turn.
    pub fn address_of(&self, id: SubchannelId) -> Option<&Address> {
        self.host.address(id)
    }

    /// The same window, with an event of one's own for the owner of a subchannel below: hand it and the
    /// event to the child helper. `None` if the subchannel was shut down or is not below.
    pub fn toward<R>(
        &mut self,
        id: SubchannelId,
        call: impl FnOnce(&mut Cx<'_>) -> R,
    ) -> Option<R> {
        let owner = self.host.owner(id)?.clone();
        let route = owner.slots().strip_prefix(self.path().slots())?;
        let mut cx = Cx {
            host: self.host,
            place: self.place,
            route,
            published: None,
        };
        let result = call(&mut cx);
        self.published = cx.published.or(self.published.take());
        Some(result)
    }

    /// Sends [`Event::Settle`] to this policy once the other events of the turn are delivered.
    pub(crate) fn settle_later(&mut self) {
        let path = self.path();
        self.host.settling.push(path);
    }
}
