//! What a unary call of 32 bytes allocates and executes, what a new channel with its first call executes, and
//! what a parked stream and an idle channel hold: exact, on a busy machine, too.
//!
//! Instructions are counted by callgrind, client and server apart. A run of few calls is subtracted from a
//! run of many, so that starting and connecting do not count; of few channels from many, likewise.

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

/// What instructions are counted of.
struct Work {
    /// What it is in a title.
    name: &'static str,
    /// What a client is told.
    kind: &'static str,
    /// How many of it the two runs do.
    few: u64,
    many: u64,
}

/// A unary call on a channel that is there.
const CALL: Work = Work {
    name: "a call",
    kind: "unary",
    few: 500,
    many: 2_500,
};

/// A new channel, its first call, and its end.
const COLD: Work = Work {
    name: "a cold channel",
    kind: "cold",
    few: 100,
    many: 500,
};

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
    /// User instructions of a new channel with its first call and its end; `None` without valgrind.
    pub(crate) cold_instructions: Option<Ends>,
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
            cold_instructions: self.cold_instructions.map(both),
            parked_stream_bytes: both(self.parked_stream_bytes),
            idle_channel_bytes: both(self.idle_channel_bytes),
        }
    }
}

/// Where the instructions of one stack's two ends come from: in a call, and in a cold channel.
pub(crate) struct Profiles {
    call: [Profile; 2],
    cold: [Profile; 2],
}

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
                profiles.extend(ends.map(|ends| (name.as_str(), ends)));
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
pub(crate) fn count(stack: &Stack) -> Result<(Counted, Option<Profiles>)> {
    let profiles = if is_valgrind_here() {
        Some(Profiles {
            call: instructions(stack, &CALL)?,
            cold: instructions(stack, &COLD)?,
        })
    } else {
        None
    };
    let total = |[client, server]: &[Profile; 2]| Ends {
        client: client.total,
        server: server.total,
    };
    let counted = Counted {
        stack: stack.name.clone(),
        allocations: heap(stack, "calls")?,
        instructions: profiles.as_ref().map(|of| total(&of.call)),
        cold_instructions: profiles.as_ref().map(|of| total(&of.cold)),
        parked_stream_bytes: heap(stack, "parked-streams")?,
        idle_channel_bytes: heap(stack, "idle-channels")?,
    };
    Ok((counted, profiles))
}

/// The figures of every stack, client / server.
pub(crate) fn table(counted: &[Counted]) -> String {
    let mut text = String::from(
        "| client / server | allocations a call | instructions a call | instructions a cold channel | bytes a parked stream | bytes an idle channel |\n\
         |---|---|---|---|---|---|\n",
    );
    for figures in counted {
        let whole = |ends: Ends| format!("{:.0} / {:.0}", ends.client, ends.server);
        let instructions = |ends: Option<Ends>| {
            let text = ends.map(whole);
            text.unwrap_or_else(|| "– (no valgrind)".to_owned())
        };
        let _ = writeln!(
            text,
            "| {} | {:.1} / {:.1} | {} | {} | {} | {} |",
            figures.stack,
            figures.allocations.client,
            figures.allocations.server,
            instructions(figures.instructions),
            instructions(figures.cold_instructions),
            whole(figures.parked_stream_bytes),
            whole(figures.idle_channel_bytes),
        );
    }
    text
}

fn print_profiles(profiles: &[(&str, Profiles)], count: usize) {
    type Part = fn(&Profiles) -> &[Profile; 2];
    let parts: [(&Work, Part); 2] = [(&CALL, |of| &of.call), (&COLD, |of| &of.cold)];
    let yardstick = profiles.iter().find(|(name, _)| *name == YARDSTICK);
    let yardstick = yardstick.map(|(_, profiles)| profiles);
    for (name, profiles) in profiles {
        for (work, part) in parts {
            for (index, end) in ["client", "server"].iter().enumerate() {
                let less = yardstick.filter(|_| *name != YARDSTICK);
                let less = less.map(|yardstick| &part(yardstick)[index]);
                println!("\n### {name}, {end}, {}\n", work.name);
                println!("{}", profile::tables(&part(profiles)[index], less, count));
            }
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

/// What one of this work costs each end.
fn instructions(stack: &Stack, work: &Work) -> Result<[Profile; 2]> {
    let of = |end| {
        let few = profiled(stack, end, work.kind, work.few)?;
        let many = profiled(stack, end, work.kind, work.many)?;
        Ok::<_, bench_kit::Failure>(many.per_call(&few, (work.many - work.few) as f64))
    };
    Ok([of(End::Client)?, of(End::Server)?])
}

/// What one end does in `calls` calls, from its start to its end.
fn profiled(stack: &Stack, end: End, kind: &str, calls: u64) -> Result<Profile> {
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
        .args(["--kind", kind, "--calls", &calls.to_string()])
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
