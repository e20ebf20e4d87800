//! F4: one server that sends every connection away after a tenth of a second, beneath calls that may not fail
//! and a conversation that outlives all of them.

use std::time::Duration;

use highball_channel::{Channel, Request, Status, messages};

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size, milliseconds};
use crate::message::{CHAT, Work};
use crate::open_loop;
use crate::retries::TransparentRetries;

const RATE: u64 = 1_000;

/// GOAWAY on each connection, 10 % sooner or later.
const AGE: Duration = Duration::from_millis(100);

/// Of a conversation: a message, and its echo.
const TURN: Duration = Duration::from_millis(20);

pub(crate) async fn run(size: Size, retries: &TransparentRetries) -> Result<Figure> {
    let seconds = size.of(60, 8);
    let calls = RATE * seconds;
    let mut figure = Figure::new(
        "F4",
        format!(
            "a GOAWAY every {AGE:?} at {RATE} calls/s for {seconds} s, and one long stream; fail fast, no retry policy"
        ),
    );
    let server = Backends::start(1, |server| server.max_connection_age(AGE, Duration::MAX)).await?;
    let channel = server.channel().build()?;
    let before = retries.so_far();
    let turns = (Duration::from_secs(seconds).as_millis() / TURN.as_millis()) as u32;
    let (spoken, tally) = tokio::join!(
        converse(&channel, turns),
        open_loop::unary_calls(&channel, calls, RATE)
    );
    let spoken = spoken.unwrap_or_else(|status| {
        figure.note("the long stream", status);
        0
    });
    // The sockets of a tenth more, for the connection that is made while the last is drained.
    let connections = Duration::from_secs(seconds).as_millis() / AGE.as_millis() * 8 / 10;
    figure.exactly("calls that ended well", calls, tally.ok());
    figure.exactly("failed", 0, tally.failed());
    figure.exactly("turns of the long stream", turns.into(), spoken.into());
    figure.exactly("handlers begun", calls + 1, server.seen().begun());
    figure.at_least("connections", connections as u64, server.connections());
    figure.note("transparent retries", retries.so_far() - before);
    figure.note("p99.9", milliseconds(tally.quantile(0.999)));
    figure.note("longest", milliseconds(tally.quantile(1.0)));
    figure.failures(&tally);
    Ok(figure)
}

/// A message and its echo, again and again on one stream; how many there were.
async fn converse(channel: &Channel, turns: u32) -> Result<u32, Status> {
    let (sender, requests) = messages();
    let replies = channel.bidi_streaming::<_, Work>(&CHAT, Request::new(requests));
    let mut replies = replies.await?;
    for number in 0..turns {
        let message = Work {
            number,
            ..Work::of(100)
        };
        let unsent = |unsent| Status::internal(format!("the stream is gone: {unsent}"));
        sender.send(message.clone()).await.map_err(unsent)?;
        match replies.message().await? {
            Some(reply) if reply == message => {}
            other => {
                return Err(Status::internal(format!(
                    "turn {number} came back as {other:?}"
                )));
            }
        }
        tokio::time::sleep(TURN).await;
    }
    drop(sender);
    match replies.message().await? {
        None => Ok(turns),
        Some(more) => Err(Status::internal(format!("one too many: {more:?}"))),
    }
}
