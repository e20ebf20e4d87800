//! What a service config says of methods, in force on the wire.

use std::time::Duration;

use highball_channel::{Channel, Code, Request};
use highball_echo::EchoClient;
use tokio::time::Instant;

use crate::world::{A, World, message, nothing_is_left, who, who_with};

fn channel(world: &World, method: &str) -> Channel {
    let json = format!(
        r#"{{"methodConfig":[{{"name":[{{"service":"grpc.examples.echo.Echo"}}],{method}}}]}}"#
    );
    world
        .builder()
        .default_service_config(json)
        .build()
        .expect("the test's config is valid")
}

fn one_server() -> World {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    world
}

#[tokio::test(start_paused = true)]
async fn its_timeout_holds_unless_the_calls_own_is_shorter() {
    let world = one_server();
    world.network.blackhole(A);
    let channel = channel(&world, r#""timeout":"2s""#);
    for (own, seconds) in [(None, 2), (Some(1), 1), (Some(5), 2)] {
        let mut request = Request::new(message("x"));
        if let Some(own) = own {
            request = request.with_timeout(Duration::from_secs(own));
        }
        let started = Instant::now();
        let status = who_with(&channel, request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn its_wait_for_ready_holds_unless_the_call_says_otherwise() {
    let mut world = World::new();
    world.resolve(&[A]);
    let channel = channel(&world, r#""waitForReady":true"#);
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished());
    let request = Request::new(message("x")).with_wait_for_ready(false);
    assert_eq!(
        who_with(&channel, request).await.unwrap_err().code(),
        Code::Unavailable
    );
    world.start(A);
    assert_eq!(waiting.await.unwrap().unwrap(), A);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn its_size_limits_hold_in_both_directions() {
    let world = one_server();
    let channel = channel(
        &world,
        r#""maxRequestMessageBytes":100,"maxResponseMessageBytes":50"#,
    );
    let say = async |length: usize| {
        let echo = EchoClient::new(channel.clone());
        echo.unary_echo(message(&"x".repeat(length)))
            .await
            .map(drop)
    };
    say(10).await.unwrap();
    let status = say(99).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status
            .message()
            .contains("trying to send message larger than max (101 vs. 100)")
    );
    let status = say(98).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status
            .message()
            .contains("received message larger than max"),
        "{status}"
    );
    nothing_is_left(world, channel).await;
}
