//! A policy that watches over others: it ejects a subchannel whose calls keep failing, for a while.
//!
//! Written with the public API, to show that it suffices: completion hooks count, a waker carries the
//! news, a derived health event takes the subchannel out of its owner's choice, a timer brings it back.
//! The transcripts under `tests/transcripts/ejecting` show it at work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highball_balancer::{
    CallInfo, Choice, ConfigError, Cx, Event, GracefulSwitch, HealthState, LbState, Outcome, Pick,
    Picker, Policy, Registry, SubchannelId, Timer, TimerId, Update, Waker,
};
use highball_core::{Rejected, Status};
use highball_testkit::transcript;
use serde_json::Value;

/// `{"failures": n, "childPolicy": […]}`: n failures in a row eject for ten seconds.
#[derive(Debug)]
struct Config {
    failures: u32,
    child: Choice,
}

#[derive(Debug)]
struct Ejecting {
    child: GracefulSwitch,
    watched: BTreeMap<SubchannelId, Watched>,
    limit: u32,
}

#[derive(Debug)]
struct Watched {
    /// Failures in a row; counted by completion hooks.
    failures: Arc<AtomicU32>,
    /// What its owner would have heard last, were there nobody in between.
    health: HealthState,
    /// Runs while it is ejected.
    ejected: Option<Timer>,
}

impl Policy for Ejecting {
    const NAME: &'static str = "ejecting";
    type Config = Config;

    fn parse(config: &Value, registry: &Registry) -> Result<Config, ConfigError> {
        let failures = config["failures"].as_u64().and_then(|n| n.try_into().ok());
        let failures = failures.ok_or_else(|| ConfigError::Invalid("failures: a number".into()))?;
        let child = registry.choose_child(&config["childPolicy"])?;
        Ok(Config { failures, child })
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            child: GracefulSwitch::new(),
            watched: BTreeMap::new(),
            limit: 0,
        }
    }

    fn update(&mut self, update: Update<Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.limit = update.config.failures;
        let child = &update.config.child;
        let result = self
            .child
            .update(child, update.endpoints, update.attributes, cx);
        self.after(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        if let Event::Health { id, state } = &event
            && let Some(watched) = self.watched.get_mut(id)
        {
            watched.health = state.clone();
            if watched.ejected.is_some() {
                return;
            }
        }
        match self.child.deliver(event, cx) {
            Some(Event::Woken) => self.eject(cx),
            Some(Event::Timer(id)) => self.readmit(id, cx),
            _ => {}
        }
        self.after(cx);
    }
}

impl Ejecting {
    fn eject(&mut self, cx: &mut Cx<'_>) {
        for (id, watched) in &mut self.watched {
            let failures = watched.failures.load(Ordering::Relaxed);
            if failures >= self.limit && watched.ejected.is_none() {
                watched.ejected = Some(cx.set_timer(Duration::from_secs(10)));
                let status = Status::unavailable(format!("ejected after {failures} failures"));
                tell(
                    &mut self.child,
                    *id,
                    HealthState::TransientFailure(status),
                    cx,
                );
            }
        }
    }

    fn readmit(&mut self, timer: TimerId, cx: &mut Cx<'_>) {
        for (id, watched) in &mut self.watched {
            if watched
                .ejected
                .as_ref()
                .is_some_and(|ejected| ejected.id() == timer)
            {
                watched.ejected = None;
                watched.failures.store(0, Ordering::Relaxed);
                tell(&mut self.child, *id, watched.health.clone(), cx);
            }
        }
    }

    /// Looks at what the child did in this turn: subchannels that came and went, and its state.
    fn after(&mut self, cx: &mut Cx<'_>) {
        self.watched.retain(|id, _| cx.address_of(*id).is_some());
        for id in cx.created() {
            self.watched.entry(id).or_insert_with(|| Watched {
                failures: Arc::default(),
                health: HealthState::Connecting,
                ejected: None,
            });
        }
        if let (true, Some(state)) = (self.child.take_changed(), self.child.state()) {
            let counters = self.watched.iter().map(|(id, w)| (*id, w.failures.clone()));
            let picker = Counting {
                child: state.picker.clone(),
                counters: counters.collect(),
                limit: self.limit,
                waker: cx.waker(),
            };
            cx.publish_state(LbState::new(state.connectivity, picker));
        }
    }
}

/// A derived event for the owner of a subchannel, on the way that the driver's own would take.
fn tell(child: &mut GracefulSwitch, id: SubchannelId, state: HealthState, cx: &mut Cx<'_>) {
    cx.toward(id, |cx| child.deliver(Event::Health { id, state }, cx));
}

#[derive(Debug)]
struct Counting {
    child: Arc<dyn Picker>,
    counters: BTreeMap<SubchannelId, Arc<AtomicU32>>,
    limit: u32,
    waker: Waker,
}

impl Picker for Counting {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        let selection = match self.child.pick(call) {
            Pick::Use(selection) => selection,
            other => return other,
        };
        let Some(counter) = self.counters.get(&selection.subchannel).cloned() else {
            return Pick::Use(selection);
        };
        let (limit, waker) = (self.limit, self.waker.clone());
        Pick::Use(selection.on_done(move |outcome: &Outcome| {
            if !outcome.is_failure() {
                counter.store(0, Ordering::Relaxed);
            } else if counter.fetch_add(1, Ordering::Relaxed) + 1 >= limit {
                waker.wake();
            }
        }))
    }
}

#[test]
fn a_policy_that_watches_over_others_does_what_its_transcripts_say() {
    let mut registry = Registry::builtin();
    registry.register::<Ejecting>();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/ejecting");
    transcript::check(folder, &registry);
}
