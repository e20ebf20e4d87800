//! The budget: what a call, a parked stream and an idle channel may cost. It fails whoever makes them dearer.
//!
//! Allocations and bytes mean the same on every machine. Instructions depend on the compiler: with another
//! than the budget's they are held against the yardstick, which the same compiler has built from sources that
//! do not change with ours.

use std::fs;
use std::path::PathBuf;

use bench_kit::{Ends, Result};
use serde::{Deserialize, Serialize};

use crate::counts::{Counted, YARDSTICK};
use crate::machine;

/// The share by which a figure may rise before somebody has to look.
const TOLERANCE: f64 = 0.03;

/// The stack that has a budget.
const OURS: &str = "highball";

/// How to take what is measured for the budget.
const BLESS: &str = "peers/bench/counts --bless";

/// The file, as it is checked in.
#[derive(Debug, Deserialize, Serialize)]
struct Budget {
    /// The compiler that built what was counted.
    rustc: String,
    stacks: Vec<Counted>,
}

/// One figure of one end, and what it may be.
#[derive(Debug, PartialEq)]
struct Line {
    what: String,
    budget: f64,
    figure: f64,
}

/// Writes the budget: from here on the figures are what they may be.
pub(crate) fn bless(counted: &[Counted]) -> Result<()> {
    let stacks: Vec<_> = [OURS, YARDSTICK]
        .iter()
        .map(|name| find(counted, name).map(Counted::rounded))
        .collect::<Result<_>>()?;
    if stacks.iter().any(|stack| stack.instructions.is_none()) {
        return Err("a budget has instructions, too: install valgrind".into());
    }
    let rustc = machine::rustc().ok_or("rustc does not tell its version")?;
    let text = serde_json::to_string_pretty(&Budget { rustc, stacks })? + "\n";
    fs::write(file(), text)?;
    println!("\nwritten: {}", file().display());
    Ok(())
}

/// Fails if a figure is above the budget.
pub(crate) fn check(counted: &[Counted]) -> Result<()> {
    let budget: Budget = serde_json::from_str(&fs::read_to_string(file())?)?;
    let rustc = machine::rustc().unwrap_or_default();
    let scale = if rustc == budget.rustc {
        None
    } else {
        println!(
            "\nThe budget was taken with {}; this is {rustc}: instructions are held against {YARDSTICK}'s.",
            budget.rustc
        );
        Some((find(&budget.stacks, YARDSTICK)?, find(counted, YARDSTICK)?))
    };
    let ours = find(counted, OURS)?;
    let lines = lines(find(&budget.stacks, OURS)?, ours, scale);
    println!("\n| highball | budget | figure | change |\n|---|---|---|---|");
    for line in &lines {
        println!("{}", line.row());
    }
    if ours.instructions.is_none() {
        println!("\nSKIPPED: instructions were not counted, because valgrind is not installed.");
    }
    if lines.iter().any(|line| line.change() < -TOLERANCE) {
        println!("\nSome of it is lower. To keep it so: {BLESS}");
    }
    let risen: Vec<_> = lines.iter().filter(|line| line.is_risen()).collect();
    if risen.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = risen.iter().map(|line| line.what.as_str()).collect();
    Err(format!(
        "over the budget: {}.\nIf that is worth its price, say so in peers/bench/NOTES.md and run {BLESS}",
        names.join("; ")
    )
    .into())
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../budget.json"))
}

fn find<'a>(counted: &'a [Counted], name: &str) -> Result<&'a Counted> {
    let found = counted.iter().find(|figures| figures.stack == name);
    found.ok_or_else(|| format!("{name} was not counted").into())
}

