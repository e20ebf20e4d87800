//! What happens when a service config, or what the resolver found, makes no sense.

use std::time::Duration;

use highball_channel::resolver::Resolution;
use highball_channel::{Code, ConnectivityState, Request};
use tokio::time::Instant;

use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

const PREFIX: &str = "error parsing service config: error parsing config for policy \
                      \"custom_round_robin\": custom-round-robin: unable to unmarshal customRRConfig";

fn json(choose_second: &str) -> String {
    format!(
        r#"{{"loadBalancingConfig":[{{"custom_round_robin":{{"chooseSecond":{choose_second}}}}}]}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn each_bad_config_is_refused_with_its_text_and_calls_fail_with_it() {
    for choose_second in ["-1", "1.5", "4294967296", "\"3\"", "true", "[3]", "{}"] {
        let mut world = World::new();
        world.start(A);
        world.start(B);
        world
            .resolver
            .update(Resolution::new([A, B]).with_service_config(json(choose_second)));
        let channel = world.builder().build().unwrap();
        let status = who(&channel).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().starts_with(PREFIX),
            "{choose_second}: {status}"
        );
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
        let rejected = world.resolver.verdict().await.unwrap_err();
        assert!(
            rejected
                .to_string()
                .contains("error parsing service config"),
            "{rejected}"
        );
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_default_config_is_refused_when_the_channel_is_built() {
    let world = World::new();
    for choose_second in ["-1", "1.5", "\"3\""] {
        let built = world
            .builder()
            .default_service_config(json(choose_second))
            .build();
        let text = built.unwrap_err().to_string();
        let prefix = "the provided default service config is invalid: error parsing config for policy \
                      \"custom_round_robin\"";
        assert!(text.starts_with(prefix), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_config_after_a_good_one_changes_nothing() {
    let world = World::with_two_servers();
    world
        .resolver
        .update(Resolution::new([A, B]).with_service_config(json("3")));
    let channel = world.builder().build().unwrap();
    who(&channel).await.unwrap();
    world
        .resolver
        .update(Resolution::new([A, B]).with_service_config(json("\"bad\"")));
    assert!(world.resolver.verdict().await.is_err());
    for _ in 0..6 {
        who(&channel).await.unwrap();
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_number_of_endpoints_other_than_two_fails_fast_with_the_reason() {
    for endpoints in [&[A][..], &[A, B, "c:3"]] {
        let mut world = World::new();
        world.start(A);
        world.resolve(endpoints);
        let channel = world.channel(r#"{"custom_round_robin":{}}"#);
        let started = Instant::now();
        let status = who(&channel).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("wants two endpoints, got:"),
            "{status}"
        );
        assert!(started.elapsed() < Duration::from_secs(1));
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_addresses_fail_calls_until_there_are_some() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: name resolver error: produced zero addresses"
    );
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move {
            who_with(
                &channel,
                Request::new(message("x")).with_wait_for_ready(true),
            )
            .await
        }
    });
    settle().await;
    world.resolve(&[A]);
    assert_eq!(waiting.await.unwrap().unwrap(), A);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_the_resolver_refuses_fails_the_first_call() {
    let world = World::new();
    let channel = highball_channel::Channel::builder("unix://authority/path").insecure();
    let channel = channel.connector(world.network.clone()).build().unwrap();
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("invalid (non-empty) authority"),
        "{status}"
    );
    nothing_is_left(world, channel).await;
}
