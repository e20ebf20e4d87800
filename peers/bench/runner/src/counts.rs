//! What a unary call of 32 bytes allocates and executes, and what a parked stream and an idle channel hold:
//! exact, on a busy machine, too.
//!
//! Instructions are counted by callgrind, client and server apart. A run of few calls is subtracted from a
//! run of many, so that starting and connecting do not count.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use bench_kit::{Ends, Result};
use serde::{Deserialize, Serialize};

use crate::budget;
use crate::callgrind::Profile;
use crate::options::Counts;
use crate::profile;
use crate::program::Server;
use crate::stack::{self, Stack};

/// How many calls the two runs make.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// The stack whose functions the others' are compared with.
pub(crate) const YARDSTICK: &str = "rawh2";

/// What was counted of one stack.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Counted {
    pub(crate) stack: String,
    /// Allocations of a call.
    pub(crate) allocations: Ends,
    /// User instructions of a call; `None` without valgrind.
    pub(crate) instructions: Option<Ends>,
    /// Heap of a stream on which nothing happens.
    pub(crate) parked_stream_bytes: Ends,
    /// Heap of a channel on which nothing happens.
    pub(crate) idle_channel_bytes: Ends,
}

impl Counted {
    /// To a tenth: what is behind it comes from threads and timers, and differs each time.
    pub(crate) fn rounded(&self) -> Self {
        let tenth = |figure: f64| (figure * 10.0).round() / 10.0;
        let both = |ends: Ends| Ends {
            client: tenth(ends.client),
            server: tenth(ends.server),
        };
        Self {
            stack: self.stack.clone(),
            allocations: both(self.allocations),
            instructions: self.instructions.map(both),
            parked_stream_bytes: both(self.parked_stream_bytes),
            idle_channel_bytes: both(self.idle_channel_bytes),
        }
    }
}

/// Where the instructions of one stack's two ends come from.
type Profiles = (String, [Profile; 2]);

/// Which end is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// Counts, prints tables, and holds the figures against the budget if told to.
pub(crate) fn run(options: &Counts) -> Result<()> {
    let (mut counted, mut profiles) = (Vec::new(), Vec::new());
    for name in &options.stacks {
        match Stack::named(name).and_then(|stack| count(&stack)) {
            Ok((figures, ends)) => {
                counted.push(figures);
                profiles.extend(ends.map(|ends| (name.clone(), ends)));
            }
            Err(reason) => println!("{reason}"),
        }
    }
    print!("{}", table(&counted));
    if options.profile > 0 {
        print_profiles(&profiles, options.profile);
    }
    if options.bless {
        budget::bless(&counted)?;
    }
    if options.check {
        budget::check(&counted)?;
    }
    Ok(())
}

/// Counts what can be counted here. Profiles come with instructions.
pub(crate) fn count(stack: &Stack) -> Result<(Counted, Option<[Profile; 2]>)> {
    let profiles = if is_valgrind_here() {
        let client = instructions(stack, End::Client)?;
        Some([client, instructions(stack, End::Server)?])
    } else {
        None
    };
    let counted = Counted {
        stack: stack.name.clone(),
        allocations: heap(stack, "calls")?,
        instructions: profiles.as_ref().map(|[client, server]| Ends {
            client: client.total,
            server: server.total,
        }),
        parked_stream_bytes: heap(stack, "parked-streams")?,
        idle_channel_bytes: heap(stack, "idle-channels")?,
    };
    Ok((counted, profiles))
}

/// The figures of every stack, client / server.
pub(crate) fn table(counted: &[Counted]) -> String {
    let mut text = String::from(
        "| client / server | allocations a call | instructions a call | bytes a parked stream | bytes an idle channel |\n\
         |---|---|---|---|---|\n",
    );
    for figures in counted {
        let whole = |ends: Ends| format!("{:.0} / {:.0}", ends.client, ends.server);
        let instructions = figures.instructions.map(whole);
        let _ = writeln!(
            text,
            "| {} | {:.1} / {:.1} | {} | {} | {} |",
            figures.stack,
            figures.allocations.client,
            figures.allocations.server,
            instructions.as_deref().unwrap_or("– (no valgrind)"),
            whole(figures.parked_stream_bytes),
            whole(figures.idle_channel_bytes),
        );
    }
    text
}

fn print_profiles(profiles: &[Profiles], count: usize) {
    let yardstick = profiles.iter().find(|(name, _)| name == YARDSTICK);
    for (name, ends) in profiles {
        for (index, end) in ["client", "server"].iter().enumerate() {
            let less = yardstick
                .filter(|_| *name != YARDSTICK)
                .map(|(_, ends)| &ends[index]);
            println!("\n### {name}, {end}\n");
            println!("{}", profile::tables(&ends[index], less, count));
        }
    }
}

fn is_valgrind_here() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// What the stack's counting program says of `counted`.
fn heap(stack: &Stack, counted: &str) -> Result<Ends> {
    let program = stack::folder()?.join(format!("{}-allocations", stack.name));
    let output = Command::new(&program)
        .args(["--counted", counted])
        .output()
        .map_err(|reason| format!("{} skipped: {}: {reason}", stack.name, program.display()))?;
    let failed = || {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{} {counted}: {said}", program.display())
    };
    Ok(serde_json::from_slice(&output.stdout).map_err(|_| failed())?)
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
