//! Which task a handler runs in, and what it may do to the others there.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures::future::join_all;

use crate::support::client::framed;
use crate::support::raw::{self, DATA, END_HEADERS, END_STREAM, HEADERS};
use crate::support::{Client, World};

async fn task_of(client: &Client, method: &str) -> String {
    client.unary(method, &String::new()).await.message()
}

/// Lets the others have their turn. (tokio's own yields wait until all others wait.)
async fn turn() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn on_one_thread_a_handler_that_need_not_wait_costs_no_task() {
    let world = World::new();
    let (client, other) = (world.client().await, world.client().await);
    let connection = task_of(&client, "Where").await;
    assert_eq!(task_of(&client, "Where").await, connection);
    let own = task_of(&client, "WhereAfter").await;
    assert_ne!(own, connection);
    assert_ne!(task_of(&client, "WhereAfter").await, own);
    assert_ne!(task_of(&other, "Where").await, connection);
    drop((client, other));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_calls_does_not_hold_the_thread_for_longer_than_a_task_may() {
    const CALLS: u32 = 300;
    let world = World::with(|builder| builder.max_concurrent_streams(CALLS));
    let mut peer = world.raw().await;
    let seen = world.seen.clone();
    let bystander = tokio::spawn(async move {
        let (mut before, mut most) = (0, 0);
        while before < CALLS as usize {
            turn().await;
            let started = seen.started();
            most = most.max(started - before);
            before = started;
        }
        most
    });
    let call = raw::call("Echo");
    let burst = (0..CALLS).flat_map(|n| {
        let open = raw::frame(HEADERS, END_HEADERS, 2 * n + 1, &call);
        let message = framed(&String::new());
        [open, raw::frame(DATA, END_STREAM, 2 * n + 1, &message)].concat()
    });
    peer.write(&burst.collect::<Vec<_>>()).await;
    // tokio lets a task do 128 things before it is others' turn.
    let most = bystander.await.unwrap();
    assert!((1..=128).contains(&most), "{most}");
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_panics_beside_a_handler_ends_its_call_alone() {
    let world = World::new();
    let client = world.client().await;
    let reply = client.unary("PanicLate", &String::new()).await;
    assert!(reply.reset.is_some(), "{reply:?}");
    assert_eq!(client.unary("Echo", &"on".to_owned()).await.status(), "0");
    drop(client);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_the_handlers_of_a_connection_run_at_the_same_time() {
    let world = World::new();
    let client = world.client().await;
    // Each blocks its thread until the other comes.
    let meeting = join_all([(); 2].map(|()| task_of(&client, "Meet")));
    let tasks = tokio::time::timeout(Duration::from_secs(20), meeting).await;
    let tasks = tasks.unwrap();
    assert_ne!(tasks[0], tasks[1]);
    drop(client);
    let stopped = tokio::time::timeout(Duration::from_secs(20), world.server.graceful_stop());
    stopped.await.unwrap();
    world.serving.await.unwrap().unwrap();
}
