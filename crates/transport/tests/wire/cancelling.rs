//! Cancellation at every stage, between our own two ends.

use std::time::Duration;

use bytes::Bytes;
use futures::future::poll_fn;
use highball_core::{MetadataMap, Status};
use highball_testkit::LeakCheck;
use highball_transport::client::{ClientOptions, Connection, connect};
use highball_transport::server::{Incoming, ServerConnection, ServerOptions};
use highball_transport::{MemoryListener, MemoryNetwork};

use crate::rig::{head, message, settle};

async fn serve(mut listener: MemoryListener) {
    while let Ok(io) = listener.accept().await {
        tokio::spawn(async move {
            let options = ServerOptions::default();
            let mut connection = ServerConnection::handshake(io, &options).await.unwrap();
            while let Some(call) = connection.accept().await {
                tokio::spawn(echo(*call));
            }
        });
    }
}

/// Sends each message back, a moment later, in two pieces of the stream.
async fn echo(call: Incoming) {
    let Incoming {
        mut receiver,
        mut responder,
        permit: _permit,
        ..
    } = call;
    while let Some(received) = poll_fn(|cx| receiver.poll_message(1 << 20, cx)).await {
        let Ok(payload) = received else { return };
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut framed = message(&payload);
        if poll_fn(|cx| responder.poll_send(&mut framed, cx))
            .await
            .is_err()
        {
            return;
        }
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    responder.finish_ok(MetadataMap::new());
}

async fn call(connection: &Connection) -> Result<Bytes, Status> {
    let slot = connection.slot().await?;
    let (mut send, mut recv) = connection.open(slot, head())?;
    // What stopped it is told by the receiving half.
    let _ = send.send(message(b"payload of the call"), true).await;
    let reply = recv.message().await.map_err(|ended| ended.status)?;
    let end = recv.message().await.map_err(|ended| ended.status)?;
    assert!(end.is_none());
    reply.ok_or_else(|| Status::internal("no reply"))
}

/// Polls a call `polls` times, then drops it; true if it had ended before.
async fn cancelled_after(connection: &Connection, polls: u32) -> bool {
    let call = call(connection);
    tokio::pin!(call);
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        match call.as_mut().poll(cx) {
            std::task::Poll::Ready(reply) => {
                assert_eq!(reply.unwrap(), "payload of the call");
                std::task::Poll::Ready(true)
            }
            std::task::Poll::Pending if polled > polls => std::task::Poll::Ready(false),
            std::task::Poll::Pending => {
                // Poll again soon, whether anything has happened or not.
                let waker = cx.waker().clone();
                tokio::spawn(async move { waker.wake() });
                std::task::Poll::Pending
            }
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_cancelled_at_random_stages_leave_nothing_and_hurt_nobody() {
    let leaks = LeakCheck::start();
    let network = MemoryNetwork::new();
    let serving = tokio::spawn(serve(network.listen("server")));
    let (connection, end) = connect(&network, &"server".into(), &ClientOptions::default())
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for task in 0..50_u32 {
        let connection = connection.clone();
        tasks.push(tokio::spawn(async move {
            let mut ended = 0;
            for turn in 0..200 {
                let stage = (task * 7919 + turn * 104_729) % 40;
                ended += u32::from(cancelled_after(&connection, stage).await);
                if turn % 10 == 0 {
                    call(&connection).await.unwrap();
                }
            }
            ended
        }));
    }
    let mut ended = 0;
    for task in tasks {
        ended += task.await.unwrap();
    }
    assert!(ended < 10_000, "some were cancelled");
    settle().await;
    assert_eq!(connection.streams(), 0);
    assert_eq!(network.connections("server"), 1);
    call(&connection).await.unwrap();
    drop((connection, end));
    serving.abort();
    leaks.finish().await;
    assert_eq!(network.open_connections("server"), 0);
}
