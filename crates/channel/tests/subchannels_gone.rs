//! What calls still know of servers that an update has taken away: nothing. A program of its own, since the other one
//! counts the events of its process.

use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, Code, Method, Request};

#[tokio::test(start_paused = true)]
async fn a_generation_has_nothing_of_the_subchannels_that_its_update_took_away() {
    let addresses = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
    let network = MemoryNetwork::new();
    for address in addresses {
        network.blackhole(address);
    }
    let servers = ManualResolver::new("test");
    servers.update(Resolution::new(addresses));
    let channel = Channel::builder("test:///three")
        .insecure()
        .resolver(servers.clone())
        .connector(network)
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()
        .unwrap();
    channel.connect();
    servers.verdict().await.unwrap();
    servers.update(Resolution::new([addresses[0]]));
    servers.verdict().await.unwrap();

    let method = Method::new("/test.Lab/Echo");
    let request = Request::new(()).with_timeout(Duration::from_secs(1));
    let ended = channel.unary::<(), ()>(&method, request).await;
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let known = &status.explanation().unwrap().subchannels;
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0].address.text(), addresses[0]);
}
