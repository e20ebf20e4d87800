//! The command line of clients and servers, the same for every stack.

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::kept::Thing;

/// What a client is told.
#[derive(Clone, Debug, Parser)]
pub struct ClientOptions {
    /// The server's port on 127.0.0.1.
    #[arg(long)]
    pub port: u16,
    /// The server's process, whose CPU time and memory are reported beside the client's.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// What is done again and again.
    #[arg(long, value_enum, default_value_t = Kind::Unary)]
    pub kind: Kind,
    /// How many calls are open at any time.
    #[arg(long, default_value_t = 1)]
    pub calls_in_flight: usize,
    /// Over how many channels or connections they are spread.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// The size of a message's payload in bytes.
    #[arg(long, default_value_t = 32)]
    pub payload: usize,
    /// How many messages a stream has before the next begins.
    #[arg(long, default_value_t = 1_000)]
    pub messages: u32,
    /// How long to measure.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// How long to work before measuring.
    #[arg(long, default_value_t = 0.3)]
    pub warmup: f64,
    /// Makes this many calls, `calls_in_flight` at a time, unary or cold, and measures nothing: for counting
    /// instructions.
    #[arg(long)]
    pub calls: Option<u64>,
    /// Keeps things that do nothing, and reports by how much that made both ends grow.
    #[arg(long, value_enum)]
    pub keep: Option<Thing>,
    /// On how many threads tasks run.
    #[arg(long, value_enum, default_value_t = Runtime::Current)]
    pub runtime: Runtime,
}

/// What a server is told.
#[derive(Debug, Parser)]
pub(crate) struct ServerOptions {
    /// On how many threads tasks run.
    #[arg(long, value_enum, default_value_t = Runtime::Current)]
    pub(crate) runtime: Runtime,
}

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// A message there, a message back. Counted: calls.
    Unary,
    /// One request, many replies. Counted: replies.
    ServerStream,
    /// Many requests, one reply. Counted: requests.
    ClientStream,
    /// One call; a message there, then a message back. Counted: round trips.
    Bidi,
    /// A new channel and its first call. Counted: calls.
    Cold,
}

/// On how many threads tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// On one.
    Current,
    /// On as many as there are processors.
    Multi,
}

impl Runtime {
    /// Starts the runtime.
    pub(crate) fn build(self) -> std::io::Result<tokio::runtime::Runtime> {
        let mut builder = match self {
            Self::Current => tokio::runtime::Builder::new_current_thread(),
            Self::Multi => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.enable_all().build()
    }
}
