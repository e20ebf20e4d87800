//! A policy that does not start before someone wants a connection.

use highball_core::{ConnectivityState, Rejected, Status};
use serde_json::Value;
use tracing::debug;

use crate::{Child, ConfigError, Cx, Event, IdlePicker, Policy, Registry, Update};

/// Holds back policy `P` until it is told to leave IDLE or a call is placed.
///
/// Until then it is IDLE and remembers only the latest endpoints, and a resolver error if one came after
/// them. From then on everything passes through. For petioles with many endpoints of which few are used.
#[derive(Debug)]
pub struct Lazy<P: Policy>(State<P>);

#[derive(Debug)]
enum State<P: Policy> {
    Asleep {
        update: Option<Update<P::Config>>,
        error: Option<Status>,
    },
    Awake(Child<P>),
}

impl<P: Policy> Policy for Lazy<P> {
    const NAME: &'static str = "lazy";
    type Config = P::Config;

    fn parse(config: &Value, registry: &Registry) -> Result<P::Config, ConfigError> {
        P::parse(config, registry)
    }

    fn new(cx: &mut Cx<'_>) -> Self {
        let picker = IdlePicker(cx.waker());
        cx.publish(ConnectivityState::Idle, picker);
        Self(State::Asleep {
            update: None,
            error: None,
        })
    }

    fn update(&mut self, new: Update<P::Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        match &mut self.0 {
            State::Asleep { update, error } => {
                *update = Some(new);
                *error = None;
                Ok(())
            }
            State::Awake(child) => {
                let result = child.update(new, cx);
                publish_changes(child, cx);
                result
            }
        }
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        match (&mut self.0, event) {
            (State::Asleep { .. }, Event::ExitIdle | Event::Woken) => self.wake(cx),
            (State::Asleep { error, .. }, Event::ResolutionFailed(status)) => {
                *error = Some(status);
            }
            (State::Asleep { .. }, _) => {}
            (State::Awake(child), event) => {
                child.deliver(event, cx);
                publish_changes(child, cx);
            }
        }
    }
}

impl<P: Policy> Lazy<P> {
    /// Starts the child with what was remembered. It starts because it is wanted, so it is told to leave
    /// IDLE as well.
    fn wake(&mut self, cx: &mut Cx<'_>) {
        let mut child = Child::new(cx);
        let asleep = std::mem::replace(
            &mut self.0,
            State::Asleep {
                update: None,
                error: None,
            },
        );
        if let State::Asleep { update, error } = asleep {
            if let Some(Err(rejected)) = update.map(|update| child.update(update, cx)) {
                debug!(target: "balancer", path = %cx.path(), %rejected, "first state refused");
                cx.request_resolution();
            }
            for event in error
                .map(Event::ResolutionFailed)
                .into_iter()
                .chain([Event::ExitIdle])
            {
                child.deliver(event, cx);
            }
        }
        publish_changes(&mut child, cx);
        self.0 = State::Awake(child);
    }
}

fn publish_changes<P: Policy>(child: &mut Child<P>, cx: &mut Cx<'_>) {
    if child.take_changed() {
        cx.publish_state(child.state().clone());
    }
}
