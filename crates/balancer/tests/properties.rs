//! What must hold whatever happens: random scripts for pick_first, round_robin and switches between them.

use std::collections::BTreeSet;

use highball_balancer::{Choice, HealthState, PickFirst, RoundRobin, SubchannelState, pick_first};
use highball_core::{ConnectivityState, Endpoint, Status};
use highball_testkit::Sim;
use proptest::prelude::*;

/// One step of a script. Numbers choose among what is possible when it is taken.
#[derive(Clone, Debug)]
enum Step {
    /// Endpoints, each with these addresses.
    Resolve(Vec<Vec<u8>>),
    ResolverError,
    Subchannel {
        which: usize,
        what: usize,
    },
    Health {
        which: usize,
        what: usize,
    },
    Timer,
    Connect,
    Pick,
    SwitchPolicy,
}

fn steps(switches: bool) -> impl Strategy<Value = Vec<Step>> {
    let number = 0..1000_usize;
    let endpoint = prop::collection::vec(0..5_u8, 0..3);
    let last = if switches {
        Step::SwitchPolicy
    } else {
        Step::Pick
    };
    let step = prop_oneof![
        3 => prop::collection::vec(endpoint, 0..4).prop_map(Step::Resolve),
        1 => Just(Step::ResolverError),
        12 => (number.clone(), number.clone())
            .prop_map(|(which, what)| Step::Subchannel { which, what }),
        4 => (number.clone(), number).prop_map(|(which, what)| Step::Health { which, what }),
        3 => Just(Step::Timer),
        2 => Just(Step::Connect),
        2 => Just(Step::Pick),
        1 => Just(last),
    ];
    prop::collection::vec(step, 1..80)
}

/// A run, with what is needed to judge it.
struct Run {
    sim: Sim,
    choice: Choice,
    endpoints: Vec<Vec<u8>>,
    /// What the latest step published, in order.
    published: Vec<String>,
}

impl Run {
    fn new(choice: Choice) -> Self {
        Self {
            sim: Sim::new(3),
            choice,
            endpoints: Vec::new(),
            published: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Resolve(endpoints) => {
                self.endpoints = endpoints.clone();
                self.resolve();
            }
            Step::SwitchPolicy => {
                self.choice = match self.choice.name() {
                    "pick_first" => round_robin(),
                    _ => pick_first(),
                };
                self.resolve();
            }
            Step::ResolverError => self
                .sim
                .fail_resolution(Status::unavailable("no such host")),
            Step::Subchannel { which, what } => self.subchannel(*which, *what),
            Step::Health { which, what } => self.health(*which, *what),
            Step::Timer => drop(self.sim.timer()),
            Step::Connect => self.sim.exit_idle(),
            Step::Pick => drop(self.sim.pick(1)),
        }
        let log = self.sim.take_log();
        let published = log
            .lines()
            .filter_map(|line| line.strip_prefix("  publish "));
        self.published = published.map(str::to_owned).collect();
    }

    fn resolve(&mut self) {
        let addresses = |endpoint: &Vec<u8>| endpoint.iter().map(|n| format!("{n}:1")).collect();
        let endpoints: Vec<Vec<String>> = self.endpoints.iter().map(addresses).collect();
        let endpoints = endpoints
            .iter()
            .map(|addresses| Endpoint::new(addresses.iter().map(String::as_str)));
        self.sim.resolve(&self.choice, endpoints);
    }

    /// One of the subchannels takes one of the steps that it can take.
    fn subchannel(&mut self, which: usize, what: usize) {
        let Some(label) = self.nth_subchannel(which) else {
            return;
        };
        let failed = || SubchannelState::TransientFailure(Status::unavailable("refused"));
        let possible = match self.sim.state_of(&label) {
            SubchannelState::Idle => vec![],
            SubchannelState::Connecting => vec![SubchannelState::Ready, failed()],
            SubchannelState::TransientFailure(_) => vec![SubchannelState::Idle],
            SubchannelState::Ready => {
                vec![SubchannelState::Idle, SubchannelState::Connecting, failed()]
            }
        };
        if let Some(state) = nth(&possible, what) {
            self.sim.subchannel(&label, state);
        }
    }

