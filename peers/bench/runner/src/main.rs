//! Measures stacks beside one another.
//!
//! ```text
//!   cell: a kind of work ──► round 1: A B C   round 2: C B A   round 3: A B C …
//!                                    └──┴─ ratios of pairs, each within its round ──► min, median, max
//! ```
//!
//! A round runs every stack once, a fresh server and a fresh client each, so what the machine does
//! meanwhile falls on all of them; the order turns round, so that nobody always comes after the same one.

mod budget;
mod callgrind;
mod cell;
mod control;
mod counts;
mod footprint;
mod lost;
mod machine;
mod options;
mod profile;
mod program;
mod results;
mod rounds;
mod stack;
mod table;
mod targets;

use std::process::ExitCode;

use bench_kit::Result;
use clap::Parser;

use crate::options::{Command, Options};
use crate::results::Results;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Some(Command::Counts(counts)) => counts::run(counts),
        None => compare(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<()> {
    let pairs = options.pairs()?;
    let results = Results::measure(options, &pairs)?;
    let page = table::page(&results, &pairs);
    println!("{page}");
    let folder = stack::folder()?;
    let (json, markdown) = (folder.join("results.json"), folder.join("results.md"));
    std::fs::write(&json, serde_json::to_string_pretty(&results)?)?;
    std::fs::write(&markdown, page)?;
    eprintln!("written: {} and {}", json.display(), markdown.display());
    Ok(())
}
