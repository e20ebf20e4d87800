//! From endpoints to a picker: load balancing policies, and what it takes to write one.
//!
//! ```text
//!   endpoints + config          commands: create, connect, timer, resolve …
//!          │                        ▲
//!          ▼                        │                               a call
//!   ┌──────────────────────── policy ────────────────────────┐        │
//!   │   update(..)   event(..)      cx.publish(state, picker)├──► picker.pick(..)
//!   │       │            │                    ▲              │        │
//!   │       ▼            ▼                    │              │        ▼
//!   │   child policies: calls go down, values come up        │   Use, Wait, Fail or Drop
//!   └────────────────────────────────────────────────────────┘
//!                        ▲
//!           events: subchannel states, health, load, timers, wakes
//! ```
//!
//! A [`Policy`] is a synchronous state machine. It has no task, thread, clock, lock or I/O: it asks its
//! [`Cx`] for subchannels and timers, and what comes of them arrives as an [`Event`]. What it has to say,
//! it publishes: a state, and a [`Picker`] that tells each call where to go.
//!
//! # The rules
//!
//! 1. *Calls go down, values come up.* A policy calls its children; a child never calls its parent, it
//!    publishes, and the parent finds the value when the call returns. So there is no lock order, no
//!    re-entrancy and no stale callback.
//! 2. *Handles are ownership.* Drop a [`Subchannel`] and it shuts down, drop a [`Timer`] and it is
//!    cancelled, drop a child and all that it owns is gone. Nothing is heard of it again: no policy needs
//!    to ask itself whether an event is still of interest.
//! 3. *Everything asked for is data*, a [`Command`]. So a run of a policy can be printed, and the
//!    transcripts in `tests/transcripts` are tests and explanation at once.
//! 4. *A picker is a snapshot*: immutable but for counters. A [`Waker`] is its only way back, a
//!    [`Done`] hook tells what became of a call.
//!
//! # The policies and what they are made of
//!
//! | to see | read |
//! |---|---|
//! | addresses tried until one answers | [`pick_first`] |
//! | calls spread over all endpoints | [`RoundRobin`] |
//! | one child per endpoint, the ground of most policies | [`PerEndpoint`] |
//! | one policy replaced by another without a gap | [`GracefulSwitch`] |
//! | a policy that starts when it is needed | [`Lazy`] |
//! | a policy chosen by name and config | [`Registry`] |
//! | what drives all of them | [`Tree`] |
//!
//! A policy of one's own is short, since [`PerEndpoint`] does the work. This one sends every call to the
//! first READY endpoint of the list:
//!
//! ```
//! use highball_balancer::{
//!     ConfigError, Cx, Event, PerEndpoint, PickFirst, Policy, Registry, Update, pick_first,
//! };
//! use highball_core::{ConnectivityState, Rejected};
//!
//! #[derive(Debug)]
//! struct FirstReady {
//!     children: PerEndpoint<PickFirst>,
//! }
//!
//! impl Policy for FirstReady {
//!     const NAME: &'static str = "first_ready";
//!     type Config = ();
//!
//!     fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
//!         Ok(())
//!     }
//!
//!     fn new(_: &mut Cx<'_>) -> Self {
//!         Self { children: PerEndpoint::new() }
//!     }
//!
//!     fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
//!         let update = update.with_config(pick_first::Config::default());
//!         let result = self.children.update(update, cx);
//!         self.publish_changes(cx);
//!         result
//!     }
//!
//!     fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
//!         self.children.deliver(event, cx);
//!         self.publish_changes(cx);
//!     }
//! }
//!
//! impl FirstReady {
//!     fn publish_changes(&mut self, cx: &mut Cx<'_>) {
//!         if !self.children.take_changed() {
//!             return;
//!         }
//!         let ready = |(_, state): &(_, &highball_balancer::LbState)| {
//!             state.connectivity == ConnectivityState::Ready
//!         };
//!         let state = match self.children.children().find(ready) {
//!             Some((_, first)) => first.clone(),
//!             None => self.children.aggregate(cx),
//!         };
//!         cx.publish_state(state);
//!     }
//! }
//!
//! let mut registry = Registry::builtin();
//! registry.register::<FirstReady>();
//! ```
//!
//! # What is known of the servers
//!
//! [`Subchannel::watch_health`] asks whether a server serves, [`Cx::watch_load`] how busy it is (gRFCs A17 and
//! A51); what is said arrives as events. The load that a server reports with a call is in the [`Outcome`] of that
//! call.
//!
//! # To see it run
//!
//! `tests/transcripts/round_robin/one_server_down.txt` is a short one: a step behind each `>`, below it
//! what the policies asked for and published. Exercise: add a third endpoint to its first step, guess how
//! the lines below change, then run `BLESS=1 cargo test -p highball-balancer --test transcripts` and look
//! at the difference.
//!
//! # What it logs
//!
//! Target `balancer`, level debug; every event has the `path` of its policy.
//!
//! | event | fields |
//! |---|---|
//! | `policy starts` | `policy` |
//! | `published` | `policy`, `old` and `new` state, `picker` |
//! | `pass starts` | `addresses`, `sticky`: whether TRANSIENT_FAILURE is kept up meanwhile |
//! | `attempt` | `address`, its `state` with the reason |
//! | `pass succeeded` | `took` |
//! | `pass failed` | `took`, `status`: the last failure |
//! | `resolver error ignored` | `status` |
//! | `load report ignored` | `error`: why the one in a call's trailers could not be used |
//! | `first state refused` | `rejected`: why a lazy policy could not use what it woke up to |
//!
//! [`Tree::dump`] lists all policies with their children, states and addresses.
//!
//! Deliberately absent: tokio, sockets, clocks, and any knowledge of resolvers. The driver of a channel
//! holds a [`Tree`], applies its commands, and tells it what came of them.

// A new state or event must be thought about wherever the old ones are.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod pick_first;

mod command;
mod event;
mod path;
mod policy;

mod cx;
mod done;
mod host;
mod load_watch;
mod picker;
mod subchannel;
mod timer;
mod waker;

mod child;
mod graceful_switch;
mod lazy;
mod per_endpoint;

mod round_robin;

mod choice;
mod config;
mod config_error;
mod registry;
mod tree;

pub use child::Child;
pub use choice::Choice;
pub use command::{Command, LoadWatchId, SubchannelId, TimerId};
pub use config::read_config;
pub use config_error::{ConfigError, Level};
pub use cx::Cx;
pub use done::{Done, Outcome};
pub use event::{Event, HealthState, SubchannelState};
pub use graceful_switch::GracefulSwitch;
pub use lazy::Lazy;
pub use load_watch::LoadWatch;
pub use path::Path;
pub use per_endpoint::PerEndpoint;
pub use pick_first::{EndpointWeight, PickFirst};
pub use picker::{
    Additions, CallInfo, FailPicker, IdlePicker, LbState, Pick, Picker, Selection, UsePicker,
    WaitPicker,
};
pub use policy::{Policy, Update};
pub use registry::Registry;
pub use round_robin::RoundRobin;
pub use subchannel::Subchannel;
pub use timer::Timer;
pub use tree::Tree;
pub use waker::{Wake, Waker};
