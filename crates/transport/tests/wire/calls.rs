//! Whole calls between a client and an h2 server, over the network in memory.

use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use highball_core::{Code, MetadataMap, Status};
use highball_transport::client::{
    ClientOptions, Connection, ConnectionEnd, Lost, Processed, RecvHalf, RequestHead, SendHalf,
    connect,
};
use highball_transport::{Compression, Compressions, MemoryListener, MemoryNetwork, framing};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

fn message(payload: &[u8]) -> Bytes {
    framing::encode(payload.len(), usize::MAX, |buffer| {
        buffer.put_slice(payload)
    })
    .unwrap()
}

fn head() -> RequestHead {
    RequestHead::new(
        "server".parse().unwrap(),
        "/echo.Echo/Echo".parse().unwrap(),
    )
}

async fn client(network: &MemoryNetwork) -> (Connection, ConnectionEnd) {
    connect(network, &"server".into(), &ClientOptions::default())
        .await
        .unwrap()
}

async fn open(connection: &Connection) -> (SendHalf, RecvHalf) {
    let slot = connection.slot().await.unwrap();
    connection.open(slot, head()).unwrap()
}

type Incoming = (Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

/// Serves every connection, every call by `serve`.
fn server<F>(
    mut listener: MemoryListener,
    mut builder: h2::server::Builder,
    serve: fn(Incoming) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        builder.data_frame_budget(1 << 30);
        while let Ok(io) = listener.accept().await {
            let builder = builder.clone();
            tokio::spawn(async move {
                let mut h2 = builder.handshake::<_, Bytes>(io).await.unwrap();
                while let Some(Ok(incoming)) = h2.accept().await {
                    tokio::spawn(serve(incoming));
                }
            });
        }
    });
}

/// Sends back what it gets, then `grpc-status: 0`.
async fn echo((request, mut respond): Incoming) {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .header(
            "k",
            request
                .headers()
                .get("k")
                .cloned()
                .unwrap_or(HeaderValue::from_static("none")),
        );
    let mut out = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        out.send_data(data, false).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("t", HeaderValue::from_static("last"));
    let _ = out.send_trailers(trailers);
}

fn echo_server() -> MemoryNetwork {
    let network = MemoryNetwork::new();
    server(network.listen("server"), h2::server::Builder::new(), echo);
    network
}

