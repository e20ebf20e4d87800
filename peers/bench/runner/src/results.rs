//! Everything that one run measures.

use bench_kit::{ControlReport, Result};
use serde::Serialize;

use crate::cell::{self, Cell};
use crate::control;
use crate::counts::{self, Counted};
use crate::footprint::{self, Footprint};
use crate::lost::{self, Lost};
use crate::machine::{self, Machine};
use crate::options::{Options, Pair};
use crate::rounds::{self, MeasuredCell};
use crate::stack::{self, Stack};

/// What was measured, and where. Written as JSON, and as the page.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    /// Stacks and parts that did not run, each with its reason.
    pub(crate) skipped: Vec<String>,
    pub(crate) cells: Vec<MeasuredCell>,
    pub(crate) counts: Vec<Counted>,
    pub(crate) footprints: Vec<Footprint>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) control: Option<ControlReport>,
}

impl Results {
    /// Measures what is asked for.
    pub(crate) fn measure(options: &Options, pairs: &[Pair]) -> Result<Self> {
        let (stacks, skipped) = stack::built(pairs)?;
        let mut cells = if options.quick {
            cell::quick()
        } else {
            cell::all()
        };
        cells.retain(|cell| options.wants(&cell.to_string()));
        announce(options, &stacks, &cells);
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let mut results = Self {
            machine: machine::describe(),
            command: format!("peers/bench/run {}", arguments.join(" "))
                .trim_end()
                .to_owned(),
            rounds: options.rounds(),
            seconds: options.seconds(),
            skipped,
            cells: rounds::run(&stacks, &cells, options),
            counts: Vec::new(),
            footprints: Vec::new(),
            lost: Vec::new(),
            control: None,
        };
        results.measure_the_rest(options, &stacks);
        Ok(results)
    }

    /// What is not done in rounds.
    fn measure_the_rest(&mut self, options: &Options, stacks: &[Stack]) {
        if options.wants("lost") {
            self.lost = lost::run(stacks, options.streams_of_tiny_messages());
        }
        if options.wants("kept") {
            self.footprints = footprint::run(stacks);
        }
        if options.wants("counts") {
            for stack in stacks.iter().filter(|stack| stack.counts()) {
                eprintln!("counts, {}", stack.name);
                match counts::count(stack) {
                    Ok((counted, _)) => self.counts.push(counted),
                    Err(reason) => self.skipped.push(reason.to_string()),
                }
            }
        }
        if options.wants("control") {
            match control::run() {
                Ok(control) => self.control = Some(control),
                Err(reason) => self
                    .skipped
                    .push(format!("control plane skipped: {reason}")),
            }
        }
    }
}

/// Says how long it will take, so that nobody waits for less.
fn announce(options: &Options, stacks: &[Stack], cells: &[Cell]) {
    // A process starts, and another, and the runtime of each ends.
    let once = options.seconds() * 1.25 + 0.15;
    let runs = |cell: &Cell| stacks.iter().filter(|stack| stack.can(cell.kind)).count();
    let mut seconds = cells.iter().map(runs).sum::<usize>() as f64 * options.rounds() as f64 * once;
    let parts = [
        (
            "lost",
            2.0 * 1.2 * options.streams_of_tiny_messages() as f64,
        ),
        ("kept", 8.0 * stacks.len() as f64),
        (
            "counts",
            12.0 * stacks.iter().filter(|stack| stack.counts()).count() as f64,
        ),
        ("control", 20.0),
    ];
    seconds += parts
        .iter()
        .filter(|(name, _)| options.wants(name))
        .map(|(_, seconds)| seconds)
        .sum::<f64>();
    eprintln!(
        "{} kinds of work, {} stacks, {} rounds of {} s: about {:.0} minutes",
        cells.len(),
        stacks.len(),
        options.rounds(),
        options.seconds(),
        (seconds / 60.0).ceil(),
    );
}
