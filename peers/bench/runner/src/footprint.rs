//! What is kept and does nothing, in resident memory: each end a process.

use std::process::Command;

use bench_kit::{Ends, Result};
use serde::Serialize;

use crate::program::{self, Server};
use crate::stack::Stack;

/// How far both ends of a stack grow.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Footprint {
    pub(crate) stack: String,
    /// Resident bytes for each of 10 000 parked streams; `None` where the run failed.
    pub(crate) parked_stream: Option<Ends>,
    /// Resident bytes for each of 1 000 idle channels.
    pub(crate) idle_channel: Option<Ends>,
}

/// Measures every stack that has streams.
pub(crate) fn run(stacks: &[Stack]) -> Vec<Footprint> {
    let able = stacks.iter().filter(|stack| stack.has_streams());
    able.map(|stack| Footprint {
        stack: stack.name.clone(),
        parked_stream: said(stack, "parked-streams"),
        idle_channel: said(stack, "idle-channels"),
    })
    .collect()
}

fn said(stack: &Stack, thing: &str) -> Option<Ends> {
    eprintln!("{thing}, {}", stack.name);
    grow(stack, thing)
        .inspect_err(|failure| eprintln!("  {}: {failure}", stack.name))
        .ok()
}

fn grow(stack: &Stack, thing: &str) -> Result<Ends> {
    let server = Server::start(&mut Command::new(&stack.server))?;
    let mut arguments = server.arguments();
    arguments.extend(["--keep", thing].map(str::to_owned));
    program::run(&stack.client, &arguments)
}
