//! The command line.

use bench_kit::Result;
use clap::{Args, Parser, Subcommand};

/// Pairs whose ratios are of interest unless others are asked for.
const PAIRS: &str = "highball/rawh2,highball/tonic,highball/grpc-go,highball/grpc,tonic/rawh2,grpc-go/rawh2,floor/rawh2";

/// Measures gRPC stacks beside one another.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Fewer kinds of work, for a shorter time: done within five minutes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The ratios to report, as `a/b,c/d`; the stacks in them are the ones that run.
    #[arg(long, default_value = PAIRS)]
    pairs: String,
    /// Only work whose name contains this: `unary 32 B`, `stream`, `counts`, `kept`, `lost`, `control`.
    #[arg(long, default_value = "")]
    only: String,
    /// How many rounds; 3 if quick, otherwise 7.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each client is measured; 0.3 if quick, otherwise 0.8.
    #[arg(long)]
    seconds: Option<f64>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Counts allocations and instructions per call, and bytes, which do not depend on the machine's mood.
    Counts(Counts),
}

/// What to count.
#[derive(Debug, Args)]
pub(crate) struct Counts {
    /// The stacks, with commas between.
    #[arg(long, default_value = "highball,rawh2,tonic", value_delimiter = ',')]
    pub(crate) stacks: Vec<String>,
    /// Prints this many files and functions of each program, the dearest first; none if 0.
    #[arg(long, default_value_t = 0)]
    pub(crate) profile: usize,
    /// Fails if Highball costs more than 3 % above the budget that is checked in.
    #[arg(long, conflicts_with = "bless")]
    pub(crate) check: bool,
    /// Makes the figures the budget.
    #[arg(long)]
    pub(crate) bless: bool,
}

/// Two stacks: the first is divided by the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) first: String,
    pub(crate) second: String,
}

impl Options {
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>> {
        self.pairs.split(',').map(pair).collect()
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 7 })
    }

    /// How often a client reads a stream of tiny messages for a second.
    pub(crate) fn streams_of_tiny_messages(&self) -> usize {
        if self.quick { 5 } else { 20 }
    }

    /// Whether work of that name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.3 } else { 0.8 })
    }
}

fn pair(text: &str) -> Result<Pair> {
    let (first, second) = text
        .split_once('/')
        .ok_or_else(|| format!("{text:?} is no pair: want highball/tonic"))?;
    Ok(Pair {
        first: first.to_owned(),
        second: second.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_pairs_are_pairs() {
        let options = Options::parse_from(["runner"]);
        assert_eq!(options.pairs().unwrap()[0], pair("highball/rawh2").unwrap());
        assert!(pair("highball").is_err());
    }
}
