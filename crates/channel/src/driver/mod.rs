//! The driver: the one task of a channel that owns its control plane.
//!
//! ```text
//!   loop { let message = next of: request │ subchannel report │ resolution │ due timer │ idle time-out
//!          turn.think(message);     // sync: tells the policy tree
//!          turn.apply(); }          // does what the tree asked for, in a fixed order
//! ```
//!
//! `poll_message` only translates. What happens in a turn is in `turn.rs`; what a resolution means for the
//! service config is in `config.rs`.

mod alarm;
mod config;
mod health;
mod ids;
mod load;
mod mode;
mod newest;
mod own_stream;
mod resolving;
mod subchannels;
mod timers;
mod turn;

use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use highball_balancer::{Path, SubchannelId, TimerId, Wake};
use highball_core::{ConnectivityState, GivenUp, Letterbox, Mailbox, Status};
use highball_resolver::{Ack, Resolution};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::activity::Activity;
use crate::picker_slot::{Generation, PickerSlot};
use crate::state::ChannelState;

pub(crate) use config::Configs;
pub(crate) use mode::Setup;
pub(crate) use turn::panicked;

use alarm::Alarm;
use mode::Mode;

/// What a closed channel answers.
pub(crate) fn closing() -> Status {
    static CLOSING: LazyLock<Status> = LazyLock::new(|| {
        let text = "grpc: the client connection is closing";
        Status::cancelled(text).with_source(GivenUp::ChannelClosed)
    });
    CLOSING.clone()
}

/// What the driver hears, wherever it comes from.
#[derive(Debug)]
pub(crate) enum Message {
    /// A call or the application wants the channel out of idle mode, and connected.
    Connect,
    /// A call has begun while the channel was idle.
    CallBegan,
    /// The application wants failed attempts forgotten.
    ResetBackoff,
    /// Somebody wants to see every state from here on.
    Subscribe(mpsc::UnboundedSender<ConnectivityState>),
    /// Somebody wants to read what the policies hold.
    Dump(oneshot::Sender<String>),
    /// The channel is closed, or its last handle was dropped.
    Close,
    /// A subchannel is in a new state, or has more connections, or less.
    Subchannel {
        period: Period,
        id: SubchannelId,
        report: highball_subchannel::Report,
    },
    /// A health check has something to say of a READY subchannel.
    Health {
        period: Period,
        id: SubchannelId,
        /// Which watch over it says so; what it says is kept there.
        watch: u64,
    },
    /// The server of a READY subchannel has said how loaded it is.
    Load {
        period: Period,
        id: SubchannelId,
        /// Which call tells; what it tells is kept there.
        call: u64,
    },
    /// A picker or a completion hook wakes its policy.
    Wake { period: Period, owner: Path },
    /// The resolver has resolved. Boxed: the queue sets room aside for 32 of the largest message.
    Resolved(Box<(Resolution, Ack)>),
    /// The resolver has ended of its own accord: what it said last stands.
    ResolverEnded,
    /// A policy's timer is due.
    Timer(TimerId),
    /// The channel may have been unused for the idle time-out.
    MaybeIdle,
}

/// One stay out of idle mode. What was sent in an earlier one is not for this one's policies.
pub(crate) type Period = u64;

/// What the driver shares with the channel's handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) slot: PickerSlot,
    pub(crate) activity: Activity,
    pub(crate) state: ChannelState,
}

/// The task itself.
pub(crate) struct Driver {
    inbox: Mailbox<Message>,
    mode: Mode,
    states: States,
    /// When to look whether the channel is unused; meaningful out of idle mode.
    idle_check: Option<Instant>,
    alarm: Alarm,
    /// Calls have been told that there is nothing more to wait for.
    has_ended: bool,
}

