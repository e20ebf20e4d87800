//! Attempts at a call that race (gRFC A6): when each is sent, which one counts, and what becomes of the others.

pub(crate) mod servers;
mod streams;

use std::collections::BTreeSet;
use std::time::Duration;

use highball_channel::policy::{Outcome, Pick};
use highball_channel::{Code, MetadataMap, Request, Status};
use tokio::time::Instant;

use crate::hooked::{TURN, hook, hooked_with, unhook};
use crate::world::{A, B, message, settle, who, who_with};
use servers::{C, NEVER, Rig, UNAVAILABLE, policy, servers};

fn down() -> Status {
    Status::unavailable("down")
}

fn pushed_back(value: &str) -> Status {
    let mut trailers = MetadataMap::new();
    trailers
        .append("grpc-retry-pushback-ms", value)
        .expect("it may be set");
    Status::unavailable("busy").with_metadata(trailers)
}

#[tokio::test(start_paused = true)]
async fn a6_an_attempt_is_sent_each_delay_until_one_has_answered_and_the_others_are_cancelled() {
    let slow_then_quick = |index| match index {
        2 => (100, Ok(())),
        _ => (NEVER, Ok(())),
    };
    let rig = Rig::new(&policy(4, "0.5s", ""), slow_then_quick).await;
    let started = Instant::now();
    who(&rig.channel).await.unwrap();
    assert_eq!(started.elapsed().as_millis(), 1100);
    settle().await;
    assert_eq!(rig.log.times(), [0, 500, 1000]);
    assert_eq!(rig.log.previous(), ["-", "1", "2"]);
    assert_eq!(rig.log.cancelled(), [Some(1100), Some(1100), None]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_attempts_go_where_the_picker_sends_each() {
    let rig = Rig::new(&policy(3, "0.5s", ""), |index| {
        (2000 - index as u64 * 900, Ok(()))
    })
    .await;
    let winner = who(&rig.channel).await.unwrap();
    let servers: Vec<_> = rig.log.seen().into_iter().map(|seen| seen.server).collect();
    let different: BTreeSet<_> = servers.iter().map(String::as_str).collect();
    assert_eq!(different, BTreeSet::from([A, B, C]));
    assert_eq!(winner, servers[2], "1000 ms and 200 ms");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_without_a_delay_all_attempts_are_sent_at_once() {
    let rig = Rig::new(&policy(4, "0s", ""), |_| (50, Ok(()))).await;
    who(&rig.channel).await.unwrap();
    assert_eq!(rig.log.times(), [0, 0, 0, 0]);
    let previous: BTreeSet<_> = rig.log.previous().into_iter().collect();
    assert_eq!(previous.into_iter().collect::<Vec<_>>().join(""), "-123");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_an_answer_before_the_delay_is_over_is_the_only_one() {
    let rig = Rig::new(&policy(4, "0.5s", ""), |_| (499, Ok(()))).await;
    who(&rig.channel).await.unwrap();
    assert_eq!(rig.log.times(), [0]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_fatal_status_ends_the_call_and_the_other_attempts() {
    let second_is_fatal = |index| match index {
        1 => (100, Err(Status::internal("broken"))),
        _ => (NEVER, Ok(())),
    };
    let rig = Rig::new(&policy(4, "0.5s", UNAVAILABLE), second_is_fatal).await;
    let started = Instant::now();
    let status = who(&rig.channel).await.unwrap_err();
    assert_eq!(status.to_string(), "INTERNAL: broken");
    assert_eq!(started.elapsed().as_millis(), 600);
    settle().await;
    assert_eq!(rig.log.cancelled(), [Some(600), None]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_non_fatal_status_brings_the_next_attempt_at_once_and_the_delay_goes_on_from_there() {
    let second_is_down = |index| match index {
        1 => (100, Err(down())),
        _ => (5000, Ok(())),
    };
    let rig = Rig::new(&policy(5, "1s", UNAVAILABLE), second_is_down).await;
    let started = Instant::now();
    who(&rig.channel).await.unwrap();
    assert_eq!(started.elapsed().as_millis(), 5000);
    assert_eq!(rig.log.times(), [0, 1000, 1100, 2100, 3100]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_when_all_attempts_have_failed_the_last_of_their_statuses_is_the_calls() {
    let failing = |index| (200, Err(Status::unavailable(format!("down {index}"))));
    let rig = Rig::new(&policy(3, "0.5s", UNAVAILABLE), failing).await;
    let status = who(&rig.channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: hedged attempts exhausted: failed after 3 attempts: down 2"
    );
    assert_eq!(rig.log.times(), [0, 200, 400]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_channel_caps_hedges_and_can_switch_them_off() {
    for (attempts, cap, expected) in [(9, None, 5), (9, Some(4), 4), (2, Some(4), 2)] {
        let failing = |_| (0, Err(down()));
        let rig = Rig::with(
            &policy(attempts, "0.5s", UNAVAILABLE),
            failing,
            |builder| match cap {
                Some(cap) => builder.max_call_attempts(cap),
                None => builder,
            },
        )
        .await;
        who(&rig.channel).await.unwrap_err();
        assert_eq!(rig.log.seen().len(), expected, "{attempts} {cap:?}");
        rig.end().await;
    }
    let rig = Rig::with(
        &policy(4, "0s", UNAVAILABLE),
        |_| (0, Err(down())),
        |builder| builder.disable_retries(),
    )
    .await;
    assert_eq!(who(&rig.channel).await.unwrap_err(), down());
    assert_eq!(rig.log.seen().len(), 1);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_pushback_says_when_the_next_attempt_is_sent() {
    let answers = |index| match index {
        0 => (100, Err(pushed_back("1500"))),
        _ => (5000, Ok(())),
    };
    let rig = Rig::new(&policy(3, "0.5s", UNAVAILABLE), answers).await;
    who(&rig.channel).await.unwrap();
    assert_eq!(rig.log.times(), [0, 1600, 2100]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_pushback_that_forbids_attempts_leaves_those_that_are_out() {
    for forbidding in ["-1", "xxx"] {
        let answers = move |index| match index {
            0 => (3000, Ok(())),
            _ => (100, Err(pushed_back(forbidding))),
        };
        let rig = Rig::new(&policy(4, "0.5s", UNAVAILABLE), answers).await;
        let started = Instant::now();
        who(&rig.channel).await.unwrap();
        assert_eq!(started.elapsed().as_millis(), 3000, "the first goes on");
        assert_eq!(rig.log.times(), [0, 500]);
        rig.end().await;
    }
    let rig = Rig::new(&policy(4, "0.5s", UNAVAILABLE), |_| {
        (0, Err(pushed_back("-1")))
    })
    .await;
    let status = who(&rig.channel).await.unwrap_err();
    assert_eq!(status.to_string(), "UNAVAILABLE: busy", "none is out");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_throttle_lets_first_attempts_pass_and_no_others() {
    let throttling = r#","retryThrottling":{"maxTokens":4,"tokenRatio":1}"#;
    let policy = policy(3, "0.5s", UNAVAILABLE) + throttling;
    let answers = |index| match index {
        // 4 tokens, 3, 2: the third is not sent.
        0 | 1 => (0, Err(down())),
        // At two tokens a call has one attempt, however slow it is. It brings one token back.
        2 => (5000, Ok(())),
        // At three tokens there are hedges again.
        _ => (800, Ok(())),
    };
    let rig = Rig::new(&policy, answers).await;
    assert_eq!(who(&rig.channel).await.unwrap_err(), down());
    assert_eq!(rig.log.seen().len(), 2);
    who(&rig.channel).await.unwrap();
    assert_eq!(rig.log.seen().len(), 3);
    who(&rig.channel).await.unwrap();
    assert_eq!(rig.log.seen().len(), 5);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_deadline_spans_all_hedges_and_names_whom_they_wait_for() {
    let rig = Rig::new(&policy(3, "0.5s", ""), |_| (NEVER, Ok(()))).await;
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(2));
    let started = Instant::now();
    let status = who_with(&rig.channel, request).await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 2);
    let servers: Vec<_> = rig.log.seen().into_iter().map(|seen| seen.server).collect();
    assert_eq!(
        status.to_string(),
        format!(
            "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the response of {}",
            servers.join(" and ")
        )
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_deadline_covers_a_pushback_too() {
    let rig = Rig::new(&policy(3, "0.5s", UNAVAILABLE), |_| {
        (0, Err(pushed_back("3600000")))
    })
    .await;
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(2));
    let status = who_with(&rig.channel, request).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while waiting to try again"
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_channel_that_closes_does_not_wait_for_the_next_hedge() {
    let rig = Rig::new(&policy(3, "0.5s", UNAVAILABLE), |_| {
        (0, Err(pushed_back("3600000")))
    })
    .await;
    let channel = rig.channel.clone();
    let call = tokio::spawn(async move { who(&channel).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.channel.close().await;
    let started = Instant::now();
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(1));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_call_that_is_dropped_cancels_all_its_attempts() {
    let rig = Rig::new(&policy(3, "0.1s", ""), |_| (NEVER, Ok(()))).await;
    let call = tokio::time::timeout(Duration::from_secs(1), who(&rig.channel));
    assert!(call.await.is_err());
    settle().await;
    assert_eq!(rig.log.cancelled(), [Some(1000); 3]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_attempts_that_the_picker_fails_count_and_a_drop_ends_the_call() {
    let _turn = TURN.lock().await;
    for (drops, expected, picked) in [
        (
            false,
            "UNAVAILABLE: hedged attempts exhausted: failed after 3 attempts: no backend",
            3,
        ),
        (true, "UNAVAILABLE: no backend", 1),
    ] {
        let (world, log) = servers(|_| (0, Ok(())));
        let channel = hooked_with(&world, &format!(",{}", policy(3, "0.5s", UNAVAILABLE)));
        let rig = Rig::settled(world, channel, log).await;
        let (sender, picks) = std::sync::mpsc::channel();
        hook(move |_, _| {
            sender.send(()).unwrap();
            match drops {
                true => Pick::Drop(Status::unavailable("no backend")),
                false => Pick::Fail(Status::unavailable("no backend")),
            }
        });
        let status = who(&rig.channel).await.unwrap_err();
        unhook();
        assert_eq!(status.to_string(), expected);
        assert_eq!(picks.try_iter().count(), picked);
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a6_the_completion_hook_of_each_attempt_runs_once_with_what_became_of_it() {
    let _turn = TURN.lock().await;
    let answers = |index| match index {
        0 => (100, Err(down())),
        1 => (NEVER, Ok(())),
        _ => (300, Ok(())),
    };
    let (world, log) = servers(answers);
    let channel = hooked_with(&world, &format!(",{}", policy(4, "0.2s", UNAVAILABLE)));
    let rig = Rig::settled(world, channel, log).await;
    let (sender, outcomes) = std::sync::mpsc::channel();
    hook(move |picker, call| match picker.pick(call) {
        Pick::Use(selection) => {
            let sender = sender.clone();
            let report = move |outcome: &Outcome| drop(sender.send(outcome.clone()));
            Pick::Use(selection.on_done(report))
        }
        other => other,
    });
    // 0 ms; 100 ms, for the first has failed; 300 ms; 500 ms. The third answers at 600 ms.
    who(&rig.channel).await.unwrap();
    settle().await;
    unhook();
    assert_eq!(rig.log.times(), [0, 100, 300, 500]);
    let mut results: Vec<_> = outcomes
        .try_iter()
        .map(|outcome| {
            (
                format!("{:?}", outcome.result.map(|result| result.is_ok())),
                outcome.bytes_sent,
            )
        })
        .collect();
    results.sort();
    let cancelled = ("None".to_owned(), false);
    let expected = [
        cancelled.clone(),
        cancelled,
        ("Some(false)".to_owned(), true),
        ("Some(true)".to_owned(), true),
    ];
    assert_eq!(results, expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_call_that_waits_for_ready_waits_with_all_its_attempts() {
    let mut rig = Rig::new(&policy(3, "0.1s", ""), |_| (0, Ok(()))).await;
    for server in [A, B, C] {
        rig.world.kill(server).await;
    }
    settle().await;
    let channel = rig.channel.clone();
    let request = Request::new(message("x")).with_wait_for_ready(true);
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!call.is_finished());
    rig.world.start(B);
    assert_eq!(call.await.unwrap().unwrap(), B);
    assert!(rig.log.seen().is_empty());
    rig.end().await;
}
