//! F6: more calls at once than the server allows streams.

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size, milliseconds};
use crate::message::{UNARY, Work};
use crate::retries::TransparentRetries;
use crate::tally::Tally;
use futures::future::join_all;
use highball_channel::Request;
use tokio::time::Instant;

const CALLS: u64 = 1_000;
const STREAMS: u32 = 100;

/// Long enough for all places to be taken at once.
const SLEEP_MS: u32 = 10;

pub(crate) async fn run(size: Size, retries: &TransparentRetries) -> Result<Figure> {
    let rounds = size.of(20, 3);
    let mut figure = Figure::new(
        "F6",
        format!(
            "{CALLS} calls at once on one channel, the server allows {STREAMS} streams; {rounds} times"
        ),
    );
    let server = Backends::start(1, |server| server.max_concurrent_streams(STREAMS)).await?;
    let channel = server.channel().build()?;
    let tally = Tally::new();
    let before = retries.so_far();
    for _ in 0..rounds {
        join_all((0..CALLS).map(async |_| {
            let started = Instant::now();
            let work = Work {
                sleep_ms: SLEEP_MS,
                ..Work::of(100)
            };
            tally.ended(&channel.unary::<_, Work>(&UNARY, Request::new(work)).await);
            tally.took(started.elapsed());
        }))
        .await;
    }
    figure.exactly("calls that ended well", rounds * CALLS, tally.ok());
    figure.exactly("failed", 0, tally.failed());
    figure.at_most(
        "most handlers at once",
        STREAMS.into(),
        server.seen().most_running(),
    );
    // A server runs no more than it allows, whatever it is sent. What is beyond that it refuses, and it is made again.
    figure.exactly("transparent retries", 0, retries.so_far() - before);
    figure.exactly("connections", 1, server.connections());
    figure.note("longest", milliseconds(tally.quantile(1.0)));
    figure.failures(&tally);
    Ok(figure)
}
