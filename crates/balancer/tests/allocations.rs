//! What balancing allocates, and whether it gives it back.

#![expect(
    clippy::disallowed_methods,
    reason = "which time it is does not matter here"
)]

use std::sync::Arc;
use std::time::Instant;

use highball_balancer::{
    CallInfo, Choice, Command, Event, HealthState, Path, RoundRobin, SubchannelState, Tree, Wake,
};
use highball_core::{Attributes, Endpoint, MetadataMap};

/// Nobody sleeps here.
struct Awake;

impl Wake for Awake {
    fn wake(&self, _: Path) {}
}

fn resolve(tree: &mut Tree, count: usize) {
    let endpoints: Vec<_> = (0..count)
        .map(|n| Endpoint::from(format!("10.0.{}.{}:1", n / 250, n % 250).as_str()))
        .collect();
    let choice = Choice::of::<RoundRobin>(());
    let attributes = Attributes::default();
    tree.update(Instant::now(), &choice, endpoints.into(), attributes)
        .expect("round_robin takes any endpoints");
}

fn connect_all(tree: &mut Tree) {
    let now = Instant::now();
    for command in tree.take_commands() {
        if let Command::Create { id, owner, .. } = command {
            for state in [SubchannelState::Connecting, SubchannelState::Ready] {
                tree.event(now, &owner, Event::Subchannel { id, state });
            }
            let state = HealthState::Ready;
            tree.event(now, &owner, Event::Health { id, state });
        }
    }
}

#[test]
fn a_pick_allocates_nothing() {
    let mut tree = Tree::new(1, Arc::new(Awake));
    resolve(&mut tree, 100);
    connect_all(&mut tree);
    let picker = tree.take_published().unwrap().picker;
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/echo.Echo/Call", &metadata);
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            drop(picker.pick(&call));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn endpoints_that_leave_take_their_memory_along() {
    let mut tree = Tree::new(1, Arc::new(Awake));
    resolve(&mut tree, 1);
    connect_all(&mut tree);
    drop(tree.take_published());
    let grown = allocation_counter::measure(|| {
        resolve(&mut tree, 10_000);
        connect_all(&mut tree);
        drop(tree.take_published());
    });
    let shrunk = allocation_counter::measure(|| {
        resolve(&mut tree, 1);
        drop(tree.take_commands());
        drop(tree.take_published());
    });
    assert!(grown.bytes_current > 1_000_000, "{grown:?}");
    let left = grown.bytes_current + shrunk.bytes_current;
    assert!(
        left < 10_000,
        "{left} bytes stay of {}",
        grown.bytes_current
    );
}
