//! gRPC's interoperability cases of servers that break off, ping or pad: each test is named for its case
//! (`negative_http2_test_cases` of the interop suite), and drives the whole channel.
//!
//! | case | the application sees |
//! |---|---|
//! | goaway | nothing: the second call goes over another connection |
//! | rst_after_header, rst_during_data | INTERNAL, and no message |
//! | rst_after_data | INTERNAL; a streaming call has the message first |
//! | ping | nothing; each PING is answered |
//! | max_streams | nothing; never two streams at a time |
//! | data_frame_padding, no_df_padding_sanity_test | nothing |

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::join_all;
use highball_channel::transport::BoxIo;
use highball_channel::{Channel, Code, Status};
use highball_echo::{EchoClient, EchoResponse};
use highball_testkit::peer::{Frame, Peer};
use prost::Message as _;
use tokio::task::JoinHandle;

use crate::script::{Script, opening, reply, success};
use crate::world::{A, message};

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const LARGE_REQUEST: usize = 271_828;
const LARGE_REPLY: usize = 314_159;

/// RST_STREAM(NO_ERROR).
fn no_error(stream: u32) -> Frame {
    Frame::Reset { stream, code: 0 }
}

/// How a unary call ends that is answered like this, given a whole reply and its stream.
pub(crate) async fn outcome(
    answer: impl FnOnce([Frame; 3], u32) -> Vec<Frame>,
) -> Result<String, Status> {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    peer.send_all(answer(reply(stream), stream)).await;
    let outcome = call.await.expect("it does not panic");
    // What became of one call is no harm to the next.
    let next = script.call();
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
    assert_eq!(next.await.expect("it does not panic"), Ok(A.to_owned()));
    assert_eq!(script.world.network.connections(A), 1);
    script.end([peer]).await;
    outcome
}

fn is_internal(outcome: Result<String, Status>) {
    let status = outcome.expect_err("the server broke off");
    assert_eq!(
        status.to_string(),
        "INTERNAL: stream terminated by RST_STREAM with error code: NO_ERROR"
    );
}

