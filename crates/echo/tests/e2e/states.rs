//! What a channel's state goes through, as applications see it.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use highball_channel::{Channel, ConnectivityState, Status};

use crate::world::{A, B, World, nothing_is_left, settle, who};

const PICK_FIRST: &str = r#"{"pick_first":{}}"#;

/// The states that have come so far.
async fn seen(states: &mut (impl Stream<Item = ConnectivityState> + Unpin)) -> String {
    let mut seen = Vec::new();
    while let Ok(Some(state)) = tokio::time::timeout(Duration::from_millis(1), states.next()).await
    {
        seen.push(state.to_string());
    }
    seen.join(" ")
}

fn channel(
    world: &World,
) -> (
    Channel,
    impl Stream<Item = ConnectivityState> + Unpin + use<>,
) {
    let channel = world.channel(PICK_FIRST);
    let states = channel.states();
    (channel, states)
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_goes_idle_and_a_call_brings_it_back() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let (channel, mut states) = channel(&world);
    who(&channel).await.unwrap();
    assert_eq!(seen(&mut states).await, "IDLE CONNECTING READY");
    world.kill(A).await;
    assert_eq!(seen(&mut states).await, "IDLE");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(seen(&mut states).await, "", "nobody needs it");
    world.start(A);
    who(&channel).await.unwrap();
    assert_eq!(seen(&mut states).await, "CONNECTING READY");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn all_addresses_are_tried_before_transient_failure() {
    let mut world = World::new();
    world.resolve(&[A, B]);
    let (channel, mut states) = channel(&world);
    channel.connect();
    settle().await;
    assert_eq!(seen(&mut states).await, "IDLE CONNECTING TRANSIENT_FAILURE");
    drop((channel, states));
    let (channel, mut states) = self::channel(&world);
    world.start(B);
    who(&channel).await.unwrap();
    assert_eq!(seen(&mut states).await, "IDLE CONNECTING READY");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_resolver_leaves_it_connecting() {
    let world = World::new();
    let (channel, mut states) = channel(&world);
    channel.connect();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(seen(&mut states).await, "IDLE CONNECTING");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_first_is_a_failure_until_it_does_not() {
    for nothing in [
        Err(Status::unavailable("no such service")),
        Ok(Vec::<&str>::new()),
    ] {
        let mut world = World::new();
        world.start(A);
        world.resolver.update(match nothing {
            Ok(none) => highball_channel::resolver::Resolution::new(none),
            Err(status) => highball_channel::resolver::Resolution::error(status),
        });
        let (channel, mut states) = channel(&world);
        assert!(who(&channel).await.is_err());
        assert_eq!(seen(&mut states).await, "IDLE CONNECTING TRANSIENT_FAILURE");
        world.resolve(&[A]);
        settle().await;
        assert_eq!(seen(&mut states).await, "CONNECTING READY");
        nothing_is_left(world, channel).await;
    }
}
