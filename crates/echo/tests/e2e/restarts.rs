//! Graceful restarts under load.

use std::time::Duration;

use highball_channel::Status;
use tokio::task::JoinSet;

use crate::world::{B, World, nothing_is_left, who};

#[tokio::test(start_paused = true)]
async fn ten_graceful_restarts_of_one_of_two_servers_fail_no_call() {
    let mut world = World::with_two_servers();
    let channel = world.settled(r#"{"round_robin":{}}"#).await;
    let load = tokio::spawn({
        let channel = channel.clone();
        async move {
            // 500 calls a second for 30 seconds, none of them waiting for ready.
            let mut calls = JoinSet::new();
            for _ in 0..15_000 {
                let channel = channel.clone();
                calls.spawn(async move { who(&channel).await });
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            calls.join_all().await
        }
    });
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.stop_gracefully(B).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.start(B);
    }
    let answers: Vec<Result<String, Status>> = load.await.unwrap();
    let failed: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert_eq!(
        (answers.len(), failed.len()),
        (15_000, 0),
        "{:?}",
        failed.first()
    );
    let to_b = answers.iter().flatten().filter(|name| *name == B).count();
    assert!(
        to_b > 1000,
        "the restarted server is used again: {to_b} calls"
    );
    nothing_is_left(world, channel).await;
}
