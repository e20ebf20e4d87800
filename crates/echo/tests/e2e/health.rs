//! Client-side health checking (gRFC A17), against a health service that the test speaks for.

use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::resolver::Resolution;
use highball_channel::{Channel, ConnectivityState};
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::{IncomingCall, Request, Response, ResponseStream, Server, Service};
use tokio::sync::watch;

use crate::world::{A, World, nothing_is_left, settle, who};

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// `HealthCheckRequest` and `HealthCheckResponse`: each has one field.
#[derive(Clone, PartialEq, prost::Message)]
struct Asked {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `grpc.health.v1.Health`, as far as `Watch` goes. Knows the service `echo`.
struct Health(watch::Sender<i32>);

impl Service for Health {
    fn name(&self) -> &str {
        "grpc.health.v1.Health"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        assert_eq!(method, "Watch");
        let statuses = self.0.subscribe();
        highball_server::server_streaming(call, async move |request: Request<Asked>| {
            if request.message().service != "echo" {
                let unknown = Answer {
                    status: SERVICE_UNKNOWN,
                };
                let unknown = futures::stream::iter([Ok(unknown)]);
                let stream: ResponseStream<Answer> =
                    Box::pin(unknown.chain(futures::stream::pending()));
                return Ok(Response::new(stream));
            }
            let changes =
                futures::stream::unfold((statuses, true), async |(mut statuses, first)| {
                    if !first {
                        statuses.changed().await.ok()?;
                    }
                    let status = *statuses.borrow_and_update();
                    Some((Ok(Answer { status }), (statuses, false)))
                });
            let stream: ResponseStream<Answer> = Box::pin(changes);
            Ok(Response::new(stream))
        });
    }
}

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

fn echo() -> EchoServer<EchoWithAddress> {
    EchoServer::new(EchoWithAddress::new(A))
}

#[tokio::test(start_paused = true)]
async fn a17_the_channel_follows_what_the_server_says_of_its_health() {
    let mut world = World::new();
    let (status, _) = watch::channel(NOT_SERVING);
    let server = Server::builder()
        .add_service(echo())
        .add_service(Health(status.clone()))
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    let failure = who(&channel).await.unwrap_err().to_string();
    assert_eq!(
        failure,
        "UNAVAILABLE: pickfirst: health check failure: \
         connection active but health check failed. status=NOT_SERVING"
    );
    for (says, state) in [
        (SERVING, ConnectivityState::Ready),
        (NOT_SERVING, ConnectivityState::TransientFailure),
        (SERVING, ConnectivityState::Ready),
        (0, ConnectivityState::TransientFailure),
    ] {
        status.send_replace(says);
        settle().await;
        assert_eq!(channel.state(), state, "status {says}");
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
    drop(status);
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
    let mut world = World::new();
    let (status, watchers) = watch::channel(NOT_SERVING);
    drop(watchers);
    let server = Server::builder()
        .add_service(echo())
        .add_service(Health(status.clone()))
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = channel(&world, "{}");
    assert!(who(&channel).await.is_ok());
    assert_eq!(status.receiver_count(), 0);
    drop(status);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_the_watch_ends_with_the_channel() {
    let mut world = World::new();
    let (status, watchers) = watch::channel(SERVING);
    drop(watchers);
    let server = Server::builder()
        .add_service(echo())
        .add_service(Health(status.clone()))
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = channel(&world, r#"{"serviceName":"echo"}"#);
    let states = channel.states();
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    assert_eq!(status.receiver_count(), 1);
    channel.close().await;
    settle().await;
    assert_eq!(status.receiver_count(), 0);
    assert_eq!(
        states.collect::<Vec<_>>().await.last(),
        Some(&ConnectivityState::Shutdown)
    );
    drop(status);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_config_that_names_another_service_starts_the_watch_anew() {
    let mut world = World::new();
    let (status, watchers) = watch::channel(SERVING);
    drop(watchers);
    let server = Server::builder()
        .add_service(echo())
        .add_service(Health(status.clone()))
        .build();
    world.start_with(A, server);
    let channel = channel(&world, "{}");
    for (service, watchers, state) in [
        (r#"{"serviceName":"echo"}"#, 1, ConnectivityState::Ready),
        (
            r#"{"serviceName":"other"}"#,
            0,
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
        assert_eq!(status.receiver_count(), watchers, "{service}");
    }
    assert_eq!(world.network.connections(A), 1);
    drop(status);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_floods_its_health_leaves_its_last_word() {
    let mut world = World::new();
    let (status, watchers) = watch::channel(SERVING);
    drop(watchers);
    let flood = Flood(status.clone());
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
    drop(status);
    nothing_is_left(world, channel).await;
}

/// Says SERVING and NOT_SERVING in turn, as fast as it can, and then nothing more.
struct Flood(watch::Sender<i32>);

impl Service for Flood {
    fn name(&self) -> &str {
        "grpc.health.v1.Health"
    }

    fn call(&self, _: &str, call: IncomingCall) {
        let mut quiet = self.0.subscribe();
        highball_server::server_streaming(call, async move |_: Request<Asked>| {
            quiet.mark_unchanged();
            let words = (0..10_000)
                .map(|n| 1 + n % 2)
                .map(|status| Ok(Answer { status }));
            let silence = futures::stream::once(async move {
                // Nobody changes it: this ends with the test.
                let _ = quiet.changed().await;
                Ok(Answer {
                    status: NOT_SERVING,
                })
            });
            let stream: ResponseStream<Answer> =
                Box::pin(futures::stream::iter(words).chain(silence));
            Ok(Response::new(stream))
        });
    }
}
