//! One update of 10 000 endpoints to a channel, and one that takes them away again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_kit::{End, Result};
use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, Endpoint};

use crate::generations::Generations;

const MANY: usize = 10_000;

/// Longer than the channel has something to do after an update.
const SETTLING: Duration = Duration::from_millis(300);

pub(crate) struct Update {
    pub(crate) ms: f64,
    pub(crate) generations: u64,
    pub(crate) bytes_with_one: i64,
    pub(crate) bytes_with_many: i64,
    pub(crate) bytes_after_shrinking: i64,
}

pub(crate) fn measure() -> Result<Update> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(grow_and_shrink())
}

/// Nobody answers, so what is measured is the channel's own: subchannels that try to connect.
async fn grow_and_shrink() -> Result<Update> {
    let network = MemoryNetwork::new();
    for endpoint in endpoints(MANY) {
        network.blackhole(endpoint.addresses()[0].text());
    }
    let servers = ManualResolver::new("bench");
    let before = End::Client.count().live;
    let bytes = async || {
        tokio::time::sleep(SETTLING).await;
        End::Client.count().live - before
    };
    servers.update(Resolution::new(endpoints(1)));
    let channel = Channel::builder("bench:///echo")
        .insecure()
        .resolver(servers.clone())
        .connector(network)
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()?;
    channel.connect();
    servers.verdict().await?;
    let bytes_with_one = bytes().await;

    let generations = Arc::new(Generations::default());
    let counting = tracing::subscriber::set_default(generations.clone());
    let many = Resolution::new(endpoints(MANY));
    let started = Instant::now();
    servers.update(many);
    servers.verdict().await?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let bytes_with_many = bytes().await;
    drop(counting);

    servers.update(Resolution::new(endpoints(1)));
    servers.verdict().await?;
    Ok(Update {
        ms,
        generations: generations.count(),
        bytes_with_one,
        bytes_with_many,
        bytes_after_shrinking: bytes().await,
    })
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    let address = |n| format!("10.{}.{}.{}:1", n / 62_500, n / 250 % 250, n % 250);
    (0..count)
        .map(|n| Endpoint::from(address(n).as_str()))
        .collect()
}
