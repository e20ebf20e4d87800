//! The tree as a driver holds it: what is filtered, what is coalesced, what survives a panic.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use highball_balancer::{
    CallInfo, Choice, Command, ConfigError, Cx, Event, HealthState, LbState, Path, PerEndpoint,
    Pick, PickFirst, Policy, Registry, Selection, Subchannel, SubchannelId, SubchannelState, Timer,
    Tree, Update, Wake, Waker, pick_first,
};
use highball_core::{Attributes, ConnectivityState, Endpoint, MetadataMap, Rejected, Status};
use serde_json::Value;

struct Inbox(mpsc::Sender<Path>);

impl Wake for Inbox {
    fn wake(&self, owner: Path) {
        let _ = self.0.send(owner);
    }
}

fn tree() -> (Tree, mpsc::Receiver<Path>) {
    let (sender, wakes) = mpsc::channel();
    (Tree::new(7, Arc::new(Inbox(sender))), wakes)
}

fn update(tree: &mut Tree, choice: &Choice, endpoints: &[&str]) {
    let endpoints = endpoints.iter().map(|text| Endpoint::from(*text)).collect();
    tree.update(now(), choice, endpoints, Attributes::default())
        .unwrap();
}

/// Any time will do: no test here waits.
fn now() -> Instant {
    static NOW: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "a tree needs a first moment; it is read once"
    )]
    *NOW.get_or_init(Instant::now)
}

/// Hears everything, and does what its events tell it to: the plainest policy that can be watched. Those
/// with another number are another policy.
#[derive(Debug)]
struct Recorder<const N: u8> {
    heard: mpsc::Sender<Event>,
    subchannel: Option<Subchannel>,
    timer: Option<Timer>,
}

/// What a recorder reports to.
#[derive(Debug)]
struct Listener(mpsc::Sender<Event>, mpsc::Sender<Waker>);

impl<const N: u8> Policy for Recorder<N> {
    const NAME: &'static str = "recorder";
    type Config = Listener;

    fn parse(_: &Value, _: &Registry) -> Result<Listener, ConfigError> {
        unreachable!("chosen by hand")
    }

    fn new(_: &mut Cx<'_>) -> Self {
        let (heard, _) = mpsc::channel();
        Self {
            heard,
            subchannel: None,
            timer: None,
        }
    }

    fn update(&mut self, update: Update<Listener>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.heard = update.config.0.clone();
        update.config.1.send(cx.waker()).unwrap();
        let address = update.endpoints[0].addresses()[0].clone();
        self.subchannel = Some(cx.new_subchannel(address));
        self.timer = Some(cx.set_timer(Duration::from_secs(1)));
        Ok(())
    }

    fn event(&mut self, event: Event, _: &mut Cx<'_>) {
        match &event {
            Event::ResolutionFailed(status) if status.message() == "panic" => panic!("as told"),
            Event::ExitIdle => (self.subchannel, self.timer) = (None, None),
            Event::Timer(_) => self.timer = None,
            Event::Subchannel {
                state: SubchannelState::Ready,
                ..
            } => {
                self.subchannel.as_ref().unwrap().watch_health();
            }
            _ => {}
        }
        self.heard.send(event).unwrap();
    }
}

/// A tree with a recorder; what it hears and its waker; its subchannel and timer, with their owner.
struct Recorded {
    tree: Tree,
    heard: mpsc::Receiver<Event>,
    waker: Waker,
    wakes: mpsc::Receiver<Path>,
    owner: Path,
    subchannel: SubchannelId,
    timer: highball_balancer::TimerId,
}

