//! Picks of `round_robin` among 100 READY subchannels.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use bench_kit::{End, Result};
use highball_channel::policy::{
    CallInfo, Choice, Command, Event, HealthState, Path, Picker, RoundRobin, SubchannelState, Tree,
    Wake,
};
use highball_channel::{Attributes, Endpoint, MetadataMap};

const SUBCHANNELS: usize = 100;
const PICKS: u32 = 10_000_000;

pub(crate) struct Picks {
    pub(crate) alone_ns: f64,
    pub(crate) together_ns: f64,
    pub(crate) allocations: f64,
}

/// Nobody sleeps here.
struct Awake;

impl Wake for Awake {
    fn wake(&self, _: Path) {}
}

pub(crate) fn measure() -> Result<Picks> {
    let picker = picker()?;
    pick(&picker);
    let before = End::Client.count().allocations;
    let alone_ns = pick(&picker);
    let allocations = End::Client.count().allocations - before;
    let barrier = Arc::new(Barrier::new(2));
    let threads = [(); 2].map(|()| {
        let (picker, barrier) = (picker.clone(), barrier.clone());
        thread::spawn(move || {
            barrier.wait();
            pick(&picker)
        })
    });
    let mut together_ns: f64 = 0.0;
    for thread in threads {
        let ns = thread.join().map_err(|_| "a thread that picks panicked")?;
        together_ns = together_ns.max(ns);
    }
    Ok(Picks {
        alone_ns,
        together_ns,
        allocations: allocations as f64 / f64::from(PICKS),
    })
}

/// Nanoseconds of one.
fn pick(picker: &Arc<dyn Picker>) -> f64 {
    let metadata = MetadataMap::new();
    let call = CallInfo::new("/bench.Echo/Unary", &metadata);
    let started = Instant::now();
    for _ in 0..PICKS {
        // Where it is: a copy of it, straight behind its being written, would take longer than the pick.
        black_box(&picker.pick(black_box(&call)));
    }
    started.elapsed().as_nanos() as f64 / f64::from(PICKS)
}

/// What `round_robin` publishes when all its subchannels are READY.
fn picker() -> Result<Arc<dyn Picker>> {
    let mut tree = Tree::new(1, Arc::new(Awake));
    let endpoints: Vec<_> = (0..SUBCHANNELS)
        .map(|n| Endpoint::from(format!("10.0.0.{n}:1").as_str()))
        .collect();
    let now = Instant::now();
    let choice = Choice::of::<RoundRobin>(());
    tree.update(now, &choice, endpoints.into(), Attributes::default())?;
    for command in tree.take_commands() {
        if let Command::Create { id, owner, .. } = command {
            for state in [SubchannelState::Connecting, SubchannelState::Ready] {
                tree.event(now, &owner, Event::Subchannel { id, state });
            }
            let state = HealthState::Ready;
            tree.event(now, &owner, Event::Health { id, state });
        }
    }
    let published = tree.take_published().ok_or("nothing was published")?;
    Ok(published.picker)
}
