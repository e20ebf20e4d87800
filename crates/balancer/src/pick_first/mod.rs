//! Connects to the first address that answers (gRFCs A61, A62 and A113).
//!
//! ```text
//!            update                 any READY
//!   Empty ──────────► FirstPass ───────────────► Connected
//!     ▲                ▲     │                    ▲     │
//!     │ no addresses   │     │ all have failed    │     │ lost
//!   (any)       wake,  │     ▼        any READY   │     ▼
//!            ExitIdle  │   Failing ───────────────┘    Idle
//!                      └────────────────────────────────┘
//! ```
//!
//! - *FirstPass* tries the addresses in order: the next one when an attempt fails, or after 250 ms of
//!   waiting for it (Happy Eyeballs); earlier attempts go on. Reported as CONNECTING.
//! - *Failing* retries every address, each after its own backoff. Reported as TRANSIENT_FAILURE until one
//!   is READY, also while another first pass runs over a new list: "sticky".
//! - *Connected* has one subchannel; all others are let go. Reported as READY, or as its health. If it loses its last
//!   connection while another one is being made, or could not be (gRFC A105), a first pass begins.
//! - *Idle* lost its connection: a call or a request to connect wakes it.
//!
//! Fresh addresses are asked for once when a pass has failed, once per round of failures after that, and
//! when a connection is lost.
//!
//! To see it run, read `tests/transcripts/pick_first/happy_eyeballs.txt`. Exercise: make the third address
//! of that transcript answer first, and say which lines change before you run it.

mod address_list;
mod attempts;
mod config;
mod error;
mod phase;
mod shuffle;

use std::fmt;
use std::time::Duration;

use highball_core::{ConnectivityState, Rejected, Status};
use serde_json::Value;
use tracing::debug;

pub use config::Config;
pub use shuffle::EndpointWeight;

use crate::per_endpoint::HealthWanted;
use crate::{
    ConfigError, Cx, Event, FailPicker, HealthState, IdlePicker, LbState, Policy, Registry,
    SubchannelId, SubchannelState, Update, UsePicker,
};
use attempts::{Attempts, Tried};
use error::health_error;
pub(crate) use error::resolver_error;
use phase::{Connection, Pass, Phase};

/// How long an attempt has the field to itself before the next address is tried as well.
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The policy `pick_first`: all calls go to the first address that answers.
pub struct PickFirst {
    attempts: Attempts,
    phase: Phase,
    /// Whether a policy above wants READY to mean healthy.
    health_wanted: bool,
}

impl Policy for PickFirst {
    const NAME: &'static str = "pick_first";
    type Config = Config;

    fn parse(config: &Value, _: &Registry) -> Result<Config, ConfigError> {
        Config::parse(config)
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            attempts: Attempts::default(),
            phase: Phase::Empty,
            health_wanted: false,
        }
    }

    fn update(&mut self, update: Update<Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let rng = update.config.shuffle_address_list.then(|| cx.rng());
        let addresses = address_list::in_order(&update.endpoints, rng);
        if addresses.is_empty() {
            return Err(Rejected(self.empty(cx)));
        }
        self.health_wanted = update.attributes.get::<HealthWanted>().is_some();
        let connected = self.connected_id();
        self.attempts.replace(addresses);
        match &mut self.phase {
            Phase::Idle => {}
            Phase::Connected(connection) => {
                match connected.and_then(|id| self.attempts.position(id)) {
                    Some(index) => connection.index = index,
                    None => self.start_pass(false, cx),
                }
            }
            Phase::Failing { .. } => self.start_pass(true, cx),
            Phase::FirstPass(pass) => {
                let sticky = pass.sticky;
                self.start_pass(sticky, cx);
            }
            Phase::Empty => self.start_pass(false, cx),
        }
        Ok(())
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        match event {
            Event::Subchannel { id, state } => self.subchannel(id, state, cx),
            Event::Health { id, state } => self.health(id, state, cx),
            Event::Timer(_) => self.try_next(cx),
            Event::ExitIdle | Event::Woken => self.exit_idle(cx),
            Event::ResolutionFailed(status) => self.resolution_failed(&status, cx),
            Event::Load { .. } | Event::Settle => {}
        }
    }
}

