//! Where calls go: `custom_round_robin` from the outside.

use crate::world::{B, World, nothing_is_left, sequence, settle, who};

fn policy(choose_second: &str) -> String {
    format!(r#"{{"custom_round_robin":{{"chooseSecond":{choose_second}}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn every_nth_call_goes_to_the_second_server() {
    for (choose_second, expected) in [
        ("1", "SSSSSSSSSSSS"),
        ("2", "FSFSFSFSFSFS"),
        ("3", "FFSFFSFFSFFS"),
        ("5", "FFFFSFFFFSFF"),
        ("0", "FFFFFFFFFFFF"),
        ("null", "FFSFFSFFSFFS"),
    ] {
        let world = World::with_two_servers();
        let channel = world.settled(&policy(choose_second)).await;
        assert_eq!(
            sequence(&channel, 12).await,
            expected,
            "chooseSecond {choose_second}"
        );
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_callers_at_once_get_exact_shares() {
    for (choose_second, to_second) in [(1, 1920), (2, 960), (3, 640), (5, 384), (0, 0)] {
        let world = World::with_two_servers();
        let channel = world.settled(&policy(&choose_second.to_string())).await;
        let callers = (0..64).map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let mut to_second = 0;
                for _ in 0..30 {
                    to_second += usize::from(who(&channel).await.unwrap() == B);
                }
                to_second
            })
        });
        let mut sum = 0;
        for caller in callers.collect::<Vec<_>>() {
            sum += caller.await.unwrap();
        }
        assert_eq!(sum, to_second, "chooseSecond {choose_second}");
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_update_again_restarts_the_count() {
    let world = World::with_two_servers();
    let channel = world.settled(&policy("3")).await;
    assert_eq!(sequence(&channel, 2).await, "FF");
    world.resolve(&[crate::world::A, B]);
    world.resolver.verdict().await.unwrap();
    settle().await;
    assert_eq!(sequence(&channel, 3).await, "FFS");
    nothing_is_left(world, channel).await;
}
