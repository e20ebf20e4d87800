//! Calls from the client's side: the four kinds, metadata, limits, deadlines, cancellation, panics.

use std::time::Duration;

use crate::support::client::{Call, Reply, framed, request};
use crate::support::lab::Lab;
use crate::support::raw::{self, CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM};
use crate::support::{Client, World, settle};
use bytes::Bytes;
use highball_server::MessageLimits;
use tokio::time::{Instant, advance};

fn text(text: &str) -> Bytes {
    framed(&text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_four_kinds_answer() {
    let world = World::new();
    let client = world.client().await;
    let reply = client.unary("Echo", &"hi".to_owned()).await;
    assert_eq!(reply.message::<String>(), "hi");
    assert_eq!(reply.http, 200);
    let reply = client.unary("Count", &1000_u32).await;
    assert_eq!((reply.messages.len(), reply.status().as_str()), (1000, "0"));
    let three = ["a", "b", "c"].map(text);
    let reply = client.send_all(request("Collect"), three.clone()).await;
    assert_eq!(reply.message::<String>(), "abc");
    let reply = client.send_all(request("Chat"), three).await;
    assert_eq!(reply.texts(), ["a!", "b!", "c!"]);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_chat_answers_each_message_as_it_comes() {
    let world = World::new();
    let client = world.client().await;
    let mut call = client.start("Chat").await;
    // The headers come although nothing was said: a client may wait for them.
    let mut body = call.response.await.unwrap().into_body();
    for word in ["one", "two"] {
        call.send.send_data(text(word), false).unwrap();
        let data = body.data().await.unwrap().unwrap();
        assert_eq!(data, text(&format!("{word}!")));
    }
    call.send.send_data(Bytes::new(), true).unwrap();
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    drop((client, body, call.send));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn metadata_goes_both_ways() {
    let world = World::new();
    let client = world.client().await;
    let with = request("Echo")
        .header("x-echo", "1")
        .header("x-bytes-bin", "AQI=,Aw");
    let reply = client.send_all(with, [text("hi")]).await;
    assert_eq!(reply.message::<String>(), "hi");
    assert_eq!(reply.headers["x-echo"], "1");
    let values: Vec<_> = reply.headers.get_all("x-bytes-bin").iter().collect();
    assert_eq!(
        values,
        ["AQI", "Aw"],
        "each value of its own, without padding"
    );
    assert!(!reply.headers.contains_key("te"));
    assert_eq!(reply.field("x-trailer"), "behind");
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_its_call() {
    let world = World::new();
    let client = world.client().await;
    let with = request("Context")
        .header("user-agent", "tester/1")
        .header("grpc-timeout", "3S");
    let reply = client.send_all(with, [text("")]).await;
    assert_eq!(
        reply.message::<String>(),
        "/test.Lab/Context Some(\"lab.example\") Some(\"tester/1\") Some(3s) Some(\"memory-client:1\")"
    );
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_trailers_alone_with_message_details_and_metadata() {
    let world = World::new();
    let client = world.client().await;
    let reply = client.unary("Fail", &"50 % of \u{e9}\n".to_owned()).await;
    assert!(reply.is_trailers_only());
    assert_eq!(reply.status(), "9 50 %25 of %C3%A9%0A");
    assert_eq!(reply.field("grpc-status-details-bin"), "CAk");
    assert_eq!(reply.field("x-why"), "because");
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_gives_its_messages_first() {
    let world = World::new();
    let client = world.client().await;
    let reply = client.unary("Broken", &"later".to_owned()).await;
    assert_eq!(reply.texts(), ["one", "two"]);
    assert_eq!(
        (reply.status().as_str(), reply.field("x-why")),
        ("9 later", "because")
    );
    let reply = client.unary("Broken", &"at once".to_owned()).await;
    assert!(reply.is_trailers_only());
    let reply = client.unary("Broken", &"ok".to_owned()).await;
    assert_eq!(
        (reply.status().as_str(), reply.field("x-total")),
        ("0", "2")
    );
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_unary_reply_leaves_in_three_frames_and_small_messages_share_one() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Echo"))
        .await;
    peer.frame(DATA, END_STREAM, 1, &text("hi")).await;
    let kinds = [(); 3].map(|()| ());
    let mut seen = Vec::new();
    for () in kinds {
        seen.push(peer.next().await.unwrap());
    }
    let shape: Vec<_> = seen.iter().map(|frame| (frame.kind, frame.flags)).collect();
    let end = END_HEADERS | END_STREAM;
    assert_eq!(shape, [(HEADERS, END_HEADERS), (DATA, 0), (HEADERS, end)]);
    peer.frame(HEADERS, END_HEADERS, 3, &raw::call("Count"))
        .await;
    peer.frame(DATA, END_STREAM, 3, &framed(&1000_u32)).await;
    peer.next().await.unwrap();
    assert!(
        peer.next().await.unwrap().payload.len() > 5000,
        "a thousand messages in one frame"
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_of_one_message_takes_neither_none_nor_two() {
    let world = World::new();
    let client = world.client().await;
    let none = client.send_all(request("Echo"), []).await;
    assert_eq!(
        none.status(),
        "12 cardinality violation: received no request message from non-client-streaming RPC"
    );
    for (method, messages) in [
        ("Echo", [text("a"), text("b")]),
        ("Count", [framed(&1_u32), framed(&2_u32)]),
    ] {
        let two = client.send_all(request(method), messages).await;
        assert_eq!(
            two.status(),
            "12 cardinality violation: received multiple request messages for non-client-streaming RPC"
        );
    }
    assert_eq!(world.seen.started(), 0);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_message_end_the_call_and_nothing_else() {
    let world = World::new();
    let client = world.client().await;
    for (bytes, status) in [
        (&b"\0\0\0\0\x05hi"[..], "13 unexpected EOF"),
        (b"\0\0", "13 unexpected EOF"),
        (
            b"\x02\0\0\0\0",
            "13 grpc: received unexpected payload format 2",
        ),
        (
            b"\x01\0\0\0\x01x",
            "13 grpc: compressed flag set with identity or empty encoding",
        ),
        (
            b"\0\xff\xff\xff\xff",
            "8 grpc: received message larger than max (4294967295 vs. 4194304)",
        ),
    ] {
        for method in ["Echo", "Collect", "Swallow", "Chat"] {
            let reply = client
                .send_all(request(method), [Bytes::from_static(bytes)])
                .await;
            assert_eq!(reply.status(), status, "{method} {bytes:?}");
        }
    }
    let reply = client
        .send_all(request("Echo"), [Bytes::from_static(b"\0\0\0\0\x01\xff")])
        .await;
    let text = "13 grpc: failed to unmarshal the received message: ";
    assert!(reply.status().starts_with(text), "{}", reply.status());
    assert_eq!(
        client
            .unary("Echo", &"on".to_owned())
            .await
            .message::<String>(),
        "on"
    );
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn limits_hold_both_ways() {
    let limits = MessageLimits {
        receive: 10,
        send: 20,
    };
    let world = World::with(|builder| builder.message_limits(limits));
    let client = world.client().await;
    let reply = client.unary("Echo", &"x".repeat(9)).await;
    assert_eq!(
        reply.status(),
        "8 grpc: received message larger than max (11 vs. 10)"
    );
    let reply = client.unary("Echo", &"x".repeat(8)).await;
    assert_eq!(reply.message::<String>().len(), 8);
    let reply = client.unary("Large", &19_u32).await;
    assert_eq!(
        reply.status(),
        "8 trying to send message larger than max (21 vs. 20)"
    );
    let reply = client.unary("Large", &18_u32).await;
    assert_eq!(reply.message::<String>().len(), 18);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_service_has_limits_of_its_own() {
    let large = MessageLimits {
        receive: 6_000_000,
        ..MessageLimits::default()
    };
    // The unknown service is added before the limits are raised, the lab after.
    let world = World::with(|builder| {
        let unknown = Lab(crate::support::Seen::default());
        builder.unknown_service(unknown).message_limits(large)
    });
    let client = world.client().await;
    let message = "x".repeat(5_000_000);
    let call = client.start("Echo").await;
    let reply = send_slowly(call, framed(&message)).await;
    assert_eq!(reply.message::<String>().len(), message.len());
    let other = crate::support::client::to_path("/other/Echo");
    let call = client.open(other.body(()).unwrap(), false).await;
    let reply = send_slowly(call, framed(&message)).await;
    assert_eq!(
        reply.status(),
        "8 grpc: received message larger than max (5000005 vs. 4194304)"
    );
    drop(client);
    world.end().await;
}

/// Sends as flow control allows, as long as the server listens.
async fn send_slowly(mut call: Call, mut message: Bytes) -> Reply {
    while !message.is_empty() {
        call.send.reserve_capacity(message.len());
        let capacity = std::future::poll_fn(|cx| call.send.poll_capacity(cx)).await;
        let Some(Ok(capacity)) = capacity else { break };
        let _ = call.send.send_data(message.split_to(capacity), false);
    }
    let _ = call.send.send_data(Bytes::new(), true);
    call.reply().await
}

#[tokio::test(start_paused = true)]
async fn a_service_for_unknown_names_takes_what_the_router_does_not_know() {
    let world =
        World::with(|builder| builder.unknown_service(Lab(crate::support::Seen::default())));
    let client = world.client().await;
    let other = crate::support::client::to_path("/any.Service/Echo");
    let reply = client.send_all(other, [text("hi")]).await;
    assert_eq!(reply.message::<String>(), "hi");
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_drops_the_handler_after_its_cancellation_fired() {
    let world = World::new();
    let client = world.client().await;
    for method in ["Hang", "Quiet", "Chat", "Collect"] {
        let mut call = client.start(method).await;
        call.send
            .send_data(text("hi"), matches!(method, "Hang" | "Quiet"))
            .unwrap();
        settle().await;
        assert_eq!(world.seen.running(), 1, "{method}");
        call.send.send_reset(h2::Reason::CANCEL);
        settle().await;
        assert_eq!(world.seen.running(), 0, "{method}");
    }
    assert_eq!(world.seen.cancelled(), 1);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_drops_its_handlers() {
    let world = World::new();
    let client = world.client().await;
    let calls = [client.start("Chat").await, client.start("Collect").await];
    let mut hanging = client.start("Hang").await;
    hanging.send.send_data(text("hi"), true).unwrap();
    settle().await;
    assert_eq!(world.seen.running(), 3);
    world.network.cut(crate::support::NAME);
    settle().await;
    assert_eq!((world.seen.running(), world.seen.cancelled()), (0, 1));
    drop((client, calls, hanging));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asked_for_it_runs_to_its_end() {
    let world = World::new();
    let client = world.client().await;
    let mut call = client.start("RunOn").await;
    call.send.send_data(text("hi"), true).unwrap();
    settle().await;
    call.send.send_reset(h2::Reason::CANCEL);
    settle().await;
    assert_eq!(world.seen.cancelled(), 1, "it is told all the same");
    let answered = tokio::spawn({
        let client = client.clone();
        async move { client.unary("RunOn", &"hi".to_owned()).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.seen.running(), 2, "nobody waits for the first");
    assert_eq!(answered.await.unwrap().message::<String>(), "done");
    settle().await;
    assert_eq!((world.seen.running(), world.seen.finished()), (0, 2));
    drop((client, call));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_resets_the_stream_on_time_and_drops_the_handler() {
    let world = World::new();
    for (id, method) in [(1, "Hang"), (3, "Quiet"), (5, "Collect")] {
        let mut peer = world.raw().await;
        let path = format!("/test.Lab/{method}");
        let mut fields = raw::head(&path);
        fields.push(("grpc-timeout", "250m"));
        let started = Instant::now();
        peer.frame(HEADERS, END_HEADERS, id, &raw::block(&fields))
            .await;
        let flags = if method == "Collect" { 0 } else { END_STREAM };
        peer.frame(DATA, flags, id, &text("hi")).await;
        let mut frame = peer.next().await.unwrap();
        if method == "Quiet" {
            assert_eq!(frame.kind, HEADERS, "a stream that is quiet says so");
            frame = peer.next().await.unwrap();
        }
        assert_eq!((frame.kind, frame.code()), (RST_STREAM, CANCEL), "{method}");
        let waited = started.elapsed();
        let on_time = Duration::from_millis(250)..Duration::from_millis(253);
        assert!(on_time.contains(&waited), "{method}: {waited:?}");
        settle().await;
        assert_eq!(world.seen.running(), 0, "{method}");
    }
    assert_eq!(world.seen.cancelled(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_to_its_end_does_not_hold_the_client_beyond_its_deadline() {
    let world = World::new();
    let client = world.client().await;
    let started = Instant::now();
    let with = request("RunOn").header("grpc-timeout", "1S");
    let reply = client.send_all(with, [text("hi")]).await;
    assert_eq!(reply.reset, Some(h2::Reason::CANCEL));
    assert_eq!(started.elapsed().as_secs(), 1);
    settle().await;
    assert_eq!((world.seen.running(), world.seen.cancelled()), (1, 1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((world.seen.running(), world.seen.finished()), (0, 1));
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_while_the_client_takes_nothing() {
    let world = World::new();
    let mut small_window = h2::client::Builder::new();
    small_window.initial_window_size(0);
    let client = Client::connect_with(&world.network, &mut small_window).await;
    let with = request("Large").header("grpc-timeout", "1S");
    let reply = client.send_all(with, [framed(&1_000_000_u32)]).await;
    assert_eq!(reply.reset, Some(h2::Reason::CANCEL));
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_internal_for_its_call_alone() {
    let world = World::new();
    let client = world.client().await;
    let mut neighbour = client.start("Chat").await;
    for _ in 0..3 {
        let reply = client.unary("Panic", &"hi".to_owned()).await;
        assert_eq!(reply.status(), "13 the handler panicked");
    }
    neighbour.send.send_data(text("still"), true).unwrap();
    assert_eq!(neighbour.reply().await.texts(), ["still!"]);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_sends_is_told_to_stop_after_the_trailers() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Curt"))
        .await;
    let mut shape = Vec::new();
    for _ in 0..4 {
        let frame = peer.next().await.unwrap();
        shape.push((frame.kind, frame.flags));
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), 0, "NO_ERROR");
        }
    }
    let end = END_HEADERS | END_STREAM;
    assert_eq!(
        shape,
        [
            (HEADERS, END_HEADERS),
            (DATA, 0),
            (HEADERS, end),
            (RST_STREAM, 0)
        ]
    );
    settle().await;
    assert_eq!(
        world.seen.running(),
        0,
        "whoever read on was told that the call is over"
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_a_bounded_buffer_and_stops_nobody() {
    let world = World::new();
    let client = world.client().await;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut call = client.start("Count").await;
        call.send.send_data(framed(&10_000_000_u32), true).unwrap();
        stalled.push(call);
    }
    advance(Duration::from_secs(1)).await;
    for _ in 0..20 {
        assert_eq!(
            client
                .unary("Echo", &"on".to_owned())
                .await
                .message::<String>(),
            "on"
        );
    }
    drop((client, stalled));
    settle().await;
    assert_eq!(world.seen.running(), 0);
    world.end().await;
}
