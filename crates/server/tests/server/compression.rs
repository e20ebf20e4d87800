//! Compressed requests, and replies to clients that read some encodings and not others.

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use highball_server::{
    Compression, IncomingCall, MessageLimits, Request, Response, ResponseStream, Service, Status,
    Streaming, client_streaming, server_streaming, unary, unknown_method,
};
use highball_transport::framing::{Decoder, Encoding, compress_into};
use prost::Message as _;

use crate::support::World;
use crate::support::client::{framed, to_path};

const GZIP: Compression = Compression::Gzip;

/// Answers in words that are worth compressing.
struct Words;

/// A sentence of many words, made of a few.
fn long(word: &str) -> String {
    [word; 100].join(" ")
}

impl Service for Words {
    fn name(&self) -> &str {
        "test.Words"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        match method {
            "Repeat" => unary(call, async |request: Request<String>| {
                Ok(Response::new(long(request.message())))
            }),
            "Empty" => unary(call, async |_: Request<String>| {
                Ok(Response::new(String::new()))
            }),
            "Choose" => unary(call, choose),
            "ChooseTwice" => unary(call, async |request: Request<String>| {
                request.compress_reply(GZIP)?;
                request.compress_reply(Compression::Deflate)?;
                Ok(Response::new(String::new()))
            }),
            "ChooseLate" => server_streaming(call, choose_late),
            "EverySecond" => server_streaming(call, every_second),
            "CameCompressed" => client_streaming(call, came_compressed),
            "Reads" => unary(call, async |request: Request<String>| {
                let names: Vec<_> = request
                    .accepted_compressions()
                    .iter()
                    .map(Compression::name)
                    .collect();
                Ok(Response::new(names.join(" ")))
            }),
            _ => unknown_method(call),
        }
    }
}

async fn choose(request: Request<String>) -> Result<Response<String>, Status> {
    let wanted = Compression::named(request.message());
    request.compress_reply(wanted.ok_or(Status::invalid_argument("unknown"))?)?;
    Ok(Response::new(long("chosen")))
}

/// Chooses when the stream is read.
async fn choose_late(request: Request<String>) -> Result<Response<ResponseStream<String>>, Status> {
    let replies = stream::once(async move {
        request.compress_reply(GZIP)?;
        Ok(String::new())
    });
    Ok(Response::new(replies.boxed()))
}

async fn every_second(
    request: Request<String>,
) -> Result<Response<ResponseStream<String>>, Status> {
    let switch = request.compression_switch();
    let replies = stream::iter(0..4).map(move |number| {
        switch.set(number % 2 == 1);
        Ok(long("word"))
    });
    Ok(Response::new(replies.boxed()))
}

/// Tells of each message whether it came compressed, and what it was.
async fn came_compressed(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut messages = request.into_message();
    let mut told = Vec::new();
    while let Some(message) = messages.message().await? {
        told.push(format!("{message}: {}", messages.is_compressed()));
    }
    Ok(Response::new(told.join(", ")))
}

/// A reply as it came: what it announces, its messages with whether they were compressed, and its status.
#[derive(Debug, PartialEq)]
struct Reply {
    announced: Option<String>,
    messages: Vec<(String, bool)>,
    status: String,
}

