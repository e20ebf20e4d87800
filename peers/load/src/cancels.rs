//! F7: a storm of cancellations, at every stage of a call, on the connection that other calls use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highball_channel::{Channel, Request, Status};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size};
use crate::message::{STREAM, Work};
use crate::tally::Tally;

/// More than there are streams: some calls are cancelled while they wait for one.
const CALLERS: u64 = 256;

/// Of each stream, a DATA frame each.
const REPLIES: u32 = 20;

/// Beyond what a whole stream takes when nothing else goes on.
const LATEST: Duration = Duration::from_millis(20);

/// Where a call is given up.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Before it has been polled twice.
    AtOnce,
    /// After a time, wherever it is then.
    After(Duration),
    /// When so many replies have been read.
    Read(u32),
}

impl Stage {
    fn random() -> Self {
        match fastrand::u8(..3) {
            0 => Self::AtOnce,
            1 => Self::After(LATEST.mul_f64(fastrand::f64())),
            _ => Self::Read(fastrand::u32(..REPLIES)),
        }
    }
}

pub(crate) async fn run(size: Size) -> Result<Figure> {
    let calls = size.of(100_000, 20_000);
    let mut figure = Figure::new(
        "F7",
        format!(
            "{calls} server streams of {REPLIES} small frames, every other one cancelled at a random stage; \
             {CALLERS} callers on one channel"
        ),
    );
    let server = Backends::start(1, |server| server).await?;
    let channel = server.channel().build()?;
    channel.wait_ready(Duration::from_secs(5)).await?;
    let (tally, next) = (Arc::new(Tally::new()), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (channel, tally, next) = (channel.clone(), Arc::clone(&tally), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                match number {
                    _ if number >= calls => break,
                    _ if number % 2 == 0 => tally.ended(&read(&channel, REPLIES).await),
                    _ => give_up(&channel, Stage::random()).await,
                }
            }
        });
    }
    while callers.join_next().await.is_some() {}
    let rate = calls as f64 / started.elapsed().as_secs_f64();
    figure.exactly("the others that ended well", calls / 2, tally.ok());
    figure.exactly("failed", 0, tally.failed());
    figure.exactly("connections", 1, server.connections());
    figure.note("calls/s", format!("{rate:.0}"));
    figure.note("handlers begun", server.seen().begun());
    figure.failures(&tally);
    Ok(figure)
}

/// Reads so many replies; all of them and the status if there are no more.
async fn read(channel: &Channel, replies: u32) -> Result<(), Status> {
    let work = Work {
        replies: REPLIES,
        ..Work::of(20)
    };
    let stream = channel.server_streaming::<_, Work>(&STREAM, Request::new(work));
    let mut stream = stream.await?;
    for number in 0..replies {
        match stream.message().await? {
            Some(reply) if reply.number == number => {}
            other => return Err(Status::internal(format!("reply {number} is {other:?}"))),
        }
    }
    if replies == REPLIES && stream.message().await?.is_some() {
        return Err(Status::internal("one reply too many"));
    }
    Ok(())
}

/// What becomes of it is nobody's business.
async fn give_up(channel: &Channel, stage: Stage) {
    match stage {
        Stage::AtOnce => {
            tokio::select! {
                biased;
                _ = read(channel, REPLIES) => {}
                () = tokio::task::yield_now() => {}
            }
        }
        Stage::After(time) => drop(timeout(time, read(channel, REPLIES)).await),
        Stage::Read(replies) => drop(read(channel, replies).await),
    }
}