/// What comes from above: lists, wishes, resolver errors.
impl PickFirst {
    /// There is nothing to connect to.
    fn empty(&mut self, cx: &mut Cx<'_>) -> Status {
        self.phase = Phase::Empty;
        self.attempts.clear();
        let status = Status::unavailable("produced zero addresses");
        self.resolution_failed(&status, cx);
        status
    }

    /// Leaves IDLE. Published at once: what comes next finds the policy CONNECTING.
    fn exit_idle(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.phase, Phase::Idle) {
            self.start_pass(false, cx);
        }
    }

    /// Of interest only to calls that fail anyway: whoever has or may get a connection keeps it.
    fn resolution_failed(&mut self, status: &Status, cx: &mut Cx<'_>) {
        let fails_anyway = match &self.phase {
            Phase::Empty | Phase::Failing { .. } => true,
            Phase::FirstPass(pass) => pass.sticky,
            Phase::Connected(connection) => {
                connection.health == Some(ConnectivityState::TransientFailure)
            }
            Phase::Idle => false,
        };
        if fails_anyway {
            fail(resolver_error(status), cx);
        } else {
            debug!(target: "balancer", path = %cx.path(), %status, "resolver error ignored");
        }
    }
}

/// The first pass.
impl PickFirst {
    /// Tries the list from its start.
    fn start_pass(&mut self, sticky: bool, cx: &mut Cx<'_>) {
        debug!(
            target: "balancer",
            path = %cx.path(),
            addresses = self.attempts.len(),
            sticky,
            "pass starts"
        );
        self.attempts
            .iter_mut()
            .for_each(|attempt| attempt.failed = false);
        self.phase = Phase::FirstPass(Pass {
            index: 0,
            stagger: None,
            sticky,
            last_error: None,
            started: cx.now(),
        });
        if !sticky {
            cx.publish_state(LbState::connecting());
        }
        self.try_current(cx);
    }

    /// Goes on to the next address; the attempts before it go on too.
    fn try_next(&mut self, cx: &mut Cx<'_>) {
        if let Phase::FirstPass(pass) = &mut self.phase {
            pass.index += 1;
            self.try_current(cx);
        }
    }

    /// Tries the address at the index, or the first after it that is not in backoff.
    fn try_current(&mut self, cx: &mut Cx<'_>) {
        let Phase::FirstPass(pass) = &mut self.phase else {
            return;
        };
        pass.stagger = None;
        let n_addresses = self.attempts.len();
        while let Some(attempt) = self.attempts.get_mut(pass.index) {
            match attempt.try_now(cx) {
                Tried::Underway => {
                    let more = pass.index + 1 < n_addresses;
                    pass.stagger = more.then(|| cx.set_timer(CONNECTION_ATTEMPT_DELAY));
                    return;
                }
                Tried::InBackoff(status) => {
                    pass.last_error = Some(status);
                    pass.index += 1;
                }
            }
        }
        self.end_pass_if_all_failed(cx);
    }

    fn end_pass_if_all_failed(&mut self, cx: &mut Cx<'_>) {
        let Phase::FirstPass(pass) = &mut self.phase else {
            return;
        };
        let all_tried = pass.index >= self.attempts.len();
        if !all_tried || !self.attempts.iter().all(|attempt| attempt.failed) {
            return;
        }
        let status = pass.last_error.take();
        let status = status.unwrap_or_else(|| Status::unavailable("no address answered"));
        let took = cx.now().saturating_duration_since(pass.started);
        debug!(target: "balancer", path = %cx.path(), ?took, %status, "pass failed");
        self.phase = Phase::Failing { failures: 0 };
        cx.request_resolution();
        fail(status, cx);
        self.attempts.iter().for_each(|attempt| attempt.retry());
    }
}

/// What the subchannels say.
impl PickFirst {
    fn subchannel(&mut self, id: SubchannelId, state: SubchannelState, cx: &mut Cx<'_>) {
        let Some(index) = self.attempts.position(id) else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(index) else {
            return;
        };
        let old = std::mem::replace(&mut attempt.raw, state.clone());
        debug!(target: "balancer", path = %cx.path(), address = %attempt.address(), %state, "attempt");
        match (old, state) {
            (_, SubchannelState::Ready) => self.connected(index, cx),
            (SubchannelState::Ready | SubchannelState::Connecting, SubchannelState::Idle) => {
                self.connection_lost(index, cx);
            }
            (SubchannelState::Ready, _) => self.connection_restarts(cx),
            (_, SubchannelState::TransientFailure(status)) => self.failed(index, status, cx),
            (_, SubchannelState::Idle) => self.backoff_over(index),
            (_, SubchannelState::Connecting) => {}
        }
    }

