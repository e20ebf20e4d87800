//! The tables of statuses, one row after the other, as an application sees them.
//!
//! | table | here | also |
//! |---|---|---|
//! | [http-grpc-status-mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md) | [`http_statuses`] | transport's `status.rs` |
//! | [PROTOCOL-HTTP2, errors](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors) | [`reset_codes`] | transport's `status.rs` |
//! | what clients make of a server's answer | [`made_of_a_servers_headers_and_trailers`], [`made_of_a_servers_messages`] | transport's `wire/statuses.rs` |
//! | what clients make by themselves | [`made_by_the_client_alone`] | `deadlines.rs`, `faults/connecting.rs` |
//! | what servers make by themselves | [`made_by_the_server_alone`] | the server's `admission.rs`, `calls.rs` |
//!
//! A row that fails is shown with its neighbours: expected and found stand side by side.

use std::time::Duration;

use highball_channel::{CallOptions, Channel, Method, Request, Status};
use highball_echo::{EchoClient, EchoRequest, EchoResponse};
use highball_testkit::peer::Frame;

use crate::script::{Script, framed, opening, success};
use crate::world::{A, World, message, nothing_is_left, who};

/// What a unary call is told that is answered by these frames, on stream 1.
async fn told(frames: Vec<Frame>) -> String {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    assert_eq!(peer.headers().await, 1);
    peer.send_all(frames).await;
    let ended = call.await.expect("it does not panic");
    let status = ended.expect_err("no row ends well");
    script.end([peer]).await;
    line(&status)
}

/// What a status says. Every one is explained.
fn line(status: &Status) -> String {
    let why = status.explanation();
    assert!(why.is_some(), "{status} is not explained");
    status.to_string()
}

fn html(status: &str) -> Vec<Frame> {
    let fields = [(":status", status), ("content-type", "text/html")];
    vec![Frame::headers(1, &fields, true)]
}

