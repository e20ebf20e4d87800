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
use crate::program::Server;
use crate::stack::{self, Stack};

/// How many calls the two runs make.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

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
    let mut profiles = String::new();
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
        let (client, server) = (
            instructions(&stack, End::Client)?,
            instructions(&stack, End::Server)?,
        );
        println!(
            "| {name} | {:.1} / {:.1} | {:.0} / {:.0} |",
            allocations.client, allocations.server, client.total, server.total
        );
        for (end, profile) in [("client", client), ("server", server)] {
            profiles += &format!(
                "\n### {name}, {end}\n\n{}",
                dearest(&profile, options.profile)
            );
        }
    }
    if options.profile > 0 {
        println!("{profiles}");
    }
    Ok(())
}

fn allocations(stack: &Stack) -> Result<Allocations> {
    let program = stack::folder()?.join(format!("{}-allocations", stack.name));
    let output = Command::new(program).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn instructions(stack: &Stack, end: End) -> Result<Profile> {
    let few = profile(stack, end, FEW)?;
    let many = profile(stack, end, MANY)?;
    Ok(many.per_call(&few, (MANY - FEW) as f64))
}

/// What one end does in `calls` calls, from its start to its end.
fn profile(stack: &Stack, end: End, calls: u64) -> Result<Profile> {
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

/// The functions with most instructions of their own, and where allocations come from.
fn dearest(profile: &Profile, count: usize) -> String {
    let mut functions: Vec<_> = profile.functions.iter().collect();
    functions.sort_by(|a, b| b.1.own.total_cmp(&a.1.own));
    let mut text = String::from("| own | with callees | calls | function |\n|---|---|---|---|\n");
    for (name, cost) in functions.iter().take(count) {
        let (own, whole, calls) = (cost.own, cost.whole, cost.calls);
        text += &format!("| {own:.0} | {whole:.0} | {calls:.1} | `{name}` |\n");
    }
    text += "\n| allocations | from |\n|---|---|\n";
    functions.sort_by(|a, b| b.1.allocations.total_cmp(&a.1.allocations));
    for (name, cost) in functions
        .iter()
        .take(count)
        .filter(|(_, cost)| cost.allocations >= 0.05)
    {
        text += &format!("| {:.1} | `{name}` |\n", cost.allocations);
    }
    text
}
