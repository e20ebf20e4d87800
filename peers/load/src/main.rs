//! Loads that Highball must carry, over loopback TCP, and what came of them.
//!
//! ```text
//!   figure ── starts ──► servers, on a runtime of their own     count connections and handlers
//!          ── loads ───► a channel, on this one                 count outcomes and latencies
//!          ── claims ──► the table; a claim that does not hold is this program's failure
//! ```

mod backends;
mod cancels;
mod deadlines;
mod figure;
mod goaways;
mod machine;
mod message;
mod open_loop;
mod page;
mod readers;
mod restarts;
mod retries;
mod service;
mod streams;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use figure::{Figure, Size};
use page::Results;
use retries::TransparentRetries;

/// What may fail other than a figure: the set-up.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// No run takes longer, whatever hangs.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Puts Highball under load, prints a page of results, and fails if a figure is missed.
#[derive(Debug, Parser)]
struct Options {
    /// A shortened form of each: under a minute and a half in all.
    #[arg(long)]
    short: bool,
    /// Only these, such as `F1,F7`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let retries = TransparentRetries::count();
    match results(&options, &retries) {
        Ok(results) => {
            print!("{}", results.page());
            match results.are_held() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn results(options: &Options, retries: &TransparentRetries) -> Result<Results> {
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(async {
        let all = tokio::time::timeout(LONGEST, figures(options, retries)).await;
        all.map_err(|_| format!("not done after {LONGEST:?}"))?
    });
    runtime.shutdown_background();
    Ok(Results {
        machine: machine::describe(),
        short: options.short,
        figures: figures?,
    })
}

async fn figures(options: &Options, retries: &TransparentRetries) -> Result<Vec<Figure>> {
    let size = match options.short {
        true => Size::Short,
        false => Size::Full,
    };
    let wants = |id: &str| options.only.is_empty() || options.only.iter().any(|only| only == id);
    let mut figures = Vec::new();
    for id in ["F1", "F4", "F6", "F7", "F8", "F9"] {
        if !wants(id) {
            continue;
        }
        eprintln!("{id} …");
        let started = Instant::now();
        let mut figure = match id {
            "F1" => restarts::run(size, retries).await?,
            "F4" => goaways::run(size, retries).await?,
            "F6" => streams::run(size, retries).await?,
            "F7" => cancels::run(size).await?,
            "F8" => readers::run(size).await?,
            _ => deadlines::run(size).await?,
        };
        figure.took(started.elapsed());
        eprintln!("{figure}");
        figures.push(figure);
    }
    Ok(figures)
}
