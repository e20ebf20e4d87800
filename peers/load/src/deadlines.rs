//! F9: a storm of deadlines, most of them shorter than the server takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highball_channel::{Code, Request};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::backends::Backends;
use crate::figure::{Figure, Size, milliseconds};
use crate::message::{UNARY, Work};
use crate::tally::Tally;

/// Twice as many as there are streams: some deadlines pass while a call waits for one.
const CALLERS: u64 = 200;
const SLEEP_MS: u32 = 25;

pub(crate) async fn run(size: Size) -> Result<Figure> {
    let calls = size.of(50_000, 20_000);
    let mut figure = Figure::new(
        "F9",
        format!(
            "{calls} calls with deadlines of 1 to 50 ms, to a server that sleeps {SLEEP_MS} ms; {CALLERS} callers on one channel"
        ),
    );
    let server = Backends::start(1, |server| server).await?;
    let channel = server.channel().build()?;
    channel.wait_ready(Duration::from_secs(5)).await?;
    let (tally, next) = (Arc::new(Tally::new()), Arc::new(AtomicU64::new(0)));
    let early = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (channel, tally) = (channel.clone(), Arc::clone(&tally));
        let (next, early) = (Arc::clone(&next), Arc::clone(&early));
        callers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let timeout = Duration::from_micros(fastrand::u64(1_000..=50_000));
                let work = Work {
                    sleep_ms: SLEEP_MS,
                    ..Work::of(100)
                };
                let started = Instant::now();
                let request = Request::new(work).with_timeout(timeout);
                let reply = channel.unary::<_, Work>(&UNARY, request).await;
                let took = started.elapsed();
                tally.ended(&reply);
                if matches!(&reply, Err(status) if status.code() == Code::DeadlineExceeded) {
                    early.fetch_add((took < timeout).into(), Ordering::Relaxed);
                    tally.took(took.saturating_sub(timeout));
                }
            }
        });
    }
    while callers.join_next().await.is_some() {}
    let late = tally.with(Code::DeadlineExceeded);
    figure.exactly("OK or DEADLINE_EXCEEDED", calls, tally.ok() + late);
    figure.exactly("too early", 0, early.load(Ordering::Relaxed));
    figure.within(
        "overshoot, p99",
        Duration::from_millis(10),
        tally.quantile(0.99),
    );
    figure.note("overshoot, p50", milliseconds(tally.quantile(0.5)));
    figure.note("overshoot, longest", milliseconds(tally.quantile(1.0)));
    figure.note("OK", tally.ok());
    figure.exactly("connections", 1, server.connections());
    if tally.failed() > late {
        figure.failures(&tally);
    }
    Ok(figure)
}
