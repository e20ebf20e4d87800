//! `round_robin`: a pick, an update, and subchannels that turn READY.
//!
//! What of it is a target is measured and held against it by `peers/bench/run`.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion};
use highball_balancer::{
    CallInfo, Choice, Command, Event, HealthState, Path, RoundRobin, SubchannelState, Tree, Wake,
};
use highball_core::{Attributes, Endpoint, MetadataMap};

/// Nobody sleeps here.
struct Awake;

impl Wake for Awake {
    fn wake(&self, _: Path) {}
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pick(&mut criterion);
    update(&mut criterion);
    criterion.final_summary();
}

fn pick(criterion: &mut Criterion) {
    let (mut tree, commands) = resolved(100);
    connect_all(&mut tree, &commands);
    let state = tree.take_published().expect("all are READY");
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/echo.Echo/Call", &metadata);
    criterion.bench_function("pick among 100 READY subchannels", |bencher| {
        bencher.iter(|| state.picker.pick(black_box(&call)));
    });
}

fn update(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10 000 endpoints");
    group.sample_size(10);
    let many = endpoints(10_000);
    group.bench_function("arrive in one update", |bencher| {
        let tree = || Tree::new(1, Arc::new(Awake));
        let resolve = |mut tree: Tree| {
            resolve(&mut tree, &many);
            (tree.take_published(), tree.take_commands(), tree)
        };
        bencher.iter_batched(tree, resolve, BatchSize::PerIteration);
    });
    group.bench_function("turn READY in one turn", |bencher| {
        let resolved = || resolved(10_000);
        let connect = |(mut tree, commands): (Tree, Vec<Command>)| {
            connect_all(&mut tree, &commands);
            (tree.take_published(), tree)
        };
        bencher.iter_batched(resolved, connect, BatchSize::PerIteration);
    });
    group.finish();
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    let address = |n| format!("10.{}.{}.{}:1", n / 62_500, n / 250 % 250, n % 250);
    (0..count)
        .map(|n| Endpoint::from(address(n).as_str()))
        .collect()
}

/// A fresh tree with that many endpoints, and what it asks for.
fn resolved(count: usize) -> (Tree, Vec<Command>) {
    let mut tree = Tree::new(1, Arc::new(Awake));
    resolve(&mut tree, &endpoints(count));
    tree.take_published();
    let commands = tree.take_commands();
    (tree, commands)
}

fn resolve(tree: &mut Tree, endpoints: &[Endpoint]) {
    let choice = Choice::of::<RoundRobin>(());
    let attributes = Attributes::default();
    tree.update(Instant::now(), &choice, endpoints.into(), attributes)
        .expect("round_robin takes any endpoints");
}

/// Tells every subchannel's owner that it is connected and healthy.
fn connect_all(tree: &mut Tree, commands: &[Command]) {
    let now = Instant::now();
    for command in commands {
        if let Command::Create { id, owner, .. } = command {
            for state in [SubchannelState::Connecting, SubchannelState::Ready] {
                tree.event(now, owner, Event::Subchannel { id: *id, state });
            }
            let state = HealthState::Ready;
            tree.event(now, owner, Event::Health { id: *id, state });
        }
    }
}
