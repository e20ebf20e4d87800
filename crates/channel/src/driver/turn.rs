//! One turn of the driver: think, then apply.
//!
//! ```text
//!   message ─► think: tell the policy tree, which publishes values and leaves commands
//!              apply: 1 create subchannels   2 publish the generation   3 connect   4 shut down
//!                     5 timers               6 re-resolve
//! ```
//!
//! The order is what makes a turn safe: a picker that names a new subchannel finds its link, and no call is
//! sent to a subchannel that this turn lets go of. Thinking has no `await`, no lock and no I/O, and what a
//! turn did can be read from its trace events, one for each command.
//!
//! With `picker_slot.rs` this is the seventh stop of the reading path. Exercise: run a demo with
//! `RUST_LOG=channel=trace` and find the turn in which the first picker with a connection was published.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use highball_balancer::{
    Command, Event, HealthState, LbState, Path, SubchannelId, SubchannelState, TimerId, Tree,
};
use highball_core::{ConnectivityState, Rejected, Status, panic_text};
use highball_resolver::{Ack, Resolution};
use highball_subchannel::{Report, State};
use tracing::{debug, trace};

use super::config::Verdict;
use super::health::HealthChecks;
use super::load::{LoadReports, LoadWatcher};
use super::resolving::Resolving;
use super::subchannels::Subchannels;
use super::timers::Timers;
use super::{Configs, Doorbell, Message, Period, Setup, States};
use crate::picker_slot::{EndedPicker, Generation};
use crate::service_config::ServiceConfig;

/// The control plane of a channel that is not idle.
pub(super) struct Active {
    pub(super) resolving: Resolving,
    pub(super) subchannels: Subchannels,
    pub(super) timers: Timers,
    health: HealthChecks,
    load: LoadReports,
    tree: Tree,
    /// A policy has panicked: the tree must not be used any more.
    broken: bool,
    /// The config that was last balanced by; `None` before the first resolution.
    config: Option<Arc<ServiceConfig>>,
    /// What calls go by.
    state: LbState,
    /// `state` or `config` have changed since they were published.
    changed: bool,
}

impl Active {
    pub(super) fn new(setup: &Setup, period: Period) -> Self {
        let messages = setup.messages.clone();
        let doorbell = Doorbell {
            period,
            messages: messages.clone(),
        };
        let options = setup.subchannels.clone();
        Self {
            resolving: Resolving::start(setup),
            subchannels: Subchannels::new(period, options, messages.clone(), setup.seed),
            timers: Timers::default(),
            health: HealthChecks::new(period, messages.clone(), setup.call_credentials.clone()),
            load: LoadReports::new(period, messages, setup.call_credentials.clone()),
            tree: Tree::new(setup.seed, Arc::new(doorbell)),
            broken: false,
            config: None,
            state: LbState::connecting(),
            changed: false,
        }
    }

    /// Takes one message in. What follows from it waits for [`apply`](Self::apply).
    pub(super) fn think(&mut self, message: Message, configs: &mut Configs) {
        match message {
            Message::Connect => self.tell(&Path::root(), Event::ExitIdle),
            Message::ResetBackoff => self.subchannels.reset_backoff(),
            Message::Subchannel { id, report, .. } => self.subchannel(id, report),
            Message::Health { id, watch, .. } => self.health(id, watch),
            Message::Load { id, call, .. } => self.load(id, call),
            Message::Wake { owner, .. } => self.tell(&owner, Event::Woken),
            Message::Timer(id) => self.timer(id),
            Message::Resolved(said) => self.said(*said, configs),
            Message::ResolverEnded => trace!(target: "resolver", "ended"),
            // The driver's own.
            Message::CallBegan
            | Message::Dump(_)
            | Message::Subscribe(_)
            | Message::MaybeIdle
            | Message::Close => (),
        }
    }

    /// Does what the turn asked for, and lets calls see what came of it.
    pub(super) fn apply(&mut self, states: &mut States) {
        let mut commands = self.commands();
        if let Some(Some(state)) = self.guard(Tree::take_published) {
            self.state = state;
            self.changed = true;
        }
        commands.sort_by_key(order);
        self.subchannels.unlink_those_shut_down_by(&commands);
        let mut commands = commands.into_iter().peekable();
        while let Some(create) = commands.next_if(|next| matches!(next, Command::Create { .. })) {
            self.execute(create);
        }
        self.publish(states);
        commands.for_each(|command| self.execute(command));
    }

    /// What the turn asks for. Where no server is asked for its health, a subchannel is told to be healthy
    /// before the turn is over: a connection is in use in the generation in which it turns READY.
    fn commands(&mut self) -> Vec<Command> {
        let mut commands = self.guard(Tree::take_commands).unwrap_or_default();
        let mut next = 0;
        while let Some(command) = commands.get(next) {
            next += 1;
            if let Command::WatchHealth(id) = *command
                && self.health_service().is_none()
            {
                self.healthy(id);
                commands.extend(self.guard(Tree::take_commands).unwrap_or_default());
            }
        }
        commands
    }