/// Where the channel's states are told, to calls and to everyone.
pub(crate) struct States {
    pub(crate) shared: Arc<Shared>,
    subscribers: Vec<mpsc::UnboundedSender<ConnectivityState>>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, setup: Setup, inbox: Mailbox<Message>) -> Self {
        Self {
            mode: Mode::idle(setup),
            states: States {
                shared,
                subscribers: Vec::new(),
            },
            inbox,
            idle_check: None,
            alarm: Alarm::default(),
            has_ended: false,
        }
    }

    /// Runs until the channel is closed, and returns when all it owned has shut down.
    pub(crate) async fn run(&mut self) {
        loop {
            let first = poll_fn(|cx| self.poll_message(cx)).await;
            if self.take_in(first) {
                tracing::debug!(target: "channel", "closed");
                self.end(closing());
                // Letting go can wait: a program that opens its next channel goes first, and others that are ready.
                tokio::task::yield_now().await;
                // In a box of its own: it is over soon, and the driver's task is there for as long as its channel.
                return Box::pin(self.mode.close()).await;
            }
            self.mode.apply(&mut self.states);
            // However much there is to do, other tasks have their turns, too.
            tokio::task::consume_budget().await;
        }
    }

    /// Takes in what is queued by now, before anything is published: a thousand subchannels that turn READY
    /// at once cost one generation. Tells whether the channel is to be closed.
    fn take_in(&mut self, first: Message) -> bool {
        let mut queued = self.inbox.len();
        let mut next = Some(first);
        while let Some(message) = next {
            if matches!(message, Message::Close) {
                return true;
            }
            self.think(message);
            // What comes from here on is the next turn's.
            next = (queued > 0).then(|| self.inbox.take()).flatten();
            queued = queued.saturating_sub(1);
        }
        false
    }

    /// Whatever comes first. What is rare goes first: a flood of reports cannot starve the timers, nor they it.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        let due = self.next_due();
        if self.alarm.poll(due.map(|(at, _)| at), cx).is_ready() {
            return Poll::Ready(match due {
                Some((_, Some(timer))) => Message::Timer(timer),
                _ => Message::MaybeIdle,
            });
        }
        if let Some(resolver) = self.mode.resolver()
            && let Poll::Ready(message) = resolver.poll_next(cx)
        {
            return Poll::Ready(message);
        }
        let next = self.inbox.poll_recv(cx);
        next.map(|message| message.unwrap_or(Message::Close))
    }

    /// What is due first: a policy's timer, or a look whether the channel is unused.
    fn next_due(&self) -> Option<(Instant, Option<TimerId>)> {
        let timer = self.mode.next_timer().map(|(at, id)| (at, Some(id)));
        let idle_check = self.idle_check.filter(|_| self.mode.is_active());
        let idle_check = idle_check.map(|at| (at, None));
        match (timer, idle_check) {
            (Some(timer), Some(idle_check)) if idle_check.0 < timer.0 => Some(idle_check),
            (timer, idle_check) => timer.or(idle_check),
        }
    }

    /// Every call ends with `status` from here on.
    fn end(&mut self, status: Status) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.states.shared.slot.publish(Generation::ended(status));
        }
    }

    fn think(&mut self, message: Message) {
        match message {
            Message::Subscribe(subscriber) => self.states.subscribe(subscriber),
            Message::MaybeIdle => self.maybe_idle(),
            // Whoever asked may have gone meanwhile.
            Message::Dump(reader) => drop(reader.send(self.mode.dump())),
            Message::CallBegan => self.leave_idle(),
            Message::Connect if !self.mode.is_active() => self.leave_idle(),
            other => self.mode.think(other),
        }
    }

    /// Leaves idle mode, if the channel is in it.
    fn leave_idle(&mut self) {
        self.states.shared.activity.leave_idle();
        if !self.mode.is_active() {
            tracing::debug!(target: "channel", "leaving idle mode");
            self.states.publish(ConnectivityState::Connecting);
            self.mode.leave_idle();
            // A time-out beyond what the clock can say never comes.
            let timeout = self.mode.idle_timeout();
            self.idle_check = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        }
    }

    fn maybe_idle(&mut self) {
        let Some(timeout) = self.mode.idle_timeout() else {
            return;
        };
        match self.states.shared.activity.try_idle(timeout) {
            Err(look_again) => self.idle_check = Some(look_again),
            Ok(()) => {
                tracing::debug!(target: "channel", "entering idle mode");
                self.mode.enter_idle(&self.states);
                self.states.publish(ConnectivityState::Idle);
            }
        }
    }
}

/// However the task ends, with its runtime or in a panic of a policy that is dropped: nobody waits for it
/// in vain.
impl Drop for Driver {
    fn drop(&mut self) {
        let status = match std::thread::panicking() {
            true => Status::internal("the channel's task has panicked"),
            false => closing(),
        };
        self.end(status);
        self.states.publish(ConnectivityState::Shutdown);
    }
}

impl States {
    /// Tells everyone, unless nothing has changed. SHUTDOWN is final because the driver ends with it.
    pub(crate) fn publish(&mut self, state: ConnectivityState) {
        let old = self.shared.state.replace(state);
        if old == state {
            return;
        }
        tracing::debug!(target: "channel", from = %old, to = %state, "state");
        self.subscribers
            .retain(|subscriber| subscriber.send(state).is_ok());
    }

    fn subscribe(&mut self, subscriber: mpsc::UnboundedSender<ConnectivityState>) {
        if subscriber.send(self.shared.state.current()).is_ok() {
            self.subscribers.push(subscriber);
        }
    }
}

/// Sends what pickers and completion hooks signal to the driver.
pub(crate) struct Doorbell {
    pub(crate) period: Period,
    pub(crate) messages: Letterbox<Message>,
}

impl Wake for Doorbell {
    fn wake(&self, owner: Path) {
        // A driver that is gone has no policy left to wake.
        self.messages.post(Message::Wake {
            period: self.period,
            owner,
        });
    }
}
