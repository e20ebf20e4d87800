//! How many generations a channel publishes: each wakes every call that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, Endpoint};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Counts them by their trace events.
#[derive(Default)]
struct Generations(AtomicU64);

impl Subscriber for Generations {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The event "publish" of the driver: the only one with a picker.
        metadata.target() == "channel" && metadata.fields().field("picker").is_some()
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    let name = |n| format!("10.0.{}.{}:1", n / 250, n % 250);
    (0..count)
        .map(|n| Endpoint::from(name(n).as_str()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_update_of_ten_thousand_endpoints_is_one_generation() {
    let network = MemoryNetwork::new();
    for endpoint in endpoints(10_000) {
        network.blackhole(endpoint.addresses()[0].text());
    }
    let servers = ManualResolver::new("test");
    servers.update(Resolution::new(endpoints(1)));
    let channel = Channel::builder("test:///many")
        .insecure()
        .resolver(servers.clone())
        .connector(network)
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()
        .unwrap();
    channel.connect();
    servers.verdict().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;

    let generations = Arc::new(Generations::default());
    let counting = tracing::subscriber::set_default(Arc::clone(&generations));
    servers.update(Resolution::new(endpoints(10_000)));
    servers.verdict().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(counting);
    assert_eq!(generations.0.load(Ordering::Relaxed), 1);
}