    fn health(&mut self, which: usize, what: usize) {
        let states = [
            HealthState::Ready,
            HealthState::Connecting,
            HealthState::TransientFailure(Status::unavailable("draining")),
        ];
        let label = self.nth_subchannel(which);
        if let (Some(label), Some(state)) = (label, nth(&states, what)) {
            self.sim.health(&label, state);
        }
    }

    fn nth_subchannel(&self, n: usize) -> Option<String> {
        nth(&self.sim.subchannels(), n).map(str::to_owned)
    }

    fn addresses(&self) -> BTreeSet<u8> {
        self.endpoints.iter().flatten().copied().collect()
    }

    /// A picker does what its state promises, and names only subchannels that are alive and READY.
    fn check_picker(&mut self) {
        let Some(state) = self.sim.state().map(|state| state.connectivity) else {
            return;
        };
        for pick in self.sim.pick(3) {
            match state {
                ConnectivityState::Ready => {
                    assert!(
                        self.sim.subchannels().contains(&&*pick),
                        "{pick} is not alive"
                    );
                    assert_eq!(*self.sim.state_of(&pick), SubchannelState::Ready);
                }
                ConnectivityState::TransientFailure => assert!(pick.starts_with("fail "), "{pick}"),
                _ => assert_eq!(pick, "wait"),
            }
        }
        self.sim.take_log();
    }

    /// Without addresses there is nothing left: no subchannel, no timer.
    fn check_nothing_leaks(&mut self) {
        self.endpoints.clear();
        self.resolve();
        assert_eq!(self.sim.subchannels(), [""; 0]);
        assert_eq!(self.sim.timers(), 0);
    }
}

fn nth<T: Clone>(items: &[T], n: usize) -> Option<T> {
    let index = n.checked_rem(items.len())?;
    Some(items[index].clone())
}

fn pick_first() -> Choice {
    Choice::of::<PickFirst>(pick_first::Config {
        shuffle_address_list: true,
    })
}

fn round_robin() -> Choice {
    Choice::of::<RoundRobin>(())
}

proptest! {
    #[test]
    fn pick_first_holds_what_it_promises(steps in steps(false)) {
        let mut run = Run::new(pick_first());
        // Whether TRANSIENT_FAILURE came of connections that failed.
        let mut sticky = false;
        for step in &steps {
            run.take(step);
            let emptied = matches!(step, Step::Resolve(_)) && run.addresses().is_empty();
            sticky &= !emptied;
            for published in &run.published {
                let stays = matches!(published.as_str(), "READY" | "TRANSIENT_FAILURE");
                prop_assert!(stays || !sticky, "{published} after a failed pass, at {step:?}");
                sticky = match step {
                    Step::Subchannel { .. } | Step::Timer => published == "TRANSIENT_FAILURE",
                    _ => sticky && published != "READY",
                };
            }
            prop_assert!(run.sim.subchannels().len() <= run.addresses().len());
            prop_assert!(run.sim.timers() <= 1);
            run.check_picker();
        }
        run.check_nothing_leaks();
    }

    #[test]
    fn round_robin_holds_what_it_promises(steps in steps(false)) {
        let mut run = Run::new(round_robin());
        for step in &steps {
            run.take(step);
            if matches!(step, Step::Resolve(_)) {
                prop_assert_eq!(run.published.len(), 1, "one publication per update");
            }
            prop_assert!(!run.published.iter().any(|state| state == "IDLE"));
            let endpoints: usize = run.endpoints.iter().map(Vec::len).sum();
            prop_assert!(run.sim.subchannels().len() <= endpoints);
            run.check_picker();
        }
        run.check_nothing_leaks();
    }

    #[test]
    fn switches_lose_nothing_and_keep_nothing(steps in steps(true)) {
        let mut run = Run::new(pick_first());
        for step in &steps {
            run.take(step);
            run.check_picker();
        }
        run.check_nothing_leaks();
    }
}