fn recorded() -> Recorded {
    let (mut tree, wakes) = tree();
    let (sender, heard) = mpsc::channel();
    let (waker_sender, wakers) = mpsc::channel();
    let choice = Choice::of::<Recorder<0>>(Listener(sender, waker_sender));
    update(&mut tree, &choice, &["a:1"]);
    let commands = tree.take_commands();
    let [
        Command::Create { id, owner, .. },
        Command::SetTimer { id: timer, .. },
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    Recorded {
        heard,
        waker: wakers.recv().unwrap(),
        wakes,
        owner: owner.clone(),
        subchannel: *id,
        timer: *timer,
        tree,
    }
}

impl Recorded {
    fn event(&mut self, event: Event) {
        self.tree.event(now(), &self.owner.clone(), event);
    }

    fn events_heard(&self) -> usize {
        self.heard.try_iter().count()
    }
}

#[test]
fn a_dropped_subchannel_or_timer_is_never_heard_of_again() {
    let mut run = recorded();
    let (id, timer) = (run.subchannel, run.timer);
    run.event(Event::Subchannel {
        id,
        state: SubchannelState::Connecting,
    });
    assert_eq!(run.events_heard(), 1);
    run.event(Event::ExitIdle);
    assert_eq!(run.events_heard(), 1, "here it drops both");
    run.event(Event::Subchannel {
        id,
        state: SubchannelState::Ready,
    });
    run.event(Event::Health {
        id,
        state: HealthState::Ready,
    });
    run.event(Event::Timer(timer));
    assert_eq!(run.events_heard(), 0);
    assert_eq!(
        run.tree.take_commands(),
        [Command::Shutdown(id), Command::CancelTimer(timer)]
    );
}

#[test]
fn a_timer_that_has_fired_needs_no_cancelling_and_fires_once() {
    let mut run = recorded();
    run.event(Event::Timer(run.timer));
    run.event(Event::Timer(run.timer));
    assert_eq!(run.events_heard(), 1);
    assert_eq!(run.tree.take_commands(), []);
}

#[test]
fn health_is_heard_only_while_it_is_watched() {
    let mut run = recorded();
    let id = run.subchannel;
    let healthy = || Event::Health {
        id,
        state: HealthState::Ready,
    };
    run.event(healthy());
    assert_eq!(run.events_heard(), 0, "nobody asked");
    run.event(Event::Subchannel {
        id,
        state: SubchannelState::Ready,
    });
    assert_eq!(run.tree.take_commands(), [Command::WatchHealth(id)]);
    run.event(healthy());
    assert_eq!(run.events_heard(), 2);
    run.event(Event::Subchannel {
        id,
        state: SubchannelState::Idle,
    });
    run.event(healthy());
    assert_eq!(run.events_heard(), 1, "leaving READY ends the watch");
}

#[test]
fn a_watch_that_ended_in_its_own_turn_is_not_asked_for() {
    let mut run = recorded();
    let id = run.subchannel;
    for state in [SubchannelState::Ready, SubchannelState::Idle] {
        run.event(Event::Subchannel { id, state });
    }
    assert_eq!(run.tree.take_commands(), []);
}

#[test]
fn wakes_from_many_threads_are_one_until_delivered() {
    let mut run = recorded();
    let wake_from_all = |waker: &Waker| {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(|_| waker.wake()));
            }
        });
    };
    for _ in 0..2 {
        wake_from_all(&run.waker);
        assert_eq!(
            run.wakes.try_iter().collect::<Vec<_>>(),
            [run.owner.clone()]
        );
        run.event(Event::Woken);
        assert_eq!(run.events_heard(), 1);
    }
}

#[test]
fn all_wakers_of_a_policy_are_one() {
    let mut run = recorded();
    let (sender, _heard) = mpsc::channel();
    let (waker_sender, wakers) = mpsc::channel();
    let again = Choice::of::<Recorder<0>>(Listener(sender, waker_sender));
    update(&mut run.tree, &again, &["a:1"]);
    run.waker.wake();
    wakers.recv().unwrap().wake();
    assert_eq!(run.wakes.try_iter().count(), 1);
}

#[test]
fn what_is_for_everyone_is_for_the_newest_policy_alone() {
    let mut run = recorded();
    let (sender, heard_by_pending) = mpsc::channel();
    let (waker_sender, _wakers) = mpsc::channel();
    let pending = Choice::of::<Recorder<1>>(Listener(sender, waker_sender));
    update(&mut run.tree, &pending, &["b:1"]);
    let failed = Event::ResolutionFailed(Status::unavailable("no such host"));
    run.tree.event(now(), &Path::root(), failed);
    run.tree.event(now(), &Path::root(), Event::ExitIdle);
    assert_eq!(run.events_heard(), 0);
    assert_eq!(heard_by_pending.try_iter().count(), 2);
    let id = run.subchannel;
    run.event(Event::Subchannel {
        id,
        state: SubchannelState::Connecting,
    });
    assert_eq!(
        run.events_heard(),
        1,
        "what is its own, the older policy still hears"
    );
    assert_eq!(heard_by_pending.try_iter().count(), 0);
}

