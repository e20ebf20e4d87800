//! Calls that begin on time, whatever has become of those before: a server that stalls is not spared.

use std::sync::Arc;
use std::time::Duration;

use highball_channel::{Channel, Request};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::message::{UNARY, Work};
use crate::tally::Tally;

/// Makes `calls` unary calls of 100 bytes, `rate` a second. Latencies count from when a call was due.
pub(crate) async fn unary_calls(channel: &Channel, calls: u64, rate: u64) -> Arc<Tally> {
    let tally = Arc::new(Tally::new());
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for number in 0..calls {
        let due = started + Duration::from_nanos(number * 1_000_000_000 / rate);
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        let (channel, tally) = (channel.clone(), Arc::clone(&tally));
        tasks.spawn(async move {
            let reply = channel.unary::<_, Work>(&UNARY, Request::new(Work::of(100)));
            tally.ended(&reply.await);
            tally.took(due.elapsed());
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    tally
}
