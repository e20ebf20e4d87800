//! Messages of all sizes over TLS: what lies in its buffers is not forgotten there.

use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::Server;

use crate::rig::Rig;

fn rig() -> (Rig, Channel) {
    let mut rig = Rig::without_server();
    let server = Server::builder()
        .credentials(rig.server_credentials())
        .add_service(EchoServer::new(EchoWithAddress::new("tls")));
    rig.serve_with(server.build());
    let channel = rig.good_channel();
    (rig, channel)
}

fn request(size: usize) -> EchoRequest {
    EchoRequest {
        message: "x".repeat(size),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_sizes_go_both_ways() {
    let (rig, channel) = rig();
    let client = EchoClient::new(channel.clone());
    for size in [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000, 4_000_000] {
        let request = Request::new(request(size)).with_timeout(Duration::from_secs(5));
        let reply = client.unary_echo(request).await.unwrap().into_message();
        assert_eq!(reply.message.len(), size + " (from tls)".len(), "{size}");
    }
    drop(client);
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn many_conversations_share_a_connection() {
    let (rig, channel) = rig();
    let talk = async |n: usize| {
        let client = EchoClient::new(channel.clone());
        let messages = futures::stream::iter((0..20).map(move |i| request(n * 1000 + i)));
        let request = Request::new(messages).with_timeout(Duration::from_secs(60));
        let replies = client.bidirectional_streaming_echo(request).await.unwrap();
        let sizes: Vec<_> = replies
            .map(|reply| reply.unwrap().message.len())
            .collect()
            .await;
        let expected: Vec<_> = (0..20).map(|i| n * 1000 + i).collect();
        assert_eq!(sizes, expected);
    };
    futures::future::join_all((0..50).map(talk)).await;
    rig.nothing_is_left(channel).await;
}

#[tokio::test]
async fn tls_over_tcp() {
    let rig = Rig::without_server();
    let listener = highball_server::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let identity = rig.identity(&["127.0.0.1"]);
    let server = Server::builder()
        .credentials(highball_server::TlsServerCredentials::new(identity).unwrap())
        .add_service(EchoServer::new(EchoWithAddress::new("tls")))
        .build();
    let serving = tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(address.to_string())
        .credentials(rig.trusting().build().unwrap())
        .build()
        .unwrap();
    let client = EchoClient::new(channel.clone());
    let send = Request::new(request(3_000_000)).with_timeout(Duration::from_secs(20));
    let reply = client.unary_echo(send).await.unwrap();
    assert_eq!(reply.peer().unwrap().address(), &address);
    assert!(reply.message().message.len() > 3_000_000);
    drop(client);
    channel.close().await;
    server.graceful_stop().await;
    serving.await.unwrap().unwrap();
}
