//! What a server refuses before any handler runs: the header checks of gRPC's servers, in their order.

use crate::support::client::{framed, request, to_path};
use crate::support::raw::{self, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM};
use crate::support::{World, settle};

use highball_server::{Code, Status};

const PROTOCOL_ERROR: u32 = 1;

/// Sends one request; gives the HTTP status and the gRPC status of a reply of headers alone.
async fn refused(world: &World, request: http::request::Builder) -> (u16, String) {
    let client = world.client().await;
    let reply = client.send_all(request, [framed(&"hi".to_owned())]).await;
    assert!(reply.is_trailers_only(), "{reply:?}");
    assert_eq!(reply.field("content-type"), "application/grpc");
    (reply.http, reply.status())
}

#[tokio::test(start_paused = true)]
async fn a_header_list_over_the_limit_is_resource_exhausted() {
    let world = World::new();
    let (http, status) = refused(&world, request("Echo").header("large", "x".repeat(17_000))).await;
    assert_eq!(http, 431);
    assert!(
        status.starts_with("8 peer header list size exceeded limit"),
        "{status}"
    );
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_header_list_far_over_the_limit_is_refused_by_http2_itself() {
    let world = World::new();
    let client = world.client().await;
    let huge = request("Echo").header("huge", "x".repeat(70_000));
    let call = client.open(huge.body(()).unwrap(), true).await;
    assert_eq!(call.response.await.unwrap().status(), 431);
    assert_eq!(world.seen.started(), 0);
    let reply = client.unary("Echo", &"on".to_owned()).await;
    assert_eq!(reply.message::<String>(), "on", "the connection goes on");
    drop((client, call.send));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_illegal_stream_id_closes_the_connection() {
    let world = World::new();
    for ids in [&[2][..], &[3, 1]] {
        let mut peer = world.raw().await;
        for id in ids {
            let flags = END_HEADERS | END_STREAM;
            peer.frame(HEADERS, flags, *id, &raw::call("Echo")).await;
        }
        let goaway = loop {
            let frame = peer.next().await.unwrap();
            if frame.kind == GOAWAY {
                break frame;
            }
        };
        assert_eq!(goaway.code(), PROTOCOL_ERROR);
        assert_eq!(peer.next().await, None);
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_hosts_are_a_bad_request() {
    let world = World::new();
    let (http, status) = refused(
        &world,
        request("Echo").header("host", "a").header("host", "b"),
    )
    .await;
    assert_eq!(http, 400);
    let text = "13 num values of :authority: 1, num values of host: 2, \
                both must only have 1 value as per HTTP/2 spec";
    assert_eq!(status, text);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn connection_headers_and_doubled_authorities_reset_the_stream_and_nothing_else() {
    let world = World::new();
    for extra in [("connection", "close"), (":authority", "other.example")] {
        let mut peer = world.raw().await;
        let mut fields = raw::head("/test.Lab/Echo");
        if extra.0.starts_with(':') {
            fields.insert(0, extra);
        } else {
            fields.push(extra);
        }
        let flags = END_HEADERS | END_STREAM;
        peer.frame(HEADERS, flags, 1, &raw::block(&fields)).await;
        let frame = peer.next().await.unwrap();
        assert_eq!((frame.kind, frame.stream), (RST_STREAM, 1), "{extra:?}");
        assert_eq!(frame.code(), PROTOCOL_ERROR);
        peer.frame(HEADERS, flags, 3, &raw::call("Nothing")).await;
        let frame = peer.next().await.unwrap();
        assert_eq!(
            (frame.kind, frame.stream),
            (HEADERS, 3),
            "the connection goes on"
        );
    }
    assert_eq!(world.seen.started(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn only_grpc_is_a_supported_media_type() {
    let world = World::new();
    let json = http::Request::post("http://lab.example/test.Lab/Echo")
        .header("content-type", "application/json");
    let text = "13 invalid gRPC request content-type \"application/json\"";
    assert_eq!(refused(&world, json).await, (415, text.to_owned()));
    let none = http::Request::post("http://lab.example/test.Lab/Echo");
    let text = "13 invalid gRPC request content-type \"\"";
    assert_eq!(refused(&world, none).await, (415, text.to_owned()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn malformed_timeouts_and_binary_metadata_are_bad_requests() {
    let world = World::new();
    let text = "13 malformed grpc-timeout: \"18f6n\"";
    let timeout = request("Echo").header("grpc-timeout", "18f6n");
    assert_eq!(refused(&world, timeout).await, (400, text.to_owned()));
    let (http, status) = refused(&world, request("Echo").header("k-bin", "!")).await;
    assert_eq!(http, 400);
    assert!(
        status.starts_with("13 malformed binary metadata"),
        "{status}"
    );
    assert!(status.contains("k-bin"), "{status}");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn more_streams_than_the_limit_are_refused_unprocessed() {
    const REFUSED_STREAM: u32 = 7;
    let world = World::with(|builder| builder.max_concurrent_streams(2));
    let mut peer = world.raw().await;
    for id in [1, 3, 5] {
        peer.frame(HEADERS, END_HEADERS, id, &raw::call("Hang"))
            .await;
    }
    let frame = peer.next().await.unwrap();
    assert_eq!(
        (frame.kind, frame.stream, frame.code()),
        (RST_STREAM, 5, REFUSED_STREAM)
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_method_is_post() {
    let world = World::new();
    let put = http::Request::put("http://lab.example/test.Lab/Echo")
        .header("content-type", "application/grpc");
    let text = "13 Received a HEADERS frame with :method PUT which should be POST";
    assert_eq!(refused(&world, put).await, (405, text.to_owned()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_tap_refuses_with_its_status() {
    let world = World::with(|builder| {
        builder.tap(|head| match head.metadata.get("x-pass") {
            Some("yes") => Ok(()),
            Some("panic") => panic!("on purpose"),
            _ => Err(Status::new(Code::PermissionDenied, "no pass").with_details(&b"why"[..])),
        })
    });
    let client = world.client().await;
    let reply = client.unary("Echo", &"hi".to_owned()).await;
    assert_eq!((reply.http, reply.status()), (200, "7 no pass".to_owned()));
    assert_eq!(reply.field("grpc-status-details-bin"), "d2h5");
    assert_eq!(
        refused(&world, request("Echo").header("x-pass", "panic"))
            .await
            .1,
        "13 the tap panicked"
    );
    let passes = request("Echo").header("x-pass", "yes");
    let reply = client.send_all(passes, [framed(&"hi".to_owned())]).await;
    assert_eq!(reply.message::<String>(), "hi");
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_is_told_without_a_handler() {
    let world = World::new();
    let over = request("Echo").header("grpc-timeout", "0S");
    let text = "4 context deadline exceeded";
    assert_eq!(refused(&world, over).await, (200, text.to_owned()));
    assert_eq!(world.seen.started(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_encoding_is_unimplemented_and_the_known_ones_are_named() {
    let world = World::new();
    let snappy = request("Echo").header("grpc-encoding", "snappy");
    let client = world.client().await;
    let reply = client.send_all(snappy, [framed(&"hi".to_owned())]).await;
    let text = "12 grpc: Decompressor is not installed for grpc-encoding \"snappy\"";
    assert_eq!((reply.http, reply.status().as_str()), (200, text));
    let known = reply.field("grpc-accept-encoding");
    assert!(known.starts_with("gzip,deflate"), "{known}");
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn malformed_paths_and_unknown_names_are_unimplemented() {
    let world = World::new();
    for (path, text) in [
        ("/", "12 malformed method name: \"/\""),
        ("/Svc", "12 malformed method name: \"/Svc\""),
        ("//test.Lab/Echo", "12 unknown service /test.Lab"),
        ("/a//b", "12 unknown service a/"),
        ("/test.Other/Echo", "12 unknown service test.Other"),
        (
            "/test.Lab/Nope",
            "12 unknown method Nope for service test.Lab",
        ),
        ("/test.Lab/", "12 unknown method  for service test.Lab"),
        (
            "/test.Lab/Echo?x=1",
            "12 unknown method Echo?x=1 for service test.Lab",
        ),
        ("/test%2ELab/Echo", "12 unknown service test%252ELab"),
        ("/test.lab/Echo", "12 unknown service test.lab"),
    ] {
        assert_eq!(
            refused(&world, to_path(path)).await,
            (200, text.to_owned()),
            "{path}"
        );
    }
    assert_eq!(world.seen.started(), 0);
    world.end().await;
}

/// UNIMPLEMENTED in grpc-go; to h2, as to HTTP/2, such a request is malformed.
#[tokio::test(start_paused = true)]
async fn a_path_without_a_leading_slash_is_reset_and_reaches_no_handler() {
    let world = World::new();
    let mut peer = world.raw().await;
    for (stream, path) in [(1, "test.Lab/Echo"), (3, ""), (5, "http://test.Lab/Echo")] {
        let fields = raw::head(path);
        let block = raw::block(&fields);
        peer.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
            .await;
        let frame = peer.next().await.unwrap();
        assert_eq!((frame.kind, frame.stream), (RST_STREAM, stream), "{path:?}");
        assert_eq!(frame.code(), PROTOCOL_ERROR, "{path:?}");
    }
    assert_eq!(world.seen.started(), 0);
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_sends_is_told_to_stop_after_the_refusal() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Nothing"))
        .await;
    let reply = peer.next().await.unwrap();
    assert_eq!(
        (reply.kind, reply.flags),
        (HEADERS, END_HEADERS | END_STREAM)
    );
    let stop = peer.next().await.unwrap();
    assert_eq!((stop.kind, stop.code()), (RST_STREAM, 0), "NO_ERROR");
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_larger_than_the_client_accepts_is_an_internal_reset() {
    const INTERNAL_ERROR: u32 = 2;
    let world = World::new();
    let mut peer = raw::Peer::silent(&world.network).await;
    peer.write(raw::PREFACE).await;
    // MAX_HEADER_LIST_SIZE 100
    peer.frame(raw::SETTINGS, 0, 0, &[0, 6, 0, 0, 0, 100]).await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Nothing"))
        .await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.code()), (RST_STREAM, INTERNAL_ERROR));
    drop(peer);
    world.end().await;
}

/// gRPC's other servers reset the stream; h2 takes it for a fault of the connection, which HTTP/2 allows.
#[tokio::test(start_paused = true)]
async fn data_after_the_end_closes_the_connection_and_drops_the_handler() {
    let world = World::new();
    let mut peer = world.raw().await;
    let message = framed(&"hi".to_owned());
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Hang"))
        .await;
    peer.frame(raw::DATA, END_STREAM, 1, &message).await;
    settle().await;
    assert_eq!(world.seen.running(), 1);
    peer.frame(raw::DATA, 0, 1, &[0]).await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.code()), (GOAWAY, PROTOCOL_ERROR));
    settle().await;
    assert_eq!((world.seen.running(), world.seen.cancelled()), (0, 1));
    drop(peer);
    world.end().await;
}
