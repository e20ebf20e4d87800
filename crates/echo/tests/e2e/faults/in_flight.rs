//! What may happen to a call that is under way.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use highball_channel::transport::BoxIo;
use highball_channel::{Code, ConnectivityState, MetadataMap, Request, Status};
use highball_echo::EchoClient;
use highball_echo::interop::{self, TestBackendMetrics, TestServer, Tester};
use highball_server::Server;
use highball_testkit::peer::{Frame, Peer, header_block};
use tokio::time::timeout;

use super::network::{FaultyNetwork, SlowListener};
use crate::script::{Script, opening, reply};
use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

const CANCEL: u32 = 8;

/// A call that the scripted server has the headers of.
async fn begun() -> (
    Script,
    Peer<BoxIo>,
    u32,
    tokio::task::JoinHandle<Result<String, Status>>,
) {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    (script, peer, stream, call)
}

/// The next call is answered, on this connection.
async fn goes_on(script: &Script, peer: &mut Peer<BoxIo>) {
    let next = script.call();
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
    let answer = next.await.expect("it does not panic");
    assert_eq!(answer, Ok(A.to_owned()));
    assert_eq!(script.world.network.connections(A), 1, "no reconnect");
}

/// The next call is answered, on another connection.
async fn reconnects(script: &mut Script) -> Peer<BoxIo> {
    let next = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
    let answer = next.await.expect("it does not panic");
    assert_eq!(answer, Ok(A.to_owned()));
    peer
}

