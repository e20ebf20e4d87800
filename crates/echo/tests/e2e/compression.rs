//! Compression, as applications meet it: per channel, per call and per message, and what servers may do wrong.

use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, stream};
use highball_channel::{
    Channel, Code, Compression, CompressionSwitch, Compressions, Method, Request, Status,
};
use highball_echo::{EchoClient, EchoRequest, EchoResponse, EchoServer, EchoWithAddress};
use highball_server::{CallHead, Server};
use highball_testkit::peer::Frame;
use prost::Message as _;

use crate::script::{Script, data, reply, success};
use crate::world::{A, World, message, nothing_is_left, who_with};

/// Longer than what is sent of it compressed.
fn long() -> String {
    "again and ".repeat(100)
}

/// What the server hears of the encodings of each call.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(Compression, Compressions)>>>);

impl Heard {
    fn hear(&self, head: &CallHead) {
        let heard = (head.compression(), head.accepted());
        self.0.lock().expect("nobody panics").push(heard);
    }

    fn take(&self) -> Vec<(Compression, Compressions)> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics"))
    }
}

/// A server whose replies are compressed as their requests are, and what it hears.
fn world() -> (World, Heard) {
    let (mut world, heard) = (World::new(), Heard::default());
    let tap = heard.clone();
    let server = Server::builder()
        .tap(move |head| {
            tap.hear(head);
            Ok(())
        })
        .add_service(EchoServer::new(EchoWithAddress::new(A)));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    (world, heard)
}

fn with(request: EchoRequest, compression: Compression) -> Request<EchoRequest> {
    Request::new(request).with_compression(compression)
}

