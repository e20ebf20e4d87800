//! What balancing may cost, measured and checked: `cargo bench -p highball-balancer`.
//!
//! | what | at most |
//! |---|---|
//! | 10 000 endpoints in one update | 200 ms |
//! | 10 000 endpoints turning READY, each in a turn of its own | 3 s |
//! | a pick among 100 READY subchannels | 50 ns |

#![expect(clippy::print_stdout, reason = "it is what a benchmark is for")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use highball_balancer::{
    CallInfo, Choice, Command, Event, HealthState, LbState, Path, RoundRobin, SubchannelState,
    Tree, Wake,
};
use highball_core::{Attributes, ConnectivityState, Endpoint, MetadataMap};

/// Nobody sleeps here.
struct Awake;

impl Wake for Awake {
    fn wake(&self, _: Path) {}
}

fn main() {
    // `cargo test --all-targets` builds and runs this too; without optimisation there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let many = 10_000;
    let (mut tree, commands, took) = resolve(many);
    check(
        "10 000 endpoints in one update",
        took,
        Duration::from_millis(200),
    );

    let started = Instant::now();
    let mut state = None;
    connect_all(&mut tree, &commands, |tree| state = tree.take_published());
    check(
        "10 000 endpoints turning READY, a turn each",
        started.elapsed(),
        Duration::from_secs(3),
    );
    assert_eq!(
        state.map(|state| state.connectivity),
        Some(ConnectivityState::Ready)
    );

    let started = Instant::now();
    update(&mut tree, &[Endpoint::from("10.0.0.0:1")]);
    let shutdowns = tree.take_commands();
    let gone = shutdowns
        .iter()
        .filter(|c| matches!(c, Command::Shutdown(_)))
        .count();
    assert_eq!(gone, many - 1);
    check(
        "9 999 of them leaving",
        started.elapsed(),
        Duration::from_millis(200),
    );

    let (mut tree, commands, _) = resolve(100);
    connect_all(&mut tree, &commands, |_| {});
    let state = tree.take_published().expect("all are READY");
    check(
        "a pick among 100 READY subchannels",
        pick(&state),
        Duration::from_nanos(50),
    );
}

fn check(what: &str, took: Duration, budget: Duration) {
    println!("{what}: {took:?} (budget {budget:?})");
    assert!(took <= budget, "{what}: over budget");
}

/// A fresh tree with that many endpoints.
fn resolve(n_endpoints: usize) -> (Tree, Vec<Command>, Duration) {
    let address = |n| format!("10.{}.{}.{}:1", n / 62_500, n / 250 % 250, n % 250);
    let endpoints: Vec<_> = (0..n_endpoints)
        .map(|n| Endpoint::from(address(n).as_str()))
        .collect();
    let mut tree = Tree::new(1, Arc::new(Awake));
    let started = Instant::now();
    update(&mut tree, &endpoints);
    tree.take_published();
    let commands = tree.take_commands();
    (tree, commands, started.elapsed())
}

fn update(tree: &mut Tree, endpoints: &[Endpoint]) {
    let choice = Choice::of::<RoundRobin>(());
    tree.update(
        Instant::now(),
        &choice,
        endpoints.into(),
        Attributes::default(),
    )
    .expect("round_robin takes any endpoints");
}

/// Tells every subchannel's owner that it is connected and healthy.
fn connect_all(tree: &mut Tree, commands: &[Command], mut end_turn: impl FnMut(&mut Tree)) {
    let now = Instant::now();
    for command in commands {
        if let Command::Create { id, owner, .. } = command {
            for state in [SubchannelState::Connecting, SubchannelState::Ready] {
                tree.event(now, owner, Event::Subchannel { id: *id, state });
            }
            let healthy = Event::Health {
                id: *id,
                state: HealthState::Ready,
            };
            tree.event(now, owner, healthy);
            end_turn(tree);
        }
    }
}

/// The time of one pick, over ten million.
fn pick(state: &LbState) -> Duration {
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/echo.Echo/Call", &metadata);
    let rounds = 10_000_000;
    let started = Instant::now();
    for _ in 0..rounds {
        black_box(state.picker.pick(black_box(&call)));
    }
    started.elapsed() / rounds
}