    /// One has won. With health wanted, calls wait until the first report of it.
    fn connected(&mut self, index: usize, cx: &mut Cx<'_>) {
        if let Phase::FirstPass(pass) = &self.phase {
            let took = cx.now().saturating_duration_since(pass.started);
            debug!(target: "balancer", path = %cx.path(), ?took, "pass succeeded");
        }
        let Some(winner) = self.attempts.release_all_but(index) else {
            return;
        };
        let health = self.health_wanted.then_some(ConnectivityState::Connecting);
        match health {
            Some(_) => {
                winner.watch_health();
                cx.publish_state(LbState::connecting());
            }
            None => cx.publish(ConnectivityState::Ready, UsePicker(winner.id())),
        }
        self.phase = Phase::Connected(Connection { index, health });
    }

    /// The connection is gone. Not reconnecting by itself keeps a server that closes idle connections
    /// from being called back at once.
    fn connection_lost(&mut self, index: usize, cx: &mut Cx<'_>) {
        self.attempts.release_all_but(index);
        self.phase = Phase::Idle;
        cx.request_resolution();
        let picker = IdlePicker(cx.waker());
        cx.publish(ConnectivityState::Idle, picker);
    }

    /// A subchannel of several connections lost them all and tries again by itself (gRFC A105).
    fn connection_restarts(&mut self, cx: &mut Cx<'_>) {
        cx.request_resolution();
        self.start_pass(false, cx);
    }

    fn failed(&mut self, index: usize, status: Status, cx: &mut Cx<'_>) {
        match &mut self.phase {
            Phase::FirstPass(pass) => {
                pass.last_error = Some(status);
                if let Some(attempt) = self.attempts.get_mut(index) {
                    attempt.failed = true;
                }
                if index == pass.index {
                    self.try_next(cx);
                } else {
                    self.end_pass_if_all_failed(cx);
                }
            }
            Phase::Failing { failures } => {
                *failures += 1;
                if failures.is_multiple_of(self.attempts.len()) {
                    cx.request_resolution();
                    fail(status, cx);
                }
            }
            Phase::Empty | Phase::Idle | Phase::Connected(_) => {}
        }
    }

    /// During the pass its turn is over; after it, every address is tried as soon as it may be.
    fn backoff_over(&mut self, index: usize) {
        if let (Phase::Failing { .. }, Some(attempt)) = (&self.phase, self.attempts.get_mut(index))
        {
            attempt.retry();
        }
    }

    fn health(&mut self, id: SubchannelId, state: HealthState, cx: &mut Cx<'_>) {
        if self.connected_id() != Some(id) {
            return;
        }
        let Phase::Connected(Connection {
            health: Some(reported),
            ..
        }) = &mut self.phase
        else {
            return;
        };
        *reported = match state {
            HealthState::Ready => {
                cx.publish(ConnectivityState::Ready, UsePicker(id));
                ConnectivityState::Ready
            }
            HealthState::Connecting => {
                cx.publish_state(LbState::connecting());
                ConnectivityState::Connecting
            }
            HealthState::TransientFailure(status) => {
                fail(health_error(&status), cx);
                ConnectivityState::TransientFailure
            }
        };
    }

    /// The subchannel that has won.
    fn connected_id(&self) -> Option<SubchannelId> {
        let Phase::Connected(connection) = &self.phase else {
            return None;
        };
        let attempt = self.attempts.iter().nth(connection.index)?;
        Some(attempt.subchannel.as_ref()?.id())
    }
}

fn fail(status: Status, cx: &mut Cx<'_>) {
    cx.publish(ConnectivityState::TransientFailure, FailPicker(status));
}

impl fmt::Debug for PickFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PickFirst")
            .field("phase", &format_args!("{:?}", self.phase))
            .field("attempts", &self.attempts)
            .finish()
    }
}
