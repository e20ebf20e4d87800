//! Streams of tiny messages from a server that puts each into a frame of its own, which makes some clients'
//! HTTP/2 hang up: how many connections are lost?

use std::process::Command;

use bench_kit::{Report, Result};
use serde::Serialize;

use crate::program::{Server, measure};
use crate::stack::Stack;

/// The stack whose server sends.
const SENDER: &str = "grpc-go";

/// The stacks whose clients receive.
const RECEIVERS: [&str; 2] = ["highball", "tonic"];

/// What became of one stack's connections.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lost {
    pub(crate) client: String,
    pub(crate) runs: usize,
    pub(crate) lost: usize,
    /// Messages a second, in the runs that came to their end.
    pub(crate) rates: Vec<f64>,
}

/// Lets each client read for a second, `runs` times.
pub(crate) fn run(stacks: &[Stack], runs: usize) -> Vec<Lost> {
    let named = |name: &str| stacks.iter().find(|stack| stack.name == name);
    let Some(sender) = named(SENDER) else {
        eprintln!("server stream 4 B from {SENDER} skipped: {SENDER} is not there");
        return Vec::new();
    };
    let receivers = RECEIVERS.iter().filter_map(|name| named(name));
    receivers.map(|client| read(client, sender, runs)).collect()
}

fn read(client: &Stack, sender: &Stack, runs: usize) -> Lost {
    eprintln!("server stream 4 B from {SENDER}, {}", client.name);
    let mut lost = Lost {
        client: client.name.clone(),
        runs,
        lost: 0,
        rates: Vec::new(),
    };
    for _ in 0..runs {
        match once(client, sender) {
            Ok(report) => lost.rates.push(report.calls as f64 / report.seconds),
            Err(_) => lost.lost += 1,
        }
    }
    lost
}

fn once(client: &Stack, sender: &Stack) -> Result<Report> {
    let server = Server::start(&mut Command::new(&sender.server))?;
    let mut arguments = server.arguments();
    // More messages than a second has room for: one stream, on one connection.
    let line = "--kind server_stream --payload 4 --messages 100000000 --seconds 1 --warmup 0";
    arguments.extend(line.split(' ').map(str::to_owned));
    measure(&client.client, &arguments)
}
