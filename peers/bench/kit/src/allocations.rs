//! A program that counts what client and server allocate: each end on a thread of one process.

use std::future::Future;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::counting::{Count, End};
use crate::kept::{Kept, Thing};
use crate::options::Runtime;
use crate::{Echo, Peer, Result, load};

/// Calls before counting: connections, tables and buffers have their size by then.
const WARMUP: u64 = 1_000;

/// Calls that are counted.
const CALLS: u64 = 2_000;

/// What the program is told.
#[derive(Debug, Parser)]
struct AllocationOptions {
    /// What is counted.
    #[arg(long, value_enum, default_value_t = Counted::Calls)]
    counted: Counted,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Counted {
    /// Allocations of a unary call of 32 bytes.
    Calls,
    /// Bytes that a stream holds on which nothing happens.
    ParkedStreams,
    /// Bytes that a channel holds on which nothing happens.
    IdleChannels,
}

/// A figure of the client, and of the server.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Ends {
    /// The client's.
    pub client: f64,
    /// The server's.
    pub server: f64,
}

/// The `main` of a stack's allocation count, in a program whose global allocator is
/// [`Counting`](crate::Counting). Prints [`Ends`] as JSON.
pub fn count_allocations<P, F>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> ExitCode
where
    P: Peer,
    F: Future<Output = Result<()>>,
{
    let options = AllocationOptions::parse();
    let (port_sender, port) = mpsc::channel();
    thread::spawn(move || {
        End::Server.begin();
        Runtime::Current.build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            port_sender.send(listener.local_addr()?.port())?;
            serve(listener).await
        })
    });
    let Ok(port) = port.recv() else {
        return ExitCode::FAILURE;
    };
    let counted = thread::spawn(move || {
        End::Client.begin();
        let runtime = Runtime::Current.build()?;
        let ends = runtime.block_on(count::<P>(options.counted, port))?;
        Ok::<_, crate::Failure>(serde_json::to_string(&ends)?)
    });
    match counted.join() {
        Ok(Ok(line)) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}

async fn count<P: Peer>(counted: Counted, port: u16) -> Result<Ends> {
    match counted {
        Counted::Calls => calls::<P>(port).await,
        Counted::ParkedStreams => kept::<P>(Thing::ParkedStreams, port).await,
        Counted::IdleChannels => kept::<P>(Thing::IdleChannels, port).await,
    }
}

/// Allocations per call.
async fn calls<P: Peer>(port: u16) -> Result<Ends> {
    let request = Echo {
        payload: vec![b'x'; 32],
        replies: 0,
    };
    let peer = P::connect(port).await?;
    load::sequence(&peer, &request, WARMUP).await?;
    let before = counts();
    load::sequence(&peer, &request, CALLS).await?;
    Ok(each(before, counts(), CALLS as usize, |count| {
        count.allocations
    }))
}

/// Bytes per thing.
async fn kept<P: Peer>(thing: Thing, port: u16) -> Result<Ends> {
    let mut kept = Kept::<P>::start(thing, port).await?;
    let before = counts();
    let added = kept.grow().await?;
    Ok(each(before, counts(), added, |count| count.live))
}

fn counts() -> [Count; 2] {
    [End::Client.count(), End::Server.count()]
}

fn each(before: [Count; 2], after: [Count; 2], things: usize, figure: fn(&Count) -> i64) -> Ends {
    let of = |end: usize| (figure(&after[end]) - figure(&before[end])) as f64 / things as f64;
    Ends {
        client: of(0),
        server: of(1),
    }
}
