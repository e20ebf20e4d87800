//! Client-side health checking (gRFC A17), against the server's own health service.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::resolver::Resolution;
use highball_channel::{Channel, ConnectivityState};
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::health::HealthService;
use highball_server::health::ServingStatus::{NotServing, ServiceUnknown, Serving, Unknown};
use highball_server::health::v1::{HealthCheckRequest, HealthCheckResponse};
use highball_server::{IncomingCall, Request, Response, ResponseStream, Server, Service};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::world::{A, B, World, nothing_is_left, settle, who};

fn channel(world: &World, service: &str) -> Channel {
    let json = format!(
        r#"{{"loadBalancingConfig":[{{"round_robin":{{}}}}],"healthCheckConfig":{service}}}"#
    );
    world
        .builder()
        .default_service_config(json)
        .build()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A server that has the echo and the health service, and a resolver that knows it.
fn infirmary() -> (World, HealthService) {
    let mut world = World::new();
    let health = HealthService::new();
    let server = Server::builder()
        .add_service(echo())
        .add_service(health.clone())
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    (world, health)
}

fn echo() -> EchoServer<EchoWithAddress> {
    EchoServer::new(EchoWithAddress::new(A))
}

#[tokio::test(start_paused = true)]
async fn a17_the_channel_follows_what_the_server_says_of_its_health() {
    let (world, health) = infirmary();
    health.set("echo", NotServing);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    let failure = who(&channel).await.unwrap_err().to_string();
    assert_eq!(
        failure,
        "UNAVAILABLE: pickfirst: health check failure: \
         connection active but health check failed. status=NOT_SERVING"
    );
    for (says, state) in [
        (Serving, ConnectivityState::Ready),
        (NotServing, ConnectivityState::TransientFailure),
        (Serving, ConnectivityState::Ready),
        (Unknown, ConnectivityState::TransientFailure),
        (Serving, ConnectivityState::Ready),
        (ServiceUnknown, ConnectivityState::TransientFailure),
    ] {
        health.set("echo", says);
        settle().await;
        assert_eq!(channel.state(), state, "status {says:?}");
        assert_eq!(
            who(&channel).await.is_ok(),
            state == ConnectivityState::Ready
        );
    }
    assert_eq!(
        world.network.connections(A),
        1,
        "bad health costs no connection"
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_a_server_that_is_about_to_stop_is_left_before_it_does() {
    let (mut world, health) = infirmary();
    health.set("echo", Serving);
    world.start(B);
    world.resolve(&[A, B]);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    channel.connect();
    settle().await;
    let both = [who(&channel).await.unwrap(), who(&channel).await.unwrap()];
    assert_eq!(
        BTreeSet::from(both),
        BTreeSet::from([A, B].map(str::to_owned))
    );
    health.shut_down();
    settle().await;
    for _ in 0..4 {
        assert_eq!(who(&channel).await.unwrap(), B, "B has no health service");
    }
    world.stop_gracefully(A).await;
    assert_eq!(who(&channel).await.unwrap(), B);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_a_graceful_stop_does_not_wait_for_channels_that_watch_health() {
    let (mut world, health) = infirmary();
    health.set("echo", Serving);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    settle().await;
    assert_eq!(health.watchers(), 1);
    let start = Instant::now();
    world.stop_gracefully(A).await;
    assert_eq!((start.elapsed(), health.watchers()), (Duration::ZERO, 0));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_a_server_without_a_health_service_counts_as_healthy() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    assert!(who(&channel).await.is_ok());
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_without_a_service_name_nobody_is_asked() {
    let (world, health) = infirmary();
    health.set("", NotServing);
    let channel = channel(&world, "{}");
    assert!(who(&channel).await.is_ok());
    assert_eq!(health.watchers(), 0);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_the_watch_ends_with_the_channel() {
    let (world, health) = infirmary();
    health.set("echo", Serving);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    let states = channel.states();
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    assert_eq!(health.watchers(), 1);
    channel.close().await;
    settle().await;
    assert_eq!(health.watchers(), 0);
    assert_eq!(
        states.collect::<Vec<_>>().await.last(),
        Some(&ConnectivityState::Shutdown)
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_config_that_names_another_service_starts_the_watch_anew() {
    let (world, health) = infirmary();
    health.set("echo", Serving);
    let channel = channel(&world, "{}");
    for (service, watchers, state) in [
        (r#"{"serviceName":"echo"}"#, 1, ConnectivityState::Ready),
        (
            r#"{"serviceName":"other"}"#,
            1,
            ConnectivityState::TransientFailure,
        ),
        ("{}", 0, ConnectivityState::Ready),
        (r#"{"serviceName":"echo"}"#, 1, ConnectivityState::Ready),
    ] {
        let config = format!(
            r#"{{"loadBalancingConfig":[{{"round_robin":{{}}}}],"healthCheckConfig":{service}}}"#
        );
        let resolution = Resolution::new([A]).with_service_config(config);
        world.resolver.update(resolution);
        channel.connect();
        settle().await;
        assert_eq!(channel.state(), state, "{service}");
        assert_eq!(health.watchers(), watchers, "{service}");
    }
    assert_eq!(world.network.connections(A), 1);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_floods_its_health_leaves_its_last_word() {
    let mut world = World::new();
    let (quiet, _) = watch::channel(());
    let flood = Flood(quiet.clone());
    let server = Server::builder()
        .add_service(echo())
        .add_service(flood)
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    channel.connect();
    settle().await;
    // Ten thousand changes of mind, the last of them for the worse.
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    drop(quiet);
    nothing_is_left(world, channel).await;
}

/// Says SERVING and NOT_SERVING in turn, as fast as it can, and then nothing more.
struct Flood(watch::Sender<()>);

impl Service for Flood {
    fn name(&self) -> &str {
        "grpc.health.v1.Health"
    }

    fn call(&self, _: &str, call: IncomingCall) {
        let mut quiet = self.0.subscribe();
        highball_server::server_streaming(call, async move |_: Request<HealthCheckRequest>| {
            quiet.mark_unchanged();
            let words = (0..10_000)
                .map(|n| 1 + n % 2)
                .map(|status| Ok(HealthCheckResponse { status }));
            let silence = futures::stream::once(async move {
                // Nobody changes it: this ends with the test.
                let _ = quiet.changed().await;
                Ok(HealthCheckResponse {
                    status: NotServing.into(),
                })
            });
            let stream: ResponseStream<HealthCheckResponse> =
                Box::pin(futures::stream::iter(words).chain(silence));
            Ok(Response::new(stream))
        });
    }
}