#[tokio::test(start_paused = true)]
async fn http_statuses() {
    let rows = [
        ("200", "UNKNOWN"),
        ("302", "UNKNOWN"),
        ("400", "INTERNAL"),
        ("401", "UNAUTHENTICATED"),
        ("403", "PERMISSION_DENIED"),
        ("404", "UNIMPLEMENTED"),
        ("405", "UNKNOWN"),
        ("408", "UNKNOWN"),
        ("415", "UNKNOWN"),
        ("429", "UNAVAILABLE"),
        ("431", "INTERNAL"),
        ("500", "UNKNOWN"),
        ("501", "UNKNOWN"),
        ("502", "UNAVAILABLE"),
        ("503", "UNAVAILABLE"),
        ("504", "UNAVAILABLE"),
    ];
    let mut found = Vec::new();
    for (http, _) in rows {
        let told = told(html(http)).await;
        assert_eq!(
            told.contains(&format!(": {http} ")),
            http != "200",
            "{told}"
        );
        assert!(
            told.contains("unexpected content-type \"text/html\""),
            "{told}"
        );
        let (code, _) = told.split_once(':').expect("a code, then a text");
        found.push((http, code.to_owned()));
    }
    assert_eq!(found, rows.map(|(http, code)| (http, code.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn reset_codes() {
    let rows = [
        (0, "INTERNAL", "NO_ERROR"),
        (1, "INTERNAL", "PROTOCOL_ERROR"),
        (2, "INTERNAL", "INTERNAL_ERROR"),
        (3, "INTERNAL", "FLOW_CONTROL_ERROR"),
        (4, "INTERNAL", "SETTINGS_TIMEOUT"),
        (5, "INTERNAL", "STREAM_CLOSED"),
        (6, "INTERNAL", "FRAME_SIZE_ERROR"),
        // 7, REFUSED_STREAM, is tried again: see `transparent_retries.rs`.
        (8, "CANCELLED", "CANCEL"),
        (9, "INTERNAL", "COMPRESSION_ERROR"),
        (10, "INTERNAL", "CONNECT_ERROR"),
        (11, "RESOURCE_EXHAUSTED", "ENHANCE_YOUR_CALM"),
        (12, "PERMISSION_DENIED", "INADEQUATE_SECURITY"),
        (13, "INTERNAL", "HTTP_1_1_REQUIRED"),
        (14, "UNKNOWN", "0xe"),
    ];
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (code, status, name) in rows {
        found.push(told(vec![Frame::Reset { stream: 1, code }]).await);
        expected.push(format!(
            "{status}: stream terminated by RST_STREAM with error code: {name}"
        ));
    }
    assert_eq!(found, expected);
}

/// Each of these answers makes this status.
async fn are_told(rows: Vec<(Vec<Frame>, &str)>) {
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (frames, status) in rows {
        found.push(told(frames).await);
        expected.push(status.to_owned());
    }
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn made_of_a_servers_headers_and_trailers() {
    let trailers = |fields: &[(&str, &str)]| Frame::headers(1, fields, true);
    are_told(vec![
        (
            vec![trailers(&[(":status", "2000")])],
            "INTERNAL: transport: malformed http-status: \"2000\"",
        ),
        (
            vec![opening(1), trailers(&[("k", "v")])],
            "UNKNOWN: the server's trailers lack grpc-status",
        ),
        (
            vec![opening(1), trailers(&[("grpc-status", "x")])],
            "UNKNOWN: transport: malformed grpc-status: x",
        ),
        (
            vec![opening(1), trailers(&[("grpc-status", "17")])],
            "UNKNOWN: the server sent unknown grpc-status 17",
        ),
        (
            vec![
                opening(1),
                trailers(&[("grpc-status", "0"), ("k-bin", "!")]),
            ],
            "INTERNAL: transport: malformed binary metadata in header \"k-bin\": not base64",
        ),
        (
            vec![opening(1), opening(1)],
            "INTERNAL: received invalid frame: PROTOCOL_ERROR: a HEADERS frame cannot appear in the \
             middle of a stream, nor may content-length be wrong",
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn made_of_a_servers_messages() {
    let cut = || Frame::data(1, &b"\0\0\0\0\x09cut"[..], false);
    let empty = || framed(1, &[]);
    are_told(vec![
        (
            vec![opening(1), empty(), Frame::data(1, "", true)],
            "INTERNAL: server closed the stream without sending trailers",
        ),
        (
            vec![opening(1), cut(), success(1)],
            "INTERNAL: unexpected EOF",
        ),
        (
            vec![opening(1), Frame::data(1, &b"\x02\0\0\0\0"[..], false)],
            "INTERNAL: grpc: received unexpected payload format 2",
        ),
        (
            vec![opening(1), Frame::data(1, &b"\x01\0\0\0\x01x"[..], false)],
            "INTERNAL: grpc: compressed flag set with identity or empty encoding",
        ),
        (
            vec![
                opening(1),
                Frame::data(1, &b"\0\xff\xff\xff\xff"[..], false),
            ],
            "RESOURCE_EXHAUSTED: grpc: received message larger than max (4294967295 vs. 4194304)",
        ),
        (
            vec![opening(1), success(1)],
            "UNIMPLEMENTED: cardinality violation: received no response message from \
             non-server-streaming RPC",
        ),
        (
            vec![opening(1), empty(), empty(), success(1)],
            "UNIMPLEMENTED: cardinality violation: expected <EOF> for non server-streaming RPCs, \
             but received another message",
        ),
    ])
    .await;
}

/// What is told of this call, over a server that is there.
async fn refused<F>(call: impl FnOnce(Channel) -> F) -> String
where
    F: Future<Output = Result<String, Status>>,
{
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let status = call(channel.clone()).await;
    let status = line(&status.expect_err("no row ends well"));
    assert_eq!(who(&channel).await, Ok(A.to_owned()), "the next is fine");
    nothing_is_left(world, channel).await;
    status
}

async fn echo(channel: Channel, request: Request<EchoRequest>) -> Result<String, Status> {
    let reply = EchoClient::new(channel).unary_echo(request).await?;
    Ok(reply.into_message().message)
}

fn x() -> Request<EchoRequest> {
    Request::new(message("x"))
}

#[tokio::test(start_paused = true)]
async fn made_by_the_client_alone() {
    let with = |set: fn(&mut CallOptions)| {
        let mut request = x();
        set(request.options_mut());
        refused(|client| echo(client, request))
    };
    let large = with(|options| options.max_request_bytes = Some(2)).await;
    let answer = with(|options| options.max_response_bytes = Some(2)).await;
    let late = with(|options| options.timeout = Some(Duration::ZERO)).await;
    let odd = with(|options| options.authority = Some("no authority".to_owned())).await;
    let closed = async {
        let world = World::new();
        let channel = world.channel(r#"{"pick_first":{}}"#);
        channel.close().await;
        let status = who(&channel).await.expect_err("it is closed");
        nothing_is_left(world, channel).await;
        line(&status)
    };
    let unreachable = async {
        let world = World::new();
        world.resolve(&[A]);
        let channel = world.channel(r#"{"pick_first":{}}"#);
        let status = who(&channel).await.expect_err("nobody listens");
        nothing_is_left(world, channel).await;
        line(&status)
    };
    assert_eq!(
        [large, answer, late, odd, closed.await, unreachable.await],
        [
            "RESOURCE_EXHAUSTED: trying to send message larger than max (3 vs. 2)",
            "RESOURCE_EXHAUSTED: grpc: received message larger than max (14 vs. 2)",
            "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the name resolution of \
             test:///servers",
            "INTERNAL: \"no authority\" is no authority for a call",
            "CANCELLED: grpc: the client connection is closing",
            "UNAVAILABLE: connection error: desc = \"transport: Error while \
             dialing: a:1: connection refused\"",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn made_by_the_server_alone() {
    let to = |method: Method| {
        move |channel: Channel| async move {
            let reply = channel.unary(&method, x()).await?;
            let reply: EchoResponse = reply.into_message();
            Ok(reply.message)
        }
    };
    let service = refused(to(Method::new("/no.Such/Method"))).await;
    let method = refused(to(Method::new("/grpc.examples.echo.Echo/NoSuch"))).await;
    assert_eq!(
        [service, method],
        [
            "UNIMPLEMENTED: unknown service no.Such",
            "UNIMPLEMENTED: unknown method NoSuch for service grpc.examples.echo.Echo",
        ]
    );
}
