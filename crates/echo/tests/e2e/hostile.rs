//! Choices and code of the application's that nobody should make or write. They do harm to nobody else.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use highball_channel::policy::{ConfigError, Cx, Event, Policy, Registry, Update};
use highball_channel::{Backoff, Code, Rejected, Request};
use highball_server::Server;
use tokio::time::timeout;

use crate::world::{A, B, World, message, nothing_is_left, who, who_with};

const PICK_FIRST: &str = r#"{"pick_first":{}}"#;

#[tokio::test(start_paused = true)]
async fn times_beyond_what_the_clock_can_say_never_come() {
    let mut world = World::new();
    world.start(B);
    world.resolve(&[A, B]);
    let channel = world
        .builder()
        .idle_timeout(Some(Duration::MAX))
        .min_connect_timeout(Duration::MAX)
        .backoff(Backoff {
            base: Duration::MAX,
            multiplier: 1.0,
            jitter: 0.0,
            max: Duration::MAX,
        })
        .build()
        .unwrap();
    // The first address refuses and backs off for ever; the second serves.
    assert_eq!(who(&channel).await.unwrap(), B);
    let hour = Duration::from_secs(3600);
    tokio::time::sleep(hour).await;
    let request = Request::new(message("x")).with_timeout(Duration::MAX);
    assert_eq!(who_with(&channel, request).await.unwrap(), B);
    assert_eq!(world.network.connections(B), 1);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_no_time_to_be_unused_serves_calls() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world
        .builder()
        .idle_timeout(Some(Duration::ZERO))
        .build()
        .unwrap();
    // In turns, for the clock stands still as long as somebody spins.
    let mut call = pin!(who(&channel));
    for _ in 0..10_000 {
        if let Poll::Ready(reply) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            assert_eq!(reply.unwrap(), A);
            return nothing_is_left(world, channel.clone()).await;
        }
        tokio::task::yield_now().await;
    }
    panic!("the channel keeps itself from serving");
}

#[test]
fn calls_of_a_channel_whose_runtime_is_gone_fail_rather_than_wait() {
    let paused = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let (first, second) = (paused(), paused());
    let channels = first.block_on(async {
        let mut world = World::new();
        world.start(A);
        world.resolve(&[A]);
        let used = world.channel(PICK_FIRST);
        who(&used).await.unwrap();
        [used, world.channel(PICK_FIRST)]
    });
    drop(first);
    second.block_on(async {
        for channel in channels {
            let call = timeout(Duration::from_secs(60), who(&channel)).await;
            let status = call.expect("the call does not wait").unwrap_err();
            assert_eq!(status.code(), Code::Cancelled, "{status}");
        }
    });
}

/// Wakes itself whenever it is woken.
#[derive(Debug)]
struct Restless;

static WAKES: AtomicUsize = AtomicUsize::new(0);
const ENOUGH: usize = 100_000;

impl Policy for Restless {
    const NAME: &'static str = "restless";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self
    }

    fn update(&mut self, _: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        cx.waker().wake();
        Ok(())
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        // So that a channel which it holds up comes to an end, and the test with it.
        if matches!(event, Event::Woken) && WAKES.fetch_add(1, Ordering::Relaxed) < ENOUGH {
            cx.waker().wake();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_wakes_itself_for_ever_holds_up_only_its_own_calls() {
    let world = World::with_two_servers();
    let builder = world.builder().policy::<Restless>();
    let channel = builder
        .default_service_config(r#"{"loadBalancingConfig":[{"restless":{}}]}"#)
        .build()
        .unwrap();
    channel.connect();
    while WAKES.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let other = world.channel(PICK_FIRST);
    assert_eq!(who(&other).await.unwrap(), A);
    channel.close().await;
    assert!(
        WAKES.load(Ordering::Relaxed) < ENOUGH,
        "the channel let nobody else run"
    );
    other.close().await;
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_beyond_all_measure_fails_its_call() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let mut request = Request::new(message("x"));
    for _ in 0..30_000 {
        request.metadata_mut().append("k", "v").unwrap();
    }
    let status = who_with(&channel, request).await.unwrap_err();
    assert!(status.message().contains("header list size"), "{status}");
    assert_eq!(who(&channel).await.unwrap(), A);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn any_number_of_unfinished_handshakes_may_be_allowed() {
    let mut world = World::new();
    let service = highball_echo::EchoServer::new(highball_echo::EchoWithAddress::new(A));
    let server = Server::builder()
        .max_unfinished_handshakes(usize::MAX)
        .add_service(service)
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    assert_eq!(who(&channel).await.unwrap(), A);
    nothing_is_left(world, channel).await;
}
