//! Proxies that refuse, stall and break off: the channel says what happened, and where, and tries again.

use std::time::Duration;

use highball_channel::transport::MemoryNetwork;
use highball_channel::{Address, Channel, Code, ConnectivityState};
use highball_echo::EchoClient;
use tokio::time::Instant;

use crate::rig::{Manner, Proxy, echo, plain, serve, through};

const PROXY: &str = "192.0.2.7:3128";
const SERVER: &str = "echo.test:443";

/// A channel to a server behind a proxy that behaves so.
fn start(manner: Manner) -> (Proxy, Channel, EchoClient) {
    let network = MemoryNetwork::new();
    let server = serve(network.listen("the server"), plain());
    let proxy = Proxy::start(network.listen(PROXY), manner, network.clone(), server);
    let channel = channel(network);
    let client = EchoClient::new(channel.clone());
    (proxy, channel, client)
}

fn channel(network: MemoryNetwork) -> Channel {
    let channel = Channel::builder(SERVER).insecure().connector(network);
    let channel = channel.proxy(through(&Address::tcp(PROXY))).seed(7);
    channel.build().expect("a channel")
}

/// What a call is told; it names server and proxy.
async fn told(client: &EchoClient) -> String {
    let error = echo(client).await.expect_err("no way through");
    assert_eq!(error.code(), Code::Unavailable);
    let message = error.message().to_owned();
    let route = format!("{SERVER} through the proxy {PROXY}");
    assert!(message.contains(&route), "{message}");
    message
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_refuses_is_quoted_and_asked_again_after_a_backoff() {
    for words in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nno!",
    ] {
        let (proxy, channel, client) = start(Manner::Says(words));
        let told = told(&client).await;
        let status = words.lines().next().expect("a line");
        assert!(told.contains(status), "{told}");
        assert_eq!(
            told.contains("Proxy-Authenticate: Basic realm=x"),
            words.contains("407"),
            "{told}"
        );
        assert!(told.contains("Error while dialing"), "{told}");
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
        let asked = proxy.requests().len();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(proxy.requests().len(), asked, "it waits out its backoff");
        proxy.behave(Manner::Tunnels);
        let ready = channel.wait_ready(Duration::from_secs(5)).await;
        ready.expect("the proxy has relented");
        echo(&client).await.expect("an answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_not_there_is_named() {
    let client = EchoClient::new(channel(MemoryNetwork::new()));
    let told = told(&client).await;
    assert!(told.contains("Error while dialing"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_closes_or_talks_too_much_is_a_failed_attempt() {
    let closed = "the proxy closed the connection instead of answering CONNECT";
    for (words, expected) in [
        ("", closed),
        ("HTTP/1.1 200 OK\r\nVia", closed),
        ("220 mail.test ESMTP\r\n\r\n", "does not answer in HTTP/1.1"),
        (
            Box::leak(format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(20_000)).into_boxed_str()),
            "a head of more than 16384 bytes",
        ),
    ] {
        let (_proxy, _channel, client) = start(Manner::Says(words));
        let told = told(&client).await;
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mute_proxy_costs_no_more_than_the_time_of_an_attempt() {
    let (_proxy, channel, client) = start(Manner::Mute);
    let started = Instant::now();
    let error = echo(&client).await.expect_err("no way through");
    assert_eq!(started.elapsed().as_secs(), 20, "{error}");
    assert_eq!(error.code(), Code::Unavailable);
    let route = format!("{SERVER} through the proxy {PROXY}");
    assert!(error.message().contains(&route), "{error}");
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_trickles_is_waited_for_as_long_as_an_attempt_may_take() {
    let (_proxy, _channel, client) = start(Manner::Trickles(Duration::from_millis(100)));
    echo(&client).await.expect("an answer after six seconds");
    let (_proxy, _channel, client) = start(Manner::Trickles(Duration::from_secs(1)));
    let started = Instant::now();
    echo(&client).await.expect_err("no way through");
    assert_eq!(started.elapsed().as_secs(), 20);
}