#[tokio::test(start_paused = true)]
async fn a_call_compresses_as_it_says_else_as_its_channel_does() {
    let (world, heard) = world();
    let all = Compressions::all();
    for kind in all.iter() {
        let channel = world.builder().compression(kind).build().unwrap();
        who_with(&channel, Request::new(message(&long())))
            .await
            .unwrap();
        assert_eq!(heard.take(), [(kind, all)]);
        for other in all.iter() {
            who_with(&channel, with(message(&long()), other))
                .await
                .unwrap();
            assert_eq!(heard.take(), [(other, all)]);
        }
        channel.close().await;
    }
    let channel = world.channel(r#"{"pick_first":{}}"#);
    who_with(&channel, Request::new(message("x")))
        .await
        .unwrap();
    assert_eq!(heard.take(), [(Compression::Identity, all)]);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn all_four_kinds_of_call_are_compressed_in_both_directions() {
    let (world, _) = world();
    for kind in Compressions::all().iter() {
        let channel = world.builder().compression(kind).build().unwrap();
        let echo = EchoClient::new(channel.clone());
        let is_real = kind != Compression::Identity;
        let reply = echo.unary_echo(message(&long())).await.unwrap();
        assert!(reply.message().message.starts_with(&long()));
        let mut replies = echo.server_streaming_echo(message(&long())).await.unwrap();
        while let Some(reply) = replies.message().await.unwrap() {
            assert!(reply.message.starts_with(&long()));
            assert_eq!(replies.is_compressed(), is_real, "{kind}");
        }
        let many = || {
            Request::new(stream::iter([
                message(&long()),
                message(""),
                message(&long()),
            ]))
        };
        let reply = echo.client_streaming_echo(many()).await.unwrap();
        assert!(reply.message().message.starts_with(&long()), "{kind}");
        let replies = echo.bidirectional_streaming_echo(many()).await.unwrap();
        let replies: Vec<_> = replies
            .map(|reply| reply.unwrap().message.len())
            .collect()
            .await;
        assert_eq!(replies[0], replies[2], "{kind}");
        channel.close().await;
    }
    let channel = world.channel(r#"{"pick_first":{}}"#);
    nothing_is_left(world, channel).await;
}

/// TestAcceptCompressorsCallOption.
#[tokio::test(start_paused = true)]
async fn the_list_of_a_call_replaces_that_of_its_build() {
    let (world, heard) = world();
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let mut request = with(message(&long()), Compression::Gzip);
    let deflate = Compressions::from([Compression::Deflate]);
    request.options_mut().accept_compressions = Some(deflate);
    who_with(&channel, request).await.unwrap();
    let accepted = Compressions::from([Compression::Identity, Compression::Deflate]);
    assert_eq!(heard.take(), [(Compression::Gzip, accepted)]);
    nothing_is_left(world, channel).await;
}

/// The payloads that a unary call or a stream sends, as they are framed, by their flags.
async fn flags(call: impl FnOnce(Channel)) -> Vec<u8> {
    let mut script = Script::new();
    call(script.channel.clone());
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let mut bytes = Vec::new();
    loop {
        if let Frame::Data { data, end, .. } = peer.next_for(stream).await {
            bytes.extend_from_slice(&data);
            if end {
                break;
            }
        }
    }
    peer.send(Frame::headers(
        stream,
        &[
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "5"),
        ],
        true,
    ))
    .await;
    script.end([peer]).await;
    let (mut flags, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((prefix, tail)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        let is_short = length < long().len() / 2;
        assert_eq!(prefix[0] == 1, is_short && length > 5, "{length}");
        flags.push(prefix[0]);
        rest = &tail[length..];
    }
    flags
}

#[tokio::test(start_paused = true)]
async fn messages_are_flagged_if_there_is_something_to_compress() {
    for (kind, text, flag) in [
        (Compression::Gzip, long(), 1),
        (Compression::Deflate, long(), 1),
        (Compression::Identity, long(), 0),
        (Compression::Gzip, String::new(), 0),
        (Compression::Gzip, "abc".to_owned(), 0),
    ] {
        let request = with(message(&text), kind);
        let call = |channel| {
            tokio::spawn(async move { EchoClient::new(channel).unary_echo(request).await });
        };
        assert_eq!(flags(call).await, [flag], "{kind} {}", text.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_decides_for_each_message_of_a_stream() {
    let switch = CompressionSwitch::new();
    let messages = stream::iter([true, false, false, true]).map({
        let switch = switch.clone();
        move |compress| {
            switch.set(compress);
            message(&long())
        }
    });
    let mut request = Request::new(messages).with_compression(Compression::Gzip);
    request.options_mut().compression_switch = Some(switch);
    let call = |channel| {
        tokio::spawn(async move {
            EchoClient::new(channel)
                .client_streaming_echo(request)
                .await
        });
    };
    assert_eq!(flags(call).await, [1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn another_attempt_sends_the_same_bytes() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move {
        let unary = echo.unary_echo(with(message(&long()), Compression::Gzip));
        unary.await.map(drop)?;
        let messages = stream::iter([message(&long())]);
        let request = Request::new(messages).with_compression(Compression::Gzip);
        echo.client_streaming_echo(request).await.map(drop)
    });
    let mut peer = script.accept().await;
    for _unary_then_stream in 0..2 {
        let first = peer.headers().await;
        let sent = data(&mut peer, first).await;
        let (stream, code) = (first, 7);
        peer.send(Frame::Reset { stream, code }).await;
        let second = peer.headers().await;
        assert_eq!(data(&mut peer, second).await, sent);
        assert_eq!(sent[0], 1, "it is compressed");
        peer.send_all(reply(second)).await;
    }
    call.await.unwrap().unwrap();
    script.end([peer]).await;
}

/// The echo of a server that is played by the test.
static ECHO: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");

/// How a call ends whose reply is one message with this flag, in this encoding.
async fn answered(
    encoding: &str,
    flag: u8,
    payload: &[u8],
    request: Request<EchoRequest>,
) -> Status {
    let mut script = Script::new();
    let channel = script.channel.clone();
    let call = tokio::spawn(async move {
        let reply = channel.unary::<_, EchoResponse>(&ECHO, request).await;
        reply.expect_err("no answer here is fine")
    });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let fields = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-encoding", encoding),
    ];
    let length = u32::try_from(payload.len())
        .expect("it is short")
        .to_be_bytes();
    let framed = [&[flag], &length[..], payload].concat();
    peer.send_all([
        Frame::headers(stream, &fields, false),
        Frame::data(stream, framed, false),
        success(stream),
    ])
    .await;
    let status = call.await.expect("it does not panic");
    script.end([peer]).await;
    status
}

/// `hello` in gzip, as the command of that name makes it.
const HELLO: [u8; 25] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86, 0xa6, 0x10, 0x36,
    5, 0, 0, 0,
];

fn say(text: &str) -> Request<EchoRequest> {
    Request::new(message(text))
}

/// TestUnsupportedEncodingResponse.
#[tokio::test(start_paused = true)]
async fn a_reply_in_an_encoding_that_is_not_known_is_internal() {
    let status = answered("snappy", 1, b"?", say("x")).await;
    let text = "INTERNAL: grpc: Decompressor is not installed for grpc-encoding \"snappy\"";
    assert_eq!(status.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_an_encoding_that_was_not_allowed_is_internal() {
    let mut request = say("x");
    let deflate = Compressions::from([Compression::Deflate]);
    request.options_mut().accept_compressions = Some(deflate);
    let status = answered("gzip", 1, &HELLO, request).await;
    let text = "INTERNAL: grpc: peer compressed the response with \"gzip\" which is not allowed by \
                AcceptCompressors";
    assert_eq!(status.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn test_gzip_bad_checksum_is_internal() {
    let mut damaged = HELLO;
    damaged[17] ^= 1;
    let status = answered("gzip", 1, &damaged, say("x")).await;
    assert_eq!(status.code(), Code::Internal);
    let text = "grpc: failed to decompress the received message: ";
    assert!(status.message().starts_with(text), "{status}");
    // What is decompressed well is no message.
    let status = answered("gzip", 1, &HELLO, say("x")).await;
    let text = "grpc: failed to unmarshal the received message: ";
    assert!(status.message().starts_with(text), "{status}");
}

/// TestDecompressionExceedsMaxMessageSize, and its streaming sibling in the server's tests.
#[tokio::test(start_paused = true)]
async fn a_bomb_of_a_reply_exhausts_resources() {
    let (mut world, zeros) = (
        World::new(),
        EchoRequest {
            message: "0".repeat(3 << 20),
        },
    );
    let server = Server::builder().add_service(EchoServer::new(EchoWithAddress::new(A)));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let limit = zeros.encoded_len();
    for kind in Compressions::all()
        .iter()
        .filter(|kind| *kind != Compression::Identity)
    {
        let mut request = with(zeros.clone(), kind);
        request.options_mut().max_response_bytes = Some(limit);
        let status = who_with(&channel, request)
            .await
            .expect_err("the reply is longer");
        let text = format!(
            "RESOURCE_EXHAUSTED: grpc: received message after decompression larger than max {limit}"
        );
        assert_eq!(status.to_string(), text, "{kind}");
    }
    nothing_is_left(world, channel).await;
}

/// TestCancelWhileRecvingWithCompression.
#[tokio::test(start_paused = true)]
async fn a_reset_within_a_compressed_message_is_what_it_says_and_no_fault_of_the_message() {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let fields = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-encoding", "gzip"),
    ];
    let half = [&[1, 0, 0, 0, 25], &HELLO[..10]].concat();
    peer.send_all([
        Frame::headers(stream, &fields, false),
        Frame::data(stream, half, false),
        Frame::Reset { stream, code: 8 },
    ])
    .await;
    let status = call
        .await
        .expect("it does not panic")
        .expect_err("it is reset");
    assert_eq!(status.code(), Code::Cancelled);
    script.end([peer]).await;
}