#[tokio::test(start_paused = true)]
async fn f31_wrong_service_behind_port() {
    for (status, code) in [("404", Code::Unimplemented), ("200", Code::Unknown)] {
        let (script, mut peer, stream, call) = begun().await;
        let html = [(":status", status), ("content-type", "text/html")];
        peer.send(Frame::headers(stream, &html, false)).await;
        peer.send(Frame::data(stream, "<html>no such page", true))
            .await;
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.message().contains("<html>no such page"), "{error}");
        goes_on(&script, &mut peer).await;
        script.end([peer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f33_rst_cancel() {
    let (script, mut peer, stream, call) = begun().await;
    peer.send(Frame::Reset {
        stream,
        code: CANCEL,
    })
    .await;
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Cancelled);
    goes_on(&script, &mut peer).await;

    let channel = script.channel.clone();
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(1));
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    let stream = peer.headers().await;
    // A server that keeps time by the same deadline: its reset is there when the time is over, and is read first.
    peer.send(Frame::Reset {
        stream,
        code: CANCEL,
    })
    .await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let text = "waiting for the response: the server reset the stream";
    assert!(status.message().contains(text), "{status}");

    // The reset is what an application finds that reads after both.
    let echo = EchoClient::new(script.channel.clone());
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(1));
    let mut replies = echo.server_streaming_echo(request).await.unwrap();
    let stream = peer.headers().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let code = CANCEL;
    peer.send(Frame::Reset { stream, code }).await;
    settle().await;
    assert_eq!(
        replies.message().await.unwrap_err().to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the response: the server \
         reset the stream"
    );
    drop((replies, echo));
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f34_rst_noerror_after_trailers() {
    let (script, mut peer, stream, call) = begun().await;
    let reset = Frame::Reset { stream, code: 0 };
    peer.send_all(reply(stream).into_iter().chain([reset]))
        .await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    goes_on(&script, &mut peer).await;
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f35_rst_mid_headers() {
    let (mut script, mut old, stream, call) = begun().await;
    let bystander = script.call();
    old.headers().await;
    let cut = Frame::Other {
        kind: 1,
        flags: 0,
        stream,
        payload: header_block(&[(":status", "200")]),
    };
    old.send_all([
        cut,
        Frame::Reset {
            stream,
            code: CANCEL,
        },
    ])
    .await;
    for call in [call, bystander] {
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    let goaway = |frame: &Frame| matches!(frame, Frame::GoAway { code: 1, .. });
    old.until(goaway).await;
    let new = reconnects(&mut script).await;
    script.end([old, new]).await;
}

const TWO_CONNECTIONS: &str = r#"{"connectionScaling":{"maxConnectionsPerSubchannel":2}}"#;

const BACKEND_METRICS: &str =
    r#"{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#;

/// Goes through these cases of the interoperability tests. Both ends read and write one byte
/// at a time.
async fn one_byte_at_a_time(cases: impl IntoIterator<Item = &'static str>) {
    let mut world = World::new();
    for (name, builder) in [
        (A, Server::builder()),
        (B, Server::builder().max_concurrent_streams(2)),
    ] {
        let server = TestServer::new(name).add_to(builder).build();
        let listener = SlowListener(world.network.listen(name));
        world.start_at(listener, name, server);
    }
    let network = FaultyNetwork::over(&world.network);
    network.slow_down();
    for case in cases {
        let (server, service_config) = match case {
            "max_concurrent_streams_connection_scaling" => (B, TWO_CONNECTIONS),
            "orca_per_rpc" | "orca_oob" => (A, BACKEND_METRICS),
            _ => (A, "{}"),
        };
        world.resolve(&[server]);
        let channel = world
            .builder()
            .connector(network.clone())
            .policy::<TestBackendMetrics>()
            .default_service_config(service_config)
            .build()
            .expect("the choices make sense");
        let tester = Tester::new(channel.clone(), MetadataMap::new());
        assert_eq!(interop::run(case, &tester).await, Ok(()), "{case}");
        drop(tester);
        channel.close().await;
    }
    let channel = world.channel(r#"{"pick_first":{}}"#);
    nothing_is_left(world, channel).await;
}

/// A thousand calls, 586 MB.
const LARGEST: &str = "concurrent_large_unary";

/// All cases but the largest, which has a test of its own.
#[tokio::test(start_paused = true)]
async fn f39_one_byte_at_a_time() {
    one_byte_at_a_time(interop::CASES.into_iter().filter(|case| *case != LARGEST)).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "minutes where nothing is optimized: .ci/run goes through it with optimized crates"]
async fn f39_one_byte_at_a_time_in_a_thousand_large_calls_at_once() {
    one_byte_at_a_time([LARGEST]).await;
}

#[tokio::test(start_paused = true)]
async fn f41_tcp_rst() {
    let (mut script, old, _, call) = begun().await;
    let asked = script.world.resolver.requests();
    script.world.network.cut(A);
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("connection reset"), "{status}");
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Idle);
    assert_eq!(
        script.world.network.connections(A),
        1,
        "nobody needs another"
    );
    assert_eq!(script.world.resolver.requests(), asked + 1);
    let new = reconnects(&mut script).await;
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f41_tcp_rst_under_round_robin() {
    let world = World::with_two_servers();
    let channel = world.settled(r#"{"round_robin":{}}"#).await;
    world.network.cut(A);
    settle().await;
    assert_eq!(world.network.connections(A), 2, "it connects again at once");
    assert_eq!(channel.state(), ConnectivityState::Ready);
    for _ in 0..10 {
        who(&channel).await.unwrap();
    }
    nothing_is_left(world, channel).await;
}

fn other(kind: u8, flags: u8, stream: u32, payload: &'static [u8]) -> Frame {
    Frame::Other {
        kind,
        flags,
        stream,
        payload: Bytes::from_static(payload),
    }
}

#[tokio::test(start_paused = true)]
async fn f48_what_breaks_http2_costs_the_connection_and_its_calls() {
    for (fault, frame) in [
        ("data-before-headers", Frame::data(1, "early", false)),
        ("frame-too-large", Frame::data(1, vec![0; 1 << 20], false)),
        ("bad-padding", other(0, 8, 1, &[200, 1, 2])),
        ("push-promise", other(5, 4, 1, &[0, 0, 0, 2])),
        (
            "window-overflow",
            Frame::WindowUpdate {
                stream: 0,
                increment: (1 << 31) - 1,
            },
        ),
        ("settings-of-a-stream", other(4, 0, 1, &[])),
    ] {
        let (mut script, old, _, call) = begun().await;
        let mut old = old;
        old.send(frame).await;
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{fault}: {status}");
        let new = reconnects(&mut script).await;
        script.end([old, new]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f48_what_http2_lets_pass_changes_nothing() {
    let (script, mut peer, stream, call) = begun().await;
    peer.send(other(0x42, 0xff, stream, b"unknown-frame")).await;
    peer.send(other(2, 0, stream, &[0, 0, 0, 3, 1])).await;
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    goes_on(&script, &mut peer).await;
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f48_data_after_end() {
    const STREAM_CLOSED: u32 = 5;
    let (script, mut peer, stream, call) = begun().await;
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    peer.send(Frame::data(stream, "more", true)).await;
    // HTTP/2 lets a client take it for a fault of the stream or of the connection.
    let is_reset = |frame: &Frame| matches!(frame, Frame::Reset { .. });
    let reset = Frame::Reset {
        stream,
        code: STREAM_CLOSED,
    };
    assert_eq!(peer.until(is_reset).await, reset);
    goes_on(&script, &mut peer).await;
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f49_floods() {
    let ping = Frame::Ping {
        ack: false,
        payload: [0; 8],
    };
    let interim = Frame::headers(1, &[(":status", "103")], false);
    for (fault, frame) in [
        ("settings-flood", Frame::Settings(vec![])),
        ("ping-flood", ping),
        ("1xx-flood", interim),
    ] {
        let (mut script, mut old, _, call) = begun().await;
        old.send_all(vec![frame; 1000]).await;
        let Ok(ended) = timeout(Duration::from_secs(60), call).await else {
            panic!("{fault}: the client lets it go on");
        };
        let status = ended.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{fault}: {status}");
        let calm = |frame: &Frame| matches!(frame, Frame::GoAway { code: 11, .. });
        old.until(calm).await;
        let new = reconnects(&mut script).await;
        script.end([old, new]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f50_oversize_initial_metadata() {
    let (script, mut peer, stream, call) = begun().await;
    let large = "v".repeat(15_000);
    let Frame::Headers { block, .. } = opening(stream) else {
        unreachable!("an opening is HEADERS")
    };
    let more = header_block(&[("k", &large), ("l", &large)]);
    let block = [block, more].concat();
    let (first, rest) = block.split_at(16_000);
    peer.send_all(
        [(1, 0, first), (9, 4, rest)].map(|(kind, flags, piece)| Frame::Other {
            kind,
            flags,
            stream,
            payload: Bytes::copy_from_slice(piece),
        }),
    )
    .await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "RESOURCE_EXHAUSTED: peer header list size exceeded limit (16384 bytes)"
    );
    goes_on(&script, &mut peer).await;
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_streams_partial_message_is_never_delivered() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    peer.send(opening(stream)).await;
    let mut replies = call.await.unwrap().unwrap();
    peer.send(Frame::data(stream, vec![0, 0, 0, 0, 9, 1], false))
        .await;
    assert!(
        timeout(Duration::from_secs(60), replies.next())
            .await
            .is_err(),
        "it waits for the rest"
    );
    script.world.network.cut(A);
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop(replies);
    script.end([peer]).await;
}
