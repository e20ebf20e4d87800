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
mod counts;
mod machine;
mod options;
mod profile;
mod program;
mod rounds;
mod stack;
mod table;

use std::process::ExitCode;

use bench_kit::Result;
use clap::Parser;

use crate::options::{Command, Options};

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
    let (stacks, skipped) = stack::built(&pairs)?;
    let cells = if options.quick {
        cell::quick()
    } else {
        cell::all()
    };
    let wanted = |cell: &cell::Cell| cell.to_string().contains(&options.only);
    let cells: Vec<_> = cells.into_iter().filter(wanted).collect();
    let measured = rounds::run(&stacks, &cells, options)?;
    let page = table::page(&measured, &pairs, &skipped);
    println!("{page}");
    let folder = stack::folder()?;
    let (json, markdown) = (folder.join("results.json"), folder.join("results.md"));
    std::fs::write(&json, serde_json::to_string_pretty(&measured)?)?;
    std::fs::write(&markdown, page)?;
    eprintln!("written: {} and {}", json.display(), markdown.display());
    Ok(())
}