#[test]
fn waking_a_policy_that_is_gone_does_nothing() {
    let mut run = recorded();
    let next = Choice::of::<PickFirst>(pick_first::Config::default());
    update(&mut run.tree, &next, &["b:1"]);
    run.waker.wake();
    run.event(Event::Woken);
    assert_eq!(run.events_heard(), 0);
}

#[test]
fn a_tree_whose_policy_panicked_can_be_dropped() {
    let mut run = recorded();
    let event = Event::ResolutionFailed(Status::unavailable("panic"));
    let panicked = catch_unwind(AssertUnwindSafe(|| run.event(event)));
    assert!(panicked.is_err());
    drop(run);
}

#[test]
fn handles_may_outlive_their_tree() {
    let run = recorded();
    let waker = run.waker.clone();
    drop(run.tree);
    waker.wake();
    assert_eq!(run.wakes.try_iter().count(), 1);
}

/// A petiole that counts how often it builds a picker.
#[derive(Debug)]
struct Counting {
    children: PerEndpoint<PickFirst>,
    built: Arc<AtomicUsize>,
}

impl Policy for Counting {
    const NAME: &'static str = "counting";
    type Config = Arc<AtomicUsize>;

    fn parse(_: &Value, _: &Registry) -> Result<Arc<AtomicUsize>, ConfigError> {
        unreachable!("chosen by hand")
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new(),
            built: Arc::default(),
        }
    }

    fn update(&mut self, update: Update<Self::Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.built = (*update.config).clone();
        let update = update.with_config(pick_first::Config::default());
        let result = self.children.update(update, cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.children.deliver(event, cx);
        self.publish_changes(cx);
    }
}

impl Counting {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if self.children.take_changed() {
            self.built.fetch_add(1, Ordering::Relaxed);
            let state = self.children.aggregate(cx);
            cx.publish_state(state);
        }
    }
}

#[test]
fn a_thousand_endpoints_turning_ready_in_one_turn_cost_one_picker() {
    let (mut tree, _wakes) = tree();
    let built = Arc::new(AtomicUsize::new(0));
    let names: Vec<_> = (0..1000)
        .map(|n| format!("10.0.{}.{}:1", n / 250, n % 250))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    update(&mut tree, &Choice::of::<Counting>(built.clone()), &names);
    assert!(tree.take_published().is_some());
    assert_eq!(built.load(Ordering::Relaxed), 1);
    for command in tree.take_commands() {
        if let Command::Create { id, owner, .. } = command {
            for state in [SubchannelState::Connecting, SubchannelState::Ready] {
                tree.event(now(), &owner, Event::Subchannel { id, state });
            }
            tree.event(
                now(),
                &owner,
                Event::Health {
                    id,
                    state: HealthState::Ready,
                },
            );
        }
    }
    let state = tree.take_published().expect("all of them are READY");
    assert_eq!(state.connectivity, ConnectivityState::Ready);
    assert_eq!(built.load(Ordering::Relaxed), 2);
    assert_eq!(different_picks(&state, 1000), 1000);
}

#[test]
fn connecting_starts_at_a_random_endpoint_and_keeps_the_order() {
    let names = ["a:1", "b:1", "c:1", "d:1", "e:1"];
    let mut starts = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (sender, _wakes) = mpsc::channel();
        let mut tree = Tree::new(seed, Arc::new(Inbox(sender)));
        update(&mut tree, &Choice::of::<Counting>(Arc::default()), &names);
        let commands = tree.take_commands();
        let created = commands.iter().filter_map(|command| match command {
            Command::Create { address, .. } => Some(address.text()),
            _ => None,
        });
        let created: Vec<_> = created.collect();
        let start = names.iter().position(|name| *name == created[0]).unwrap();
        let rotated: Vec<_> = names.iter().cycle().skip(start).take(5).copied().collect();
        assert_eq!(created, rotated, "seed {seed}");
        starts.insert(start);
    }
    assert_eq!(starts.len(), 5, "every endpoint is first for some clients");
}

/// How many different subchannels that many calls go to.
fn different_picks(state: &LbState, calls: usize) -> usize {
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/m", &metadata);
    let pick = |_| match state.picker.pick(&call) {
        Pick::Use(Selection { subchannel, .. }) => subchannel,
        other => panic!("{other:?}"),
    };
    (0..calls)
        .map(pick)
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}