/// All figures with their budgets. `scale` has the yardstick as it was counted for the budget, and as it is.
fn lines(budget: &Counted, figures: &Counted, scale: Option<(&Counted, &Counted)>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |what: &str, budget: Ends, figure: Ends| {
        let line = |end, budget, figure| Line {
            what: format!("{what}, {end}"),
            budget,
            figure,
        };
        lines.push(line("client", budget.client, figure.client));
        lines.push(line("server", budget.server, figure.server));
    };
    add(
        "allocations a call",
        budget.allocations,
        figures.allocations,
    );
    for (what, instructions) in INSTRUCTIONS {
        if let (Some(before), Some(now)) = (instructions(budget), instructions(figures)) {
            add(what, scaled(before, scale, instructions), now);
        }
    }
    add(
        "bytes a parked stream",
        budget.parked_stream_bytes,
        figures.parked_stream_bytes,
    );
    add(
        "bytes an idle channel",
        budget.idle_channel_bytes,
        figures.idle_channel_bytes,
    );
    lines
}

/// What instructions are counted of.
type Instructions = fn(&Counted) -> Option<Ends>;

const INSTRUCTIONS: [(&str, Instructions); 2] = [
    ("instructions a call", |of| of.instructions),
    ("instructions a cold channel", |of| of.cold_instructions),
];

/// What the budget would be with this compiler.
fn scaled(budget: Ends, scale: Option<(&Counted, &Counted)>, of: Instructions) -> Ends {
    let both = scale.and_then(|(before, now)| of(before).zip(of(now)));
    both.map_or(budget, |(before, now)| Ends {
        client: budget.client * now.client / before.client,
        server: budget.server * now.server / before.server,
    })
}

impl Line {
    /// The share by which the figure is above its budget.
    fn change(&self) -> f64 {
        self.figure / self.budget - 1.0
    }

    fn is_risen(&self) -> bool {
        self.change() > TOLERANCE
    }

    fn row(&self) -> String {
        let digits = usize::from(self.budget < 100.0);
        let (budget, figure) = (self.budget, self.figure);
        let verdict = if self.is_risen() { " **RISEN**" } else { "" };
        format!(
            "| {} | {budget:.digits$} | {figure:.digits$} | {:+.1} %{verdict} |",
            self.what,
            self.change() * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(stack: &str, allocations: f64, instructions: f64) -> Counted {
        let both = |figure| Ends {
            client: figure,
            server: figure,
        };
        Counted {
            stack: stack.to_owned(),
            allocations: both(allocations),
            instructions: Some(both(instructions)),
            cold_instructions: None,
            parked_stream_bytes: both(1_000.0),
            idle_channel_bytes: both(20_000.0),
        }
    }

    fn risen(lines: &[Line]) -> Vec<&str> {
        let risen = lines.iter().filter(|line| line.is_risen());
        risen.map(|line| line.what.as_str()).collect()
    }

    #[test]
    fn one_allocation_more_is_a_rise() {
        let lines = lines(
            &counted(OURS, 16.0, 40_000.0),
            &counted(OURS, 17.0, 41_000.0),
            None,
        );
        assert_eq!(
            risen(&lines),
            ["allocations a call, client", "allocations a call, server"]
        );
    }

    #[test]
    fn instructions_of_another_compiler_are_held_against_the_yardstick() {
        let budget = counted(OURS, 16.0, 40_000.0);
        let (before, now) = (
            counted(YARDSTICK, 13.0, 30_000.0),
            counted(YARDSTICK, 13.0, 36_000.0),
        );
        let grown_alike = lines(
            &budget,
            &counted(OURS, 16.0, 48_000.0),
            Some((&before, &now)),
        );
        assert_eq!(risen(&grown_alike), Vec::<&str>::new());
        let grown_more = lines(
            &budget,
            &counted(OURS, 16.0, 50_000.0),
            Some((&before, &now)),
        );
        assert_eq!(risen(&grown_more).len(), 2);
    }

    #[test]
    fn without_valgrind_only_instructions_are_left_out() {
        let mut figures = counted(OURS, 20.0, 0.0);
        figures.instructions = None;
        let lines = lines(&counted(OURS, 16.0, 40_000.0), &figures, None);
        assert_eq!((lines.len(), risen(&lines).len()), (6, 2));
    }
}
