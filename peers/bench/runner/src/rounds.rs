//! Interleaved rounds.

use std::process::Command;

use bench_kit::{Report, Result};
use serde::Serialize;

use crate::cell::Cell;
use crate::options::Options;
use crate::program::{Server, measure};
use crate::stack::Stack;

/// One kind of work, done by every stack that can.
#[derive(Debug, Serialize)]
pub(crate) struct MeasuredCell {
    pub(crate) cell: Cell,
    pub(crate) stacks: Vec<MeasuredStack>,
}

/// A stack's reports, one a round; `None` where the run failed.
#[derive(Debug, Serialize)]
pub(crate) struct MeasuredStack {
    pub(crate) name: String,
    pub(crate) reports: Vec<Option<Report>>,
}

/// Measures every cell.
pub(crate) fn run(stacks: &[Stack], cells: &[Cell], options: &Options) -> Vec<MeasuredCell> {
    let measured = cells.iter();
    measured
        .map(|cell| measure_cell(stacks, cell, options))
        .collect()
}

fn measure_cell(stacks: &[Stack], cell: &Cell, options: &Options) -> MeasuredCell {
    eprintln!("{cell}");
    let able: Vec<_> = stacks.iter().filter(|stack| stack.can(cell.kind)).collect();
    let mut measured: Vec<_> = able
        .iter()
        .map(|stack| MeasuredStack {
            name: stack.name.clone(),
            reports: Vec::new(),
        })
        .collect();
    for round in 0..options.rounds() {
        let mut order: Vec<_> = (0..able.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let report = once(able[index], cell, options.seconds());
            if let Err(failure) = &report {
                eprintln!("  {}: {failure}", able[index].name);
            }
            measured[index].reports.push(report.ok());
        }
    }
    MeasuredCell {
        cell: cell.clone(),
        stacks: measured,
    }
}

fn once(stack: &Stack, cell: &Cell, seconds: f64) -> Result<Report> {
    let server = Server::start(Command::new(&stack.server).args(cell.runtime()))?;
    let mut arguments = server.arguments();
    arguments.extend(cell.arguments());
    arguments.extend(cell.runtime().map(str::to_owned));
    arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
    arguments.extend(["--warmup".to_owned(), (seconds / 4.0).to_string()]);
    measure(&stack.client, &arguments)
}