/// What such a call is answered, by a server of [`Words`] that was put together like this.
async fn ask_of(
    world: World,
    method: &str,
    headers: &[(&str, &str)],
    messages: Vec<Bytes>,
) -> Reply {
    let client = world.client().await;
    let mut request = to_path(&format!("/test.Words/{method}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut call = client.open(request.body(()).unwrap(), false).await;
    for message in messages {
        call.send.send_data(message, false).unwrap();
    }
    let _ = call.send.send_data(Bytes::new(), true);
    let (head, mut body) = call.response.await.unwrap().into_parts();
    let known = head.headers["grpc-accept-encoding"].to_str().unwrap();
    assert!(known.starts_with("gzip,deflate"), "{known}");
    let mut decoder = Decoder::new();
    while let Some(data) = body.data().await {
        decoder.push(data.unwrap());
    }
    let encoding = Encoding::of(&head.headers);
    let mut messages = Vec::new();
    while let Some(message) = decoder.next(usize::MAX).unwrap() {
        let compressed = message.is_compressed();
        let payload = message.into_payload(&encoding, 1 << 20).unwrap();
        messages.push((String::decode(payload).unwrap(), compressed));
    }
    let trailers = body
        .trailers()
        .await
        .unwrap()
        .unwrap_or(head.headers.clone());
    let text = |name: &str| Some(trailers.get(name)?.to_str().unwrap().to_owned());
    let reply = Reply {
        announced: head
            .headers
            .get("grpc-encoding")
            .map(|name| name.to_str().unwrap().to_owned()),
        messages,
        status: format!(
            "{} {}",
            text("grpc-status").unwrap(),
            text("grpc-message").unwrap_or_default()
        ),
    };
    drop((client, call.send));
    world.end().await;
    reply
}

async fn ask(method: &str, headers: &[(&str, &str)], messages: Vec<Bytes>) -> Reply {
    let world = World::with(|builder| builder.add_service(Words));
    ask_of(world, method, headers, messages).await
}

/// The same with one short message, to a service whose replies are compressed by this.
async fn ask_service(compression: Compression, headers: &[(&str, &str)]) -> Reply {
    let world = World::with(|builder| builder.compression(compression).add_service(Words));
    ask_of(world, "Repeat", headers, vec![framed(&"hi".to_owned())]).await
}

fn packed(compression: Compression, text: &str) -> Bytes {
    let text = text.to_owned();
    let mut buffer = BytesMut::new();
    let write = |buffer: &mut BytesMut| text.encode(buffer).unwrap();
    compress_into(&mut buffer, compression, text.encoded_len(), 1 << 20, write).unwrap();
    buffer.freeze()
}

fn reply(announced: &str, text: String, compressed: bool) -> Reply {
    Reply {
        announced: (announced != "identity").then(|| announced.to_owned()),
        messages: vec![(text, compressed)],
        status: "0 ".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_request_is_read_and_answered_in_kind() {
    for kind in [GZIP, Compression::Deflate] {
        let name = kind.name();
        for headers in [
            &[("grpc-encoding", name)][..],
            &[("grpc-encoding", name), ("grpc-accept-encoding", name)],
        ] {
            let answer = ask("Repeat", headers, vec![packed(kind, &long("hi"))]).await;
            assert_eq!(answer, reply(name, long(&long("hi")), true), "{headers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_said_to_read_something_else_is_not_answered_in_kind() {
    let headers = [
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "deflate"),
    ];
    let answer = ask("Repeat", &headers, vec![packed(GZIP, &long("hi"))]).await;
    assert_eq!(answer, reply("identity", long(&long("hi")), false));
}

#[tokio::test(start_paused = true)]
async fn an_encoding_may_be_announced_without_a_message_in_it() {
    let headers = [("grpc-encoding", "gzip")];
    let answer = ask("Repeat", &headers, vec![framed(&"hi".to_owned())]).await;
    assert_eq!(answer, reply("gzip", long("hi"), true));
    let empty = ask("Empty", &headers, vec![framed(&"hi".to_owned())]).await;
    assert_eq!(
        empty,
        reply("gzip", String::new(), false),
        "nothing to compress"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_chooses_among_what_the_client_reads() {
    for (reads, chosen, sent) in [
        ("gzip", "gzip", "gzip"),
        ("gzip, deflate", "deflate", "deflate"),
        ("identity,snappy,gzip", "gzip", "gzip"),
        ("gzip", "identity", "identity"),
        // What a client does not read is not sent, and is no error.
        ("deflate", "gzip", "identity"),
        ("identity", "gzip", "identity"),
        ("", "gzip", "identity"),
    ] {
        let headers = [("grpc-accept-encoding", reads)];
        let answer = ask("Choose", &headers, vec![framed(&chosen.to_owned())]).await;
        let expected = reply(sent, long("chosen"), sent != "identity");
        assert_eq!(answer, expected, "{chosen} of {reads}");
    }
    let answer = ask("Choose", &[], vec![framed(&"gzip".to_owned())]).await;
    assert_eq!(
        answer,
        reply("identity", long("chosen"), false),
        "it says nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_choice_comes_once_and_before_the_headers() {
    let text = "13 the compression of a reply is chosen once, and before its headers are sent";
    for method in ["ChooseTwice", "ChooseLate"] {
        let answer = ask(method, &[], vec![framed(&String::new())]).await;
        assert_eq!(answer.status, text, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_says_what_its_replies_are_compressed_by() {
    let gzip = [("grpc-accept-encoding", "gzip")];
    assert_eq!(
        ask_service(GZIP, &gzip).await,
        reply("gzip", long("hi"), true)
    );
    assert_eq!(
        ask_service(GZIP, &[]).await,
        reply("identity", long("hi"), false)
    );
    let both = [
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "gzip,deflate"),
    ];
    let answer = ask_service(Compression::Deflate, &both).await;
    assert_eq!(
        answer,
        reply("deflate", long("hi"), true),
        "whatever the request is"
    );
    let answer = ask_service(Compression::Identity, &both).await;
    assert_eq!(answer, reply("identity", long("hi"), false));
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_what_its_client_reads() {
    for (headers, expected) in [
        (&[][..], ""),
        (&[("grpc-accept-encoding", "")], "identity"),
        (&[("grpc-accept-encoding", "gzip")], "identity gzip"),
        (
            &[("grpc-accept-encoding", " gzip ,, snappy ")],
            "identity gzip",
        ),
        (
            &[
                ("grpc-accept-encoding", "gzip"),
                ("grpc-accept-encoding", "deflate"),
            ],
            "identity gzip deflate",
        ),
    ] {
        let answer = ask("Reads", headers, vec![framed(&String::new())]).await;
        assert_eq!(answer.messages[0].0, expected, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn single_messages_of_a_stream_are_compressed_and_others_are_not() {
    let headers = [("grpc-encoding", "gzip")];
    let answer = ask("EverySecond", &headers, vec![framed(&String::new())]).await;
    assert_eq!(answer.announced.as_deref(), Some("gzip"));
    let expected = [false, true, false, true].map(|compressed| (long("word"), compressed));
    assert_eq!(answer.messages, expected);
    let messages = vec![
        packed(GZIP, &long("a")),
        framed(&"b".to_owned()),
        packed(GZIP, &long("c")),
    ];
    let answer = ask("CameCompressed", &headers, messages).await;
    let told = format!("{}: true, b: false, {}: true", long("a"), long("c"));
    assert_eq!(answer.messages[0].0, told);
}

#[tokio::test(start_paused = true)]
async fn test_gzip_bad_checksum_is_internal() {
    let mut message = BytesMut::from(packed(GZIP, &long("hi")));
    let checksum = message.len() - 8;
    message[checksum] ^= 1;
    let answer = ask(
        "Repeat",
        &[("grpc-encoding", "gzip")],
        vec![message.freeze()],
    )
    .await;
    let text = "13 grpc: failed to decompress the received message: ";
    assert!(answer.status.starts_with(text), "{answer:?}");
    assert_eq!(answer.messages, []);
}

/// TestDecompressionExceedsMaxMessageSize.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_when_unpacked_exhausts_resources() {
    let bomb = packed(GZIP, &"0".repeat(100_000));
    assert!(bomb.len() < 300);
    let limits = MessageLimits {
        receive: 1000,
        ..MessageLimits::default()
    };
    for method in ["Repeat", "CameCompressed"] {
        let world = World::with(|builder| builder.message_limits(limits).add_service(Words));
        let headers = [("grpc-encoding", "gzip")];
        let answer = ask_of(world, method, &headers, vec![bomb.clone()]).await;
        let text = "8 grpc: received message after decompression larger than max 1000";
        assert_eq!(answer.status, text, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_replies_goes_for_what_is_sent() {
    let limits = MessageLimits {
        send: 100,
        ..MessageLimits::default()
    };
    for (encoding, status) in [
        ("gzip", "0 "),
        (
            "identity",
            "8 trying to send message larger than max (302 vs. 100)",
        ),
    ] {
        let world = World::with(|builder| builder.message_limits(limits).add_service(Words));
        let headers = [("grpc-encoding", encoding)];
        let answer = ask_of(world, "Repeat", &headers, vec![framed(&"hi".to_owned())]).await;
        assert_eq!(answer.status, status, "{encoding}");
    }
}
