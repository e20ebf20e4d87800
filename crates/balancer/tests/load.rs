//! Watches over the load of servers: who is told, and until when (gRFC A51).

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::mpsc;
use std::time::Duration;

use highball_balancer::{
    Choice, ConfigError, Cx, Event, LoadWatch, PerEndpoint, PickFirst, Policy, Registry,
    SubchannelId, SubchannelState, Update, pick_first,
};
use highball_core::{LoadReport, Rejected};
use highball_testkit::Sim;
use serde_json::Value;

/// Watches the load of whatever its children make, at each of the intervals in its config.
#[derive(Debug)]
struct Listening {
    children: PerEndpoint<PickFirst>,
    config: Option<Config>,
    watches: Vec<(SubchannelId, LoadWatch)>,
}

#[derive(Clone, Debug)]
struct Config {
    intervals: Vec<Duration>,
    heard: mpsc::Sender<(String, f64)>,
}

impl Policy for Listening {
    const NAME: &'static str = "listening";
    type Config = Config;

    fn parse(_: &Value, _: &Registry) -> Result<Config, ConfigError> {
        unreachable!("chosen by hand")
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new(),
            config: None,
            watches: Vec::new(),
        }
    }

    fn update(&mut self, update: Update<Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let config = Config::clone(&update.config);
        let update = update.with_config(pick_first::Config::default());
        let result = self.children.update(update, cx);
        for id in cx.created() {
            for interval in &config.intervals {
                self.watches.push((id, cx.watch_load(id, *interval)));
            }
        }
        self.config = Some(config);
        result
    }

    /// Told to leave IDLE, it drops its watches. A resolver's failure has it begin another and drop that at once.
    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        match &event {
            Event::ExitIdle => self.watches.clear(),
            Event::ResolutionFailed(_) => drop(cx.watch_load(self.watches[0].0, Duration::ZERO)),
            _ => {}
        }
        if let Some(Event::Load { id, watch, report }) = self.children.deliver(event, cx) {
            assert!(
                self.watches
                    .iter()
                    .any(|(of, held)| (*of, held.id()) == (id, watch))
            );
            let address = cx.address_of(id).unwrap().to_string();
            let heard = &self.config.as_ref().unwrap().heard;
            heard.send((address, report.eps)).unwrap();
        }
        self.children.take_changed();
    }
}

/// A simulation of that policy over two servers, and what the policy hears.
struct Run {
    sim: Sim,
    choice: Choice,
    heard: mpsc::Receiver<(String, f64)>,
}

impl Run {
    fn with(intervals: &[u64]) -> Self {
        let (sender, heard) = mpsc::channel();
        let choice = Choice::of::<Listening>(Config {
            intervals: intervals.iter().copied().map(Duration::from_secs).collect(),
            heard: sender,
        });
        let mut sim = Sim::new(7);
        assert!(sim.resolve(&choice, ["a:1", "b:2"]));
        Self { sim, choice, heard }
    }

    fn report(&mut self, label: &str, eps: f64) {
        let report = LoadReport {
            eps,
            ..LoadReport::default()
        };
        self.sim.load(label, report);
    }

    fn heard(&self) -> Vec<(String, f64)> {
        self.heard.try_iter().collect()
    }

    /// What has been asked for, about load, sorted: which child comes first is left to chance.
    fn asked(&mut self) -> Vec<String> {
        let log = self.sim.take_log();
        let lines = log.lines().map(str::trim);
        let about_load = lines.filter(|line| line.contains("load"));
        let mut asked: Vec<_> = about_load.map(str::to_owned).collect();
        asked.sort();
        asked
    }
}

#[test]
fn a_policy_hears_the_load_of_subchannels_below_it_once_for_each_watch() {
    let mut run = Run::with(&[10, 30]);
    assert_eq!(run.asked().len(), 4);
    run.sim.subchannel("a:1", SubchannelState::Ready);
    run.report("a:1", 7.0);
    let a = || ("a:1".to_owned(), 7.0);
    assert_eq!(run.heard(), [a(), a()]);
    run.report("b:2", 8.0);
    assert_eq!(run.heard()[0], ("b:2".to_owned(), 8.0));
}

#[test]
fn a_dropped_watch_is_over_and_one_dropped_at_once_asks_nobody() {
    let mut run = Run::with(&[10]);
    run.asked();
    run.sim
        .fail_resolution(highball_core::Status::unavailable("x"));
    assert_eq!(run.asked(), [""; 0]);
    run.sim.exit_idle();
    assert_eq!(run.asked(), ["unwatch load of a:1", "unwatch load of b:2"]);
    run.report("a:1", 7.0);
    assert_eq!(run.heard(), []);
}

#[test]
fn a_watch_ends_with_its_subchannel_and_nobody_needs_to_unwatch() {
    let mut run = Run::with(&[10]);
    assert!(run.sim.resolve(&run.choice, ["b:2"]));
    run.asked();
    run.report("b:2", 8.0);
    assert_eq!(run.heard(), [("b:2".to_owned(), 8.0)]);
    run.sim.exit_idle();
    assert_eq!(run.asked(), ["unwatch load of b:2"]);
}
