//! Allocations and user instructions per unary call of 32 bytes: exact, on a busy machine, too.
//!
//! Instructions are counted by callgrind, client and server apart. A run of few calls is subtracted from a
//! run of many, so that starting and connecting do not count.

use std::fs;
use std::process::Command;

use bench_kit::Result;
use serde::Deserialize;

use crate::callgrind::Profile;
use crate::options::Counts;
use crate::profile;
use crate::program::Server;
use crate::stack::{self, Stack};

/// How many calls the two runs make.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// The stack whose functions the others' are compared with.
const YARDSTICK: &str = "rawh2";

/// Which end is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// Allocations per call.
#[derive(Debug, Deserialize)]
struct Allocations {
    client: f64,
    server: f64,
}

/// Counts, and prints tables.
pub(crate) fn run(options: &Counts) -> Result<()> {
    let mut profiles = Vec::new();
    println!(
        "| 32 B unary, sequential, one thread | allocations client / server | user instructions client / server |"
    );
    println!("|---|---|---|");
    for name in &options.stacks {
        let stack = match Stack::named(name) {
            Ok(stack) => stack,
            Err(reason) => {
                println!("| {reason} | | |");
                continue;
            }
        };
        let allocations = allocations(&stack)?;
        let ends = [
            instructions(&stack, End::Client)?,
            instructions(&stack, End::Server)?,
        ];
        let [client, server] = ends.each_ref().map(|profile| profile.total);
        let (c, s) = (allocations.client, allocations.server);
        println!("| {name} | {c:.1} / {s:.1} | {client:.0} / {server:.0} |");
        profiles.push((name, ends));
    }
    if options.profile > 0 {
        let yardstick = profiles
            .iter()
            .find(|(name, _)| *name == YARDSTICK)
            .map(|(_, ends)| ends);
        for (name, ends) in &profiles {
            for (index, end) in ["client", "server"].iter().enumerate() {
                let less = yardstick
                    .filter(|_| *name != YARDSTICK)
                    .map(|ends| &ends[index]);
                println!("\n### {name}, {end}\n");
                println!("{}", profile::tables(&ends[index], less, options.profile));
            }
        }
    }
    Ok(())
}

fn allocations(stack: &Stack) -> Result<Allocations> {
    let program = stack::folder()?.join(format!("{}-allocations", stack.name));
    let output = Command::new(program).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn instructions(stack: &Stack, end: End) -> Result<Profile> {
    let few = profiled(stack, end, FEW)?;
    let many = profiled(stack, end, MANY)?;
    Ok(many.per_call(&few, (MANY - FEW) as f64))
}

/// What one end does in `calls` calls, from its start to its end.
fn profiled(stack: &Stack, end: End, calls: u64) -> Result<Profile> {
    let file = stack::folder()?.join(format!("{}.callgrind", stack.name));
    let command = |program, is_counted: bool| {
        if !is_counted {
            return Command::new(program);
        }
        let mut command = Command::new("valgrind");
        let output = format!("--callgrind-out-file={}", file.display());
        command
            .args(["-q", "--tool=callgrind", &output])
            .arg(program);
        command
    };
    let server = Server::start(&mut command(&stack.server, end == End::Server))?;
    let mut client = command(&stack.client, end == End::Client);
    let status = client
        .args(server.arguments())
        .args(["--calls", &calls.to_string()])
        .output()?;
    if !status.status.success() {
        return Err(format!("{client:?}: {}", String::from_utf8_lossy(&status.stderr)).into());
    }
    // callgrind writes when the program ends.
    drop(server);
    let profile = Profile::parse(&fs::read_to_string(&file)?);
    fs::remove_file(file)?;
    Ok(profile)
}
