//! Idle or active: an idle channel owns nothing but its setup.

use highball_core::Letterbox;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use highball_balancer::TimerId;
use highball_resolver::{ResolverFactory, ResolverOptions, Target};
use tokio::time::Instant;

use super::resolving::Resolving;
use super::turn::Active;
use super::{Configs, Message, Period, States, closing};
use crate::call_credentials::AnyCallCredentials;
use crate::picker_slot::Generation;

/// With none at all, a driver that looks whether its channel is unused would do nothing else.
const LEAST_IDLE_TIMEOUT: Duration = Duration::from_millis(1);

/// What a channel is made from.
pub(crate) struct Setup {
    pub(crate) target: Target,
    pub(crate) factory: Arc<dyn ResolverFactory>,
    pub(crate) resolver_options: ResolverOptions,
    pub(crate) subchannels: Arc<highball_subchannel::Options>,
    /// For the calls that the channel makes itself.
    pub(crate) call_credentials: Vec<AnyCallCredentials>,
    pub(crate) configs: Configs,
    pub(crate) idle_timeout: Option<Duration>,
    /// Makes shuffles, rotations and jitter repeatable.
    pub(crate) seed: u64,
    /// The driver's own inbox, for reports and wake-ups.
    pub(crate) messages: Letterbox<Message>,
}

/// The channel's mode. Leaving idle mode builds everything anew; entering it drops everything.
pub(crate) struct Mode {
    setup: Setup,
    period: Period,
    active: Option<Active>,
}

impl Mode {
    pub(crate) fn idle(setup: Setup) -> Self {
        Self {
            setup,
            period: 0,
            active: None,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    pub(crate) fn leave_idle(&mut self) {
        self.period += 1;
        self.active = Some(Active::new(&self.setup, self.period));
    }

    /// How long the channel goes unused before it is idle; `None`: for ever.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        let timeout = self.setup.idle_timeout;
        timeout.map(|timeout| timeout.max(LEAST_IDLE_TIMEOUT))
    }

    pub(crate) fn enter_idle(&mut self, states: &States) {
        let Some(active) = self.active.take() else {
            return;
        };
        states.shared.slot.publish(Generation::unresolved());
        // Connections without streams close at once. A call that began at this very moment may have
        // picked one by the generation before: it ends where it is.
        drop(active);
    }

    pub(crate) fn close(&mut self) -> impl Future<Output = ()> + use<> {
        let active = self.active.take();
        let closed = active.map(|mut active| active.subchannels.close(&closing()));
        async move {
            if let Some(closed) = closed {
                closed.await;
            }
        }
    }

    /// Takes a message in. One that is meant for an earlier period is dropped.
    pub(crate) fn think(&mut self, message: Message) {
        let Some(active) = &mut self.active else {
            return;
        };
        match message {
            Message::Subchannel { period, .. }
            | Message::Health { period, .. }
            | Message::Load { period, .. }
            | Message::Wake { period, .. }
                if period != self.period => {}
            message => active.think(message, &mut self.setup.configs),
        }
    }

    pub(crate) fn apply(&mut self, states: &mut States) {
        if let Some(active) = &mut self.active {
            active.apply(states);
        }
    }

    pub(crate) fn dump(&self) -> String {
        self.active.as_ref().map_or("idle".to_owned(), Active::dump)
    }

    pub(crate) fn next_timer(&self) -> Option<(Instant, TimerId)> {
        self.active.as_ref()?.timers.next()
    }

    pub(crate) fn resolver(&mut self) -> Option<&mut Resolving> {
        self.active.as_mut().map(|active| &mut active.resolving)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_active() { "active" } else { "idle" })
    }
}
