//! The four kinds of call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use highball_channel::{Channel, Code, Request};
use highball_echo::EchoClient;

use crate::world::{A, World, message, nothing_is_left};

fn one_server() -> (World, Channel) {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    (world, channel)
}

#[tokio::test(start_paused = true)]
async fn one_request_a_stream_of_replies() {
    let (world, channel) = one_server();
    let replies = EchoClient::new(channel.clone())
        .server_streaming_echo(message("x"))
        .await;
    let replies: Vec<_> = replies.unwrap().try_collect().await.unwrap();
    assert_eq!(replies.len(), 10);
    assert!(replies.iter().all(|reply| reply.message == "x"));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_requests_one_reply() {
    let (world, channel) = one_server();
    let requests = stream::iter(["one", "two", "three"].map(message));
    let reply = EchoClient::new(channel.clone())
        .client_streaming_echo(Request::new(requests))
        .await;
    assert_eq!(reply.unwrap().into_message().message, "three");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn requests_and_replies_in_turn() {
    let (world, channel) = one_server();
    let (sender, requests) = futures::channel::mpsc::unbounded();
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await
        .unwrap();
    for text in ["one", "two", "three"] {
        sender.unbounded_send(message(text)).unwrap();
        assert_eq!(replies.message().await.unwrap().unwrap().message, text);
    }
    drop(sender);
    assert_eq!(replies.message().await.unwrap(), None);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn messages_larger_than_every_window_arrive_whole() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let large = "x".repeat(3_000_000);
    let reply = echo
        .unary_echo(message(&large))
        .await
        .unwrap()
        .into_message();
    assert_eq!(reply.message.len(), large.len() + " (from a:1)".len());
    let requests = stream::iter(vec![message(&large); 3]);
    let replies = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await
        .unwrap();
    let lengths: Vec<_> = replies
        .map_ok(|reply| reply.message.len())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lengths, [large.len(); 3]);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_stream_that_panics_fails_its_call_and_no_other() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let requests = stream::iter([0]).map(|_| -> highball_echo::EchoRequest { panic!("oh no") });
    let status = echo
        .client_streaming_echo(Request::new(requests))
        .await
        .unwrap_err();
    assert_eq!(status.to_string(), "INTERNAL: the request stream panicked");
    assert!(echo.unary_echo(message("x")).await.is_ok());
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_fails_a_stream_with_its_own_status() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let mut request = Request::new(stream::iter([message("ok"), message("far too large")]));
    request.options_mut().max_request_bytes = Some(10);
    let replies = echo.bidirectional_streaming_echo(request).await.unwrap();
    let end = replies.try_for_each(async |_| Ok(())).await.unwrap_err();
    assert_eq!(end.code(), Code::ResourceExhausted);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_is_held_up_by_a_server_that_does_not_read() {
    let (world, channel) = one_server();
    let (sender, requests) = highball_channel::messages();
    let echo = EchoClient::new(channel.clone());
    // Nobody reads the replies, so the echo stops reading the requests once the windows are full.
    let replies = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await
        .unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            while sender.send(message(&"x".repeat(10_000))).await.is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let held_up_at = sent.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(sent.load(Ordering::Relaxed), held_up_at);
    assert!(
        (1..200).contains(&held_up_at),
        "{held_up_at} messages of 10 kB"
    );
    drop(replies);
    sending.await.unwrap();
    nothing_is_left(world, channel).await;
}
