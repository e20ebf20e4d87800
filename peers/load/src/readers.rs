//! F8: many streams of small messages whose readers take their time.

use std::sync::Arc;
use std::time::Duration;

use highball_channel::{Channel, Request, Status};
use tokio::task::JoinSet;

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size};
use crate::message::{STREAM, Work};
use crate::tally::Tally;

const STREAMS: u32 = 200;
const MESSAGES: u32 = 1_000;
const MOST_MIB: u64 = 150;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) async fn run(size: Size) -> Result<Figure> {
    let pause = size.of(Duration::from_secs(2), Duration::from_secs(1));
    let mut figure = Figure::new(
        "F8",
        format!(
            "{STREAMS} streams of {MESSAGES} messages of 20 B, a frame each, whose readers pause for {pause:?} after the first"
        ),
    );
    let server = Backends::start(1, |server| server.max_concurrent_streams(STREAMS)).await?;
    let channel = server.channel().build()?;
    let tally = Arc::new(Tally::new());
    let mut readers = JoinSet::new();
    for _ in 0..STREAMS {
        let (channel, tally) = (channel.clone(), Arc::clone(&tally));
        readers.spawn(async move { tally.ended(&read_slowly(&channel, pause).await) });
    }
    let mut most = 0;
    let mut looks = tokio::time::interval(LOOK);
    while !readers.is_empty() {
        tokio::select! {
            _ = readers.join_next() => {}
            _ = looks.tick() => most = most.max(resident_mib()?),
        }
    }
    figure.exactly("streams that ended well", STREAMS.into(), tally.ok());
    figure.exactly("failed", 0, tally.failed());
    figure.exactly("connections", 1, server.connections());
    figure.at_most("MiB resident, both ends together", MOST_MIB, most);
    figure.failures(&tally);
    Ok(figure)
}

async fn read_slowly(channel: &Channel, pause: Duration) -> Result<(), Status> {
    let work = Work {
        replies: MESSAGES,
        ..Work::of(20)
    };
    let stream = channel.server_streaming::<_, Work>(&STREAM, Request::new(work));
    let mut stream = stream.await?;
    let mut number = 0;
    while let Some(reply) = stream.message().await? {
        if reply.number != number {
            return Err(Status::internal(format!(
                "{} came as {number}",
                reply.number
            )));
        }
        number += 1;
        if number == 1 {
            tokio::time::sleep(pause).await;
        }
    }
    match number {
        MESSAGES => Ok(()),
        _ => Err(Status::internal(format!(
            "the stream ended after {number} messages"
        ))),
    }
}

/// What this process, both ends of it, keeps in memory.
fn resident_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or("no VmRSS in /proc/self/status")?.parse()?;
    Ok(kib / 1024)
}
