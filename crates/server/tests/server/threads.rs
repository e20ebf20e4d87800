//! On several threads and in real time, where tasks really race.

use std::time::Duration;

use futures::future::join_all;

use crate::support::World;
use crate::support::client::{framed, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_race_with_cancellations_are_answered_and_leave_nothing() {
    let world = World::new();
    let clients = join_all((0..4).map(|_| world.client())).await;
    let callers = clients
        .iter()
        .flat_map(|client| (0..16).map(move |n| (client.clone(), n)));
    let callers = callers.map(|(client, caller)| {
        tokio::spawn(async move {
            for round in 0..25 {
                let mut chat = client.start("Chat").await;
                chat.send.send_data(framed(&"a".to_owned()), false).unwrap();
                if (caller + round) % 3 == 0 {
                    tokio::task::yield_now().await;
                    chat.send.send_reset(h2::Reason::CANCEL);
                    continue;
                }
                chat.send.send_data(framed(&"b".to_owned()), true).unwrap();
                assert_eq!(chat.reply().await.texts(), ["a!", "b!"]);
                let hasty = request("Hang").header("grpc-timeout", "500u");
                let reply = client.send_all(hasty, [framed(&"x".to_owned())]).await;
                assert!(
                    reply.reset.is_some() || reply.status().starts_with("4 "),
                    "{reply:?}"
                );
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    drop(clients);
    let stopped = tokio::time::timeout(Duration::from_secs(20), world.server.graceful_stop());
    stopped.await.unwrap();
    assert_eq!(world.seen.running(), 0);
    world.serving.await.unwrap().unwrap();
}