async fn call(connection: &Connection, payload: &[u8]) -> Result<Bytes, Status> {
    let (mut send, mut recv) = open(connection).await;
    let _ = send.send(message(payload), true).await;
    let reply = recv.message().await.map_err(|ended| ended.status)?;
    assert_eq!(recv.message().await.map_err(|ended| ended.status)?, None);
    Ok(reply.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_gets_headers_message_and_trailers() {
    let network = echo_server();
    let (connection, _end) = client(&network).await;
    let slot = connection.slot().await.unwrap();
    let mut head = head();
    head.metadata.insert("k", "v").unwrap();
    let (mut send, mut recv) = connection.open(slot, head).unwrap();
    send.send(message(b"hello"), true).await.unwrap();
    let headers = recv.headers().await.unwrap().unwrap();
    assert_eq!(headers.get("k"), Some("v"));
    assert_eq!(recv.message().await.unwrap().unwrap(), "hello");
    assert_eq!(recv.message().await.unwrap(), None);
    assert_eq!(recv.trailers().get("t"), Some("last"));
    assert_eq!(
        connection.streams(),
        0,
        "the slot is free though the halves live"
    );
}

/// What this build reads, as requests say it.
pub(crate) fn known() -> String {
    let all = Compressions::all();
    let real = all.iter().filter(|kind| *kind != Compression::Identity);
    let names: Vec<_> = real.map(Compression::name).collect();
    match names.is_empty() {
        true => "identity".to_owned(),
        false => names.join(","),
    }
}

/// Says what the request has said of encodings.
async fn encodings((request, mut respond): Incoming) {
    let said = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let text = [said("grpc-encoding"), said("grpc-accept-encoding")];
    let text = text
        .map(|name| name.unwrap_or(b"nothing"))
        .join(&b" and "[..]);
    let head = Response::builder().header("content-type", "application/grpc");
    let head = head.header("said", text);
    let mut out = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let ok = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let _ = out.send_trailers(ok);
}

#[tokio::test(start_paused = true)]
async fn every_request_says_what_can_be_read_and_a_compressed_one_by_what() {
    let network = MemoryNetwork::new();
    let listener = network.listen("server");
    server(listener, h2::server::Builder::new(), encodings);
    let (connection, _end) = client(&network).await;
    for kind in Compressions::all().iter() {
        for accepted in [Compressions::all(), Compressions::from([kind])] {
            let mut head = head();
            head.compression = kind;
            head.accepted = accepted;
            let slot = connection.slot().await.unwrap();
            let (_send, mut recv) = connection.open(slot, head).unwrap();
            let headers = recv.headers().await.unwrap().unwrap();
            let by = match kind == Compression::Identity {
                true => "nothing",
                false => kind.name(),
            };
            let reads = match accepted == Compressions::all() {
                true => known(),
                false => kind.name().to_owned(),
            };
            assert_eq!(headers.get("said"), Some(&*format!("{by} and {reads}")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_go_through_small_windows() {
    let network = echo_server();
    let (connection, _end) = client(&network).await;
    let payload = vec![7; 1 << 20];
    let calls = (0..4).map(|_| {
        let (connection, payload) = (connection.clone(), payload.clone());
        tokio::spawn(async move {
            let (mut send, mut recv) = open(&connection).await;
            let sending = async { send.send(message(&payload), true).await.unwrap() };
            let ((), reply) = tokio::join!(sending, recv.message());
            assert_eq!(reply.unwrap().unwrap(), payload);
            assert_eq!(recv.message().await.unwrap(), None);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_drains_and_closes() {
    let network = echo_server();
    let (connection, mut end) = client(&network).await;
    let (mut send, mut recv) = open(&connection).await;
    drop(connection);
    assert!(matches!(end.lost().await, Lost::Closed(_)));
    send.send(message(b"late"), true).await.unwrap();
    assert_eq!(recv.message().await.unwrap().unwrap(), "late");
    assert_eq!(recv.message().await.unwrap(), None);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(network.open_connections("server"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hard_close_ends_streams_with_its_status_at_once() {
    let network = echo_server();
    let (connection, _end) = client(&network).await;
    let (_send, mut recv) = open(&connection).await;
    connection.close(Status::cancelled("channel closed"));
    let ended = recv.message().await.unwrap_err();
    assert_eq!(ended.status, Status::cancelled("channel closed"));
    let refused = connection.slot().await.unwrap_err();
    assert!(refused.to_string().contains("channel closed"), "{refused}");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(network.open_connections("server"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_unavailable_and_says_why() {
    let network = echo_server();
    let (connection, mut end) = client(&network).await;
    let (mut send, mut recv) = open(&connection).await;
    send.send(message(b"x"), false).await.unwrap();
    assert_eq!(recv.message().await.unwrap().unwrap(), "x");
    network.cut("server");
    let ended = recv.message().await.unwrap_err();
    assert_eq!(
        ended.status.to_string(),
        "UNAVAILABLE: connection to server: error reading from server: connection reset"
    );
    assert_eq!(ended.processed, Processed::MaybeProcessed);
    assert_eq!(end.lost().await.label(), "connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_time_left_stays_off_the_wire() {
    let network = echo_server();
    let (connection, _end) = client(&network).await;
    let slot = connection.slot().await.unwrap();
    let mut head = head();
    head.timeout = Some(Duration::ZERO);
    let error = Status::from(connection.open(slot, head).unwrap_err());
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(connection.streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_peers_limit_is_never_exceeded() {
    let network = MemoryNetwork::new();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(3);
    server(network.listen("server"), builder, echo);
    let (connection, _end) = client(&network).await;
    let calls: Vec<_> = (0..50_u8)
        .map(|number| {
            let connection = connection.clone();
            tokio::spawn(async move { call(&connection, &[number]).await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap()[..], [number as u8]);
    }
}

/// Answers with the request's headers in their order.
async fn headers((request, mut respond): Incoming) {
    let names = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
    let said = format!(
        "{} {} {}",
        request.method(),
        request.uri(),
        names.collect::<Vec<_>>().join(" ")
    );
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", "5")
        .header("grpc-message", said);
    respond
        .send_response(response.body(()).unwrap(), true)
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn request_headers_come_in_grpcs_order() {
    let network = MemoryNetwork::new();
    server(
        network.listen("server"),
        h2::server::Builder::new(),
        headers,
    );
    let (connection, _end) = client(&network).await;
    let mut head = head();
    head.timeout = Some(Duration::from_nanos(1_500_000_001));
    head.previous_attempts = 2;
    head.metadata.append("b", "1").unwrap();
    head.metadata.append("a-bin", "x").unwrap_err();
    head.metadata.append_bin("a-bin", b"x").unwrap();
    head.metadata.append("b", "2").unwrap();
    let slot = connection.slot().await.unwrap();
    let (_send, mut recv) = connection.open(slot, head).unwrap();
    let ended = recv.message().await.unwrap_err();
    let (version, known) = (env!("CARGO_PKG_VERSION"), known());
    assert_eq!(
        ended.status.message(),
        format!(
            "POST http://server/echo.Echo/Echo content-type=application/grpc \
             user-agent=highball/{version} te=trailers grpc-accept-encoding={known} \
             grpc-timeout=1500001u grpc-previous-rpc-attempts=2 b=1 b=2 a-bin=eA"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_relay_does_not_pass_on_how_often_its_own_caller_has_tried() {
    let received = HeaderMap::from_iter([("grpc-previous-rpc-attempts", "7"), ("a", "1")].map(
        |(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        },
    ));
    for (own, expected) in [(0, " a=1"), (2, " grpc-previous-rpc-attempts=2 a=1")] {
        let expected = format!("te=trailers grpc-accept-encoding={}{expected}", known());
        let network = MemoryNetwork::new();
        server(
            network.listen("server"),
            h2::server::Builder::new(),
            headers,
        );
        let (connection, _end) = client(&network).await;
        let mut head = head();
        head.previous_attempts = own;
        head.metadata = MetadataMap::from_wire(received.clone()).unwrap();
        let slot = connection.slot().await.unwrap();
        let (_send, mut recv) = connection.open(slot, head).unwrap();
        let ended = recv.message().await.unwrap_err();
        let said = ended.status.message();
        assert!(said.ends_with(&expected), "{said}");
    }
}
