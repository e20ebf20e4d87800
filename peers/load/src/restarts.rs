//! F1: five servers, restarted one at a time, while calls that may not fail go on.

use std::time::Duration;

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size, milliseconds};
use crate::open_loop;
use crate::retries::TransparentRetries;

const SERVERS: usize = 5;

pub(crate) async fn run(size: Size, retries: &TransparentRetries) -> Result<Figure> {
    let rounds = size.of(4, 1);
    let rate = size.of(2_000, 1_000);
    let seconds = size.of(120, 10);
    let (calls, restarts) = (rate * seconds, rounds * SERVERS);
    let mut figure = Figure::new(
        "F1",
        format!(
            "{restarts} graceful restarts of {SERVERS} servers, one at a time, at {rate} calls/s \
             for {seconds} s; fail fast, no retry policy"
        ),
    );
    let mut backends = Backends::start(SERVERS, |server| server).await?;
    let channel = backends.channel().build()?;
    channel.wait_ready(Duration::from_secs(5)).await?;
    let before = retries.so_far();
    let pause = Duration::from_secs(seconds) / (restarts as u32 + 1);
    let (restarted, tally) = tokio::join!(
        restart_all(&mut backends, restarts, pause),
        open_loop::unary_calls(&channel, calls, rate)
    );
    figure.exactly("restarts", restarts as u64, restarted?);
    figure.exactly("calls that ended well", calls, tally.ok());
    figure.exactly("failed", 0, tally.failed());
    figure.exactly("handlers begun", calls, backends.seen().begun());
    figure.within("p99.9", Duration::from_millis(250), tally.quantile(0.999));
    figure.note("p50", milliseconds(tally.quantile(0.5)));
    figure.note("longest", milliseconds(tally.quantile(1.0)));
    figure.note("transparent retries", retries.so_far() - before);
    figure.note("connections", backends.connections());
    figure.failures(&tally);
    Ok(figure)
}

/// One after the other, again and again; how many there were.
async fn restart_all(backends: &mut Backends, restarts: usize, pause: Duration) -> Result<u64> {
    for index in 0..restarts {
        tokio::time::sleep(pause).await;
        backends.restart(index).await?;
    }
    Ok(restarts as u64)
}
