//! What both ends say of the encodings that they read, in a build with compressions and in one without.

use bytes::Bytes;
use futures::future::poll_fn;
use highball_core::{MetadataMap, Status};
use highball_testkit::peer::{Frame, Peer};
use highball_transport::client::{ClientOptions, connect};
use highball_transport::server::{Incoming, ServerConnection, ServerOptions};
use highball_transport::{BoxIo, Compressions, Connector as _, MemoryListener, MemoryNetwork};
use http::{HeaderMap, Request};

use crate::calls::known;
use crate::rig::{Rig, head, message};

/// Answers `/s/message` with a message and `/s/nothing` with a status alone.
async fn answer(call: Box<Incoming>) {
    let mut call = *call;
    match call.head.path() {
        "/s/message" => {
            let mut framed = message(b"answer");
            let responder = &mut call.responder;
            let _ = poll_fn(|cx| responder.poll_send(&mut framed, cx)).await;
            call.responder.finish_ok(MetadataMap::new());
        }
        _ => call.responder.finish(Status::not_found("nothing")),
    }
}

async fn serve(mut listener: MemoryListener) {
    while let Ok(io) = listener.accept().await {
        let options = ServerOptions::default();
        let mut connection = ServerConnection::handshake(io, &options).await.unwrap();
        tokio::spawn(async move {
            while let Some(call) = connection.accept().await {
                tokio::spawn(answer(call));
            }
        });
    }
}

fn server() -> MemoryNetwork {
    let network = MemoryNetwork::new();
    tokio::spawn(serve(network.listen("server")));
    network
}

async fn dial(network: &MemoryNetwork) -> BoxIo {
    network.connect(&"server".into()).await.unwrap()
}

fn request(path: &str) -> http::request::Builder {
    Request::post(format!("http://server{path}")).header("content-type", "application/grpc")
}

/// The HTTP status and the fields of the headers with which our server answers.
async fn answered(request: http::request::Builder) -> (u16, HeaderMap) {
    let (mut client, connection) = h2::client::handshake(dial(&server()).await).await.unwrap();
    tokio::spawn(connection);
    let request = request.body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let head = response.await.unwrap().into_parts().0;
    (head.status.as_u16(), head.headers)
}

#[tokio::test(start_paused = true)]
async fn every_reply_says_what_can_be_read() {
    let (http, headers) = answered(request("/s/message")).await;
    assert_eq!(http, 200);
    assert_eq!(headers["grpc-accept-encoding"], known());
    assert_eq!(headers.len(), 2, "{headers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_headers_alone_says_what_can_be_read() {
    let (http, headers) = answered(request("/s/nothing")).await;
    assert_eq!(
        (http, &headers["grpc-status"]),
        (200, &"5".parse().unwrap())
    );
    assert_eq!(headers["grpc-accept-encoding"], known());
}

/// The compression document asks for it with UNIMPLEMENTED.
#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_can_be_read() {
    let snappy = request("/s/message").header("grpc-encoding", "snappy");
    let json = Request::post("http://server/s/message").header("content-type", "application/json");
    let late = request("/s/message").header("grpc-timeout", "soon");
    for (refused, http, status) in [(snappy, 200, "12"), (json, 415, "13"), (late, 400, "13")] {
        let (seen, headers) = answered(refused).await;
        assert_eq!(seen, http, "{headers:?}");
        assert_eq!(headers["grpc-status"], status);
        assert_eq!(headers["grpc-accept-encoding"], known());
    }
}

/// What a client that says `said` in each of three calls is taken to read.
async fn taken_to_read(said: &[&str]) -> Compressions {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    let accepted = tokio::spawn(async move {
        let (io, options) = (listener.accept().await.unwrap(), ServerOptions::default());
        let mut connection = ServerConnection::handshake(io, &options).await.unwrap();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.push(connection.accept().await.unwrap().head.accepted());
        }
        heard
    });
    let (mut client, connection) = h2::client::handshake(dial(&network).await).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let mut request = request("/s/nothing");
        for value in said {
            request = request.header("grpc-accept-encoding", *value);
        }
        let _ = client
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
    }
    let heard = accepted.await.unwrap();
    assert_eq!(heard, [heard[0]; 3], "{said:?}");
    heard[0]
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_identity_changes_nothing() {
    let names = known();
    let around = format!("identity,{names}, identity");
    for said in [&[names.as_str()][..], &[&around], &["identity", &names]] {
        assert_eq!(taken_to_read(said).await, Compressions::all(), "{said:?}");
    }
    let identity = Compressions::all().iter().take(1).collect();
    for said in ["identity", "", "snappy, identity"] {
        assert_eq!(taken_to_read(&[said]).await, identity, "{said:?}");
    }
    assert!(taken_to_read(&[]).await.is_empty());
}

fn block(frame: Frame) -> Bytes {
    match frame {
        Frame::Headers { block, .. } => block,
        other => panic!("{other:?} are no HEADERS"),
    }
}

/// Its name and its value are in HPACK's table, among the other fields that are always the same.
#[tokio::test(start_paused = true)]
async fn it_costs_one_byte_of_each_request_but_the_first() {
    let mut rig = Rig::new(&[]).await;
    let mut blocks = Vec::new();
    for stream in [1, 3, 5] {
        let _call = rig.open().await;
        blocks.push(block(rig.peer.next_for(stream).await));
    }
    // `:path` is not kept there: `/echo.Echo/Echo` by Huffman, behind its name and its length.
    assert_eq!(
        blocks[1].len(),
        ":method :scheme :authority content-type user-agent te \
        grpc-accept-encoding"
            .split(' ')
            .count()
            + 2
            + 11
    );
    assert_eq!(blocks[1], blocks[2]);
    assert!(blocks[0].len() > blocks[1].len() + known().len());
}

#[tokio::test(start_paused = true)]
async fn it_costs_one_byte_of_each_reply_but_the_first() {
    let mut client = Peer::client(dial(&server()).await, &[]).await;
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "server"),
        (":path", "/s/message"),
        ("content-type", "application/grpc"),
    ];
    let mut blocks = Vec::new();
    for stream in [1, 3, 5] {
        client.send(Frame::headers(stream, &fields, true)).await;
        blocks.push(block(client.next_for(stream).await));
    }
    assert_eq!(
        blocks[1].len(),
        ":status content-type grpc-accept-encoding"
            .split(' ')
            .count()
    );
    assert_eq!(blocks[1], blocks[2]);
    assert!(blocks[0].len() > blocks[1].len() + known().len());
}

/// Between our own two ends.
#[tokio::test(start_paused = true)]
async fn what_a_server_reads_is_no_metadata_of_its_reply() {
    let network = server();
    let (connection, _end) = connect(&network, &"server".into(), &ClientOptions::default())
        .await
        .unwrap();
    let mut head = head();
    head.path = "/s/message".parse().unwrap();
    let slot = connection.slot().await.unwrap();
    let (mut send, mut recv) = connection.open(slot, head).unwrap();
    send.send(message(b"question"), true).await.unwrap();
    assert!(recv.headers().await.unwrap().unwrap().is_empty());
    assert_eq!(recv.message().await.unwrap().unwrap(), "answer");
    assert_eq!(recv.message().await.unwrap(), None);
}