    /// Publishes the generation first and the state second: a call that was woken by READY sees the
    /// picker that is.
    fn publish(&mut self, states: &mut States) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let LbState {
            connectivity,
            picker,
        } = self.state.clone();
        trace!(target: "channel", state = %connectivity, ?picker, "publish");
        let methods = self.config.as_ref().map(|config| config.methods().clone());
        let generation = Generation::new(picker, self.subchannels.links(), methods);
        states.shared.slot.publish(generation);
        states.publish(connectivity);
    }

    fn execute(&mut self, command: Command) {
        trace!(target: "channel", ?command, "command");
        match command {
            Command::Create { id, owner, address } => self.subchannels.create(id, owner, address),
            Command::Connect(id) => self.subchannels.connect(id),
            Command::Shutdown(id) => {
                self.health.unwatch(id);
                self.load.forget(id);
                self.subchannels.shut_down(id);
            }
            Command::SetTimer { id, owner, after } => self.timers.set(id, owner, after),
            Command::CancelTimer(id) => self.timers.cancel(id),
            Command::WatchHealth(id) => self.watch_health(id),
            Command::UnwatchHealth(id) => self.health.unwatch(id),
            Command::WatchLoad {
                id,
                owner,
                subchannel,
                interval,
            } => {
                let connection = self.subchannels.connection(subchannel);
                let watcher = LoadWatcher { owner, interval };
                self.load.watch(subchannel, id, watcher, connection);
            }
            Command::UnwatchLoad { id, subchannel } => {
                let connection = self.subchannels.connection(subchannel);
                self.load.unwatch(subchannel, id, connection);
            }
            Command::Resolve => self.resolving.request(),
        }
    }

    fn subchannel(&mut self, id: SubchannelId, report: Report) {
        match report {
            Report::State(state) => self.subchannel_is(id, state),
            Report::Grown(connection) => self.subchannels.close_with_channel(&connection),
            Report::Shrunk => self.shrunk(id),
        }
    }

    /// A subchannel has lost a connection and has others. Calls that were about to use that one pick again, as they do
    /// when a subchannel has lost its only one: from the next generation.
    fn shrunk(&mut self, id: SubchannelId) {
        self.changed = true;
        if !self.subchannels.has_moved(id) {
            return;
        }
        if self.health.is_watched(id) {
            self.watch_health(id);
        }
        self.load.lost(id);
        self.load.connected(id, self.subchannels.connection(id));
    }

    fn subchannel_is(&mut self, id: SubchannelId, state: State) {
        let Some(entry) = self.subchannels.entry(id) else {
            return;
        };
        let owner = entry.owner.clone();
        let state = match state {
            State::Idle => SubchannelState::Idle,
            State::Connecting => SubchannelState::Connecting,
            State::Ready => {
                self.subchannels.connected(id);
                SubchannelState::Ready
            }
            State::TransientFailure(status) => SubchannelState::TransientFailure(status),
            State::Shutdown => return,
        };
        // Whoever watches health or load hears of it only for as long as the subchannel stays READY.
        self.health.unwatch(id);
        match state {
            SubchannelState::Ready => self.load.connected(id, self.subchannels.connection(id)),
            _ => self.load.lost(id),
        }
        self.tell(&owner, Event::Subchannel { id, state });
    }

    fn health(&mut self, id: SubchannelId, watch: u64) {
        let owner = self.subchannels.entry(id).map(|entry| entry.owner.clone());
        if let (Some(owner), Some(state)) = (owner, self.health.take(id, watch)) {
            self.tell(&owner, Event::Health { id, state });
        }
    }

    fn load(&mut self, id: SubchannelId, call: u64) {
        let Some(report) = self.load.take(id, call) else {
            return;
        };
        for (watch, owner) in self.load.watches(id) {
            let report = report.clone();
            self.tell(&owner, Event::Load { id, watch, report });
        }
    }

    /// The service that servers are asked for, if they are.
    fn health_service(&self) -> Option<&str> {
        self.config.as_ref()?.health_service()
    }

    fn watch_health(&mut self, id: SubchannelId) {
        let service = self
            .config
            .as_ref()
            .and_then(|config| config.health_service());
        let Some(entry) = self.subchannels.entry(id) else {
            return;
        };
        self.health.watch(id, entry.link(), service);
    }

    /// Nobody is asked for the health of a subchannel.
    fn healthy(&mut self, id: SubchannelId) {
        if let Some(owner) = self.subchannels.entry(id).map(|entry| entry.owner.clone()) {
            let state = HealthState::Ready;
            self.tell(&owner, Event::Health { id, state });
        }
    }

    fn timer(&mut self, id: TimerId) {
        if let Some(owner) = self.timers.fire(id) {
            self.tell(&owner, Event::Timer(id));
        }
    }

    fn said(&mut self, (resolution, ack): (Resolution, Ack), configs: &mut Configs) {
        match self.resolved(resolution, configs) {
            Ok(()) => ack.accept(),
            Err(rejected) => {
                debug!(target: "resolver", reason = %rejected, "rejected: the resolver should back off and retry");
                ack.reject(rejected);
            }
        }
    }

    fn resolved(&mut self, resolution: Resolution, configs: &mut Configs) -> Result<(), Rejected> {
        let Resolution {
            endpoints,
            service_config,
            attributes,
            note,
            ..
        } = resolution;
        let endpoints = match endpoints {
            Ok(endpoints) => endpoints,
            Err(status) => return self.resolution_failed(status, configs),
        };
        debug!(
            target: "resolver", endpoints = endpoints.len(), config = service_config.is_some(),
            note = note.unwrap_or_default(), "resolved"
        );
        let (config, verdict) = match configs.resolved(service_config) {
            Verdict::Use(config) => (config, Ok(())),
            Verdict::UseAndReject(config, rejected) => (config, Err(rejected)),
            Verdict::Fail(status) => {
                self.config = Some(configs.unresolved());
                self.state = LbState::failing(status.clone());
                self.changed = true;
                return Err(Rejected(status));
            }
        };
        self.use_config(config.clone());
        let now = tokio::time::Instant::now().into_std();
        let endpoints = Arc::from(endpoints);
        let updated = self.guard(|tree| tree.update(now, config.policy(), endpoints, attributes));
        verdict.and(updated.unwrap_or(Ok(())))
    }

    /// A failed resolution leaves what was resolved before; it still ends the wait for the first one.
    fn resolution_failed(&mut self, status: Status, configs: &Configs) -> Result<(), Rejected> {
        debug!(target: "resolver", error = %status, "failed");
        self.use_config(configs.unresolved());
        self.tell(&Path::root(), Event::ResolutionFailed(status.clone()));
        Err(Rejected(status))
    }

    fn use_config(&mut self, config: Arc<ServiceConfig>) {
        let old = self.config.replace(config.clone());
        if old.as_ref().is_none_or(|old| !Arc::ptr_eq(old, &config)) {
            self.changed = true;
            self.subchannels
                .allow_connections(config.connections_per_subchannel());
            let policy = config.policy().name();
            if old.as_ref().is_none_or(|old| old.policy().name() != policy) {
                debug!(target: "channel", policy, "switching to new balancing policy");
            }
            if old.is_some_and(|old| old.health_service() != config.health_service()) {
                for id in self.guard(|tree| tree.health_watched()).unwrap_or_default() {
                    self.watch_health(id);
                    if config.health_service().is_none() {
                        self.healthy(id);
                    }
                }
            }
        }
    }

    fn tell(&mut self, to: &Path, event: Event) {
        let now: Instant = tokio::time::Instant::now().into_std();
        self.guard(|tree| tree.event(now, to, event));
    }

    /// Every policy with its children, states and addresses.
    pub(super) fn dump(&self) -> String {
        match self.broken {
            true => "a policy has panicked".to_owned(),
            false => format!("{}{}", self.tree.dump(), self.subchannels),
        }
    }

    /// Calls into the tree. A policy that panics ends the channel's balancing for good, loudly: every
    /// call fails with INTERNAL. Other channels go on.
    fn guard<R>(&mut self, call: impl FnOnce(&mut Tree) -> R) -> Option<R> {
        if self.broken {
            return None;
        }
        // Unwind safe: the tree is not called again after a panic.
        match catch_unwind(AssertUnwindSafe(|| call(&mut self.tree))) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.broken = true;
                let status = panicked(&*panic);
                tracing::error!(target: "balancer", error = %status, "a policy panicked");
                let picker = Arc::new(EndedPicker(status));
                self.state = LbState {
                    connectivity: ConnectivityState::TransientFailure,
                    picker,
                };
                self.changed = true;
                None
            }
        }
    }
}

/// The status of a channel, or a call, whose policy panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Status {
    let text = panic_text(panic);
    Status::internal(format!("load balancing policy panicked: {text}"))
}

/// What comes after the generation is published, and in which order.
fn order(command: &Command) -> u8 {
    match command {
        Command::Create { .. } => 0,
        Command::Connect(_) | Command::WatchHealth(_) | Command::WatchLoad { .. } => 1,
        Command::UnwatchHealth(_) | Command::UnwatchLoad { .. } | Command::Shutdown(_) => 2,
        Command::SetTimer { .. } | Command::CancelTimer(_) => 3,
        Command::Resolve => 4,
    }
}