#[tokio::test(start_paused = true)]
async fn goaway() {
    for between in [Duration::ZERO, Duration::from_secs(1)] {
        let mut script = Script::new();
        let call = script.call();
        let mut old = script.accept().await;
        let stream = old.headers().await;
        old.send_all(reply(stream)).await;
        old.send(Frame::goaway(stream, 0, "")).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        tokio::time::sleep(between).await;
        let call = script.call();
        let mut new = script.accept().await;
        let stream = new.headers().await;
        new.send_all(reply(stream)).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        assert_eq!(script.world.network.connections(A), 2);
        script.end([old, new]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rst_after_header() {
    is_internal(outcome(|[headers, ..], stream| vec![headers, no_error(stream)]).await);
}

#[tokio::test(start_paused = true)]
async fn rst_during_data() {
    let half = |[headers, message, _]: [Frame; 3], stream| {
        let Frame::Data { data, .. } = message else {
            unreachable!("the second frame of a reply is its message")
        };
        let half = data.slice(..data.len() / 2);
        vec![headers, Frame::data(stream, half, false), no_error(stream)]
    };
    is_internal(outcome(half).await);
}

#[tokio::test(start_paused = true)]
async fn rst_after_data() {
    let all = |[headers, message, _]: [Frame; 3], stream| vec![headers, message, no_error(stream)];
    is_internal(outcome(all).await);
}

#[tokio::test(start_paused = true)]
async fn rst_after_data_gives_a_streaming_call_its_message_first() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let [headers, data, _] = reply(stream);
    peer.send_all([headers, data, no_error(stream)]).await;
    let mut replies = call.await.unwrap().unwrap();
    assert!(replies.message().await.unwrap().is_some());
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    drop(replies);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn ping() {
    let ping = |number| Frame::Ping {
        ack: false,
        payload: [number; 8],
    };
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let [headers, message, trailers] = reply(stream);
    peer.send_all([
        ping(1),
        headers,
        ping(2),
        ping(3),
        message,
        ping(4),
        trailers,
    ])
    .await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    let mut answered = Vec::new();
    while answered.len() < 4 {
        let ack = |frame: &Frame| matches!(frame, Frame::Ping { ack: true, .. });
        if let Frame::Ping { payload, .. } = peer.until(ack).await {
            answered.push(payload[0]);
        }
    }
    assert_eq!(answered, [1, 2, 3, 4]);
    script.end([peer]).await;
}

/// A call with a request of this many bytes; gives the length of the reply.
fn large_unary(channel: &Channel, size: usize) -> JoinHandle<Result<usize, Status>> {
    let echo = EchoClient::new(channel.clone());
    tokio::spawn(async move {
        let reply = echo.unary_echo(message(&"x".repeat(size))).await?;
        Ok(reply.into_message().message.len())
    })
}

#[tokio::test(start_paused = true)]
async fn max_streams() {
    let mut script = Script::new();
    let first = large_unary(&script.channel, LARGE_REQUEST);
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
    peer.send(Frame::Settings(vec![(MAX_CONCURRENT_STREAMS, 1)]))
        .await;
    let increment = 1 << 28;
    peer.send(Frame::WindowUpdate {
        stream: 0,
        increment,
    })
    .await;
    one_at_a_time(&mut peer, 1).await;
    assert_eq!(first.await.unwrap(), Ok("x (from a:1)".len()));
    let calls: Vec<_> = (0..15)
        .map(|_| large_unary(&script.channel, LARGE_REQUEST))
        .collect();
    one_at_a_time(&mut peer, 15).await;
    for reply in join_all(calls).await {
        assert!(reply.unwrap().is_ok());
    }
    assert_eq!(script.world.network.connections(A), 1);
    script.end([peer]).await;
}

/// Serves calls when they have been sent whole; no other may begin before.
async fn one_at_a_time(peer: &mut Peer<BoxIo>, calls: usize) {
    let mut open = None;
    let mut served = 0;
    while served < calls {
        let frame = peer.frame().await.expect("the client goes on");
        match frame {
            Frame::Headers { stream, .. } => {
                assert_eq!(open.replace(stream), None, "a second stream is open");
            }
            Frame::Data { end: true, .. } => {
                // A moment for others to barge in.
                tokio::time::sleep(Duration::from_millis(10)).await;
                let stream = open.take().expect("DATA follows HEADERS");
                peer.send_all(reply(stream)).await;
                served += 1;
            }
            _ => {}
        }
    }
}

/// What the client lets a server send: of one stream, and in all.
struct Windows {
    stream: i64,
    connection: i64,
}

impl Windows {
    /// Waits until there is room for a frame of this size, and takes it.
    async fn take(&mut self, peer: &mut Peer<BoxIo>, size: usize) {
        while self.stream.min(self.connection) < size as i64 {
            let grows = |frame: &Frame| matches!(frame, Frame::WindowUpdate { .. });
            self.note(&peer.until(grows).await);
        }
        self.stream -= size as i64;
        self.connection -= size as i64;
    }

    fn note(&mut self, frame: &Frame) {
        match frame {
            Frame::WindowUpdate {
                stream: 0,
                increment,
            } => self.connection += i64::from(*increment),
            Frame::WindowUpdate { increment, .. } => self.stream += i64::from(*increment),
            Frame::Settings(settings) => {
                let window = settings.iter().find(|(id, _)| *id == INITIAL_WINDOW_SIZE);
                self.stream = window.map_or(self.stream, |(_, size)| i64::from(*size));
            }
            _ => {}
        }
    }
}

/// A reply of 314,159 bytes in DATA frames of five bytes, each with this much padding.
async fn in_chunks_of_five(padding: u8) {
    let mut script = Script::new();
    let call = large_unary(&script.channel, 1);
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let mut windows = Windows {
        stream: 65_535,
        connection: 65_535,
    };
    peer.log().iter().for_each(|frame| windows.note(frame));
    peer.send(opening(stream)).await;
    let text = LARGE_REPLY - 4;
    let payload = EchoResponse {
        message: "x".repeat(text),
    };
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(LARGE_REPLY as u32);
    bytes.extend_from_slice(&payload.encode_to_vec());
    let mut bytes: Bytes = bytes.freeze();
    assert_eq!(bytes.len(), 5 + LARGE_REPLY);
    let room = usize::from(padding) + usize::from(padding > 0);
    let mut frames = 0;
    while !bytes.is_empty() {
        let data = bytes.split_to(bytes.len().min(5));
        windows.take(&mut peer, data.len() + room).await;
        peer.send(Frame::Data {
            stream,
            data,
            end: false,
            padding,
        })
        .await;
        frames += 1;
    }
    assert_eq!(frames, 62_833);
    peer.send(success(stream)).await;
    assert_eq!(call.await.expect("it does not panic"), Ok(text));
    assert_eq!(script.world.network.connections(A), 1);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn data_frame_padding() {
    in_chunks_of_five(255).await;
}

#[tokio::test(start_paused = true)]
async fn no_df_padding_sanity_test() {
    in_chunks_of_five(0).await;
}
