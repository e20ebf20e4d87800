//! Clients that break HTTP/2 or gRPC, frame by frame. The cases are those of gRPC's C core
//! (`test/core/bad_client`) and of its HTTP/2 interop checks (`tools/http2_interop`).
//!
//! | case | test |
//! |---|---|
//! | connection_prefix, short and corrupt prefaces | [`connection_prefix`] |
//! | initial_settings_frame | [`initial_settings_frame`] |
//! | headers | [`headers`], [`header_blocks_that_hpack_cannot_mean`] |
//! | duplicate_header | [`duplicate_header`]; doubled fields: `admission.rs` |
//! | large_metadata | `admission.rs`: a_header_list_over_the_limit…, …far_over_the_limit… |
//! | out_of_bounds | [`out_of_bounds`] |
//! | unknown_frame | [`unknown_frame`] |
//! | window_overflow | [`window_overflow`], [`window_updates_of_nothing`] |
//! | head_of_line_blocking | [`head_of_line_blocking`] |
//! | bad_streaming_id | `admission.rs`: an_illegal_stream_id…; [`frames_for_streams_that_are_not_open`] |
//! | badreq_te | [`badreq_te`] |
//! | badreq_path, badreq_content_type, badreq_encoding, badreq_timeout | `admission.rs` |
//! | badreq_algorithm | [`badreq_algorithm`] |
//! | settings_timeout | `accepting.rs`: a_client_that_never_acknowledges_our_settings… |
//! | too_many_pings | `quota.rs`: floods_close_the_connection_and_say_why |
//! | graceful_shutdown | `stopping.rs` |
//! | streams_not_seen | a client's case: e2e `transparent_retries.rs` |
//! | stream_leak_with_queued_flow_control_update | [`stream_leak_with_queued_flow_control_update`] |
//! | MadeYouReset (CVE-2025-8671) | [`made_you_reset_starts_no_more_handlers_than_the_quota`], [`made_you_reset_is_the_end_of_its_connection`] |
//!
//! RFC 9113 has narrower codes for some of what h2 calls a PROTOCOL_ERROR.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::support::client::framed;
use crate::support::raw::{
    self, ACK, CANCEL, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS,
};
use crate::support::{World, settle};

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 8;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;

/// What the server says at last to these bytes, which stand behind a handshake, and within how long it
/// closes the connection.
async fn last_words(world: &World, bytes: &[u8]) -> (Option<u32>, Duration) {
    let mut peer = world.raw().await;
    let _ = peer.io.write_all(bytes).await;
    farewell(&mut peer).await
}

async fn farewell(peer: &mut raw::Peer) -> (Option<u32>, Duration) {
    let started = Instant::now();
    let mut code = None;
    let minute = Duration::from_secs(60);
    while let Some(frame) = tokio::time::timeout(minute, peer.next())
        .await
        .expect("the server closes the connection")
    {
        if frame.kind == GOAWAY {
            code = Some(frame.code());
        }
    }
    (code, started.elapsed())
}

/// Each of these, sent behind a handshake, is the end of its connection, for this reason, at once. Calls of
/// others go on.
async fn are_the_end(rows: &[(&str, Vec<u8>, u32)]) {
    let world = World::new();
    let honest = world.client().await;
    let mut said = Vec::new();
    for (what, bytes, _) in rows {
        let (code, after) = last_words(&world, bytes).await;
        assert!(after <= Duration::from_secs(2), "{what}: after {after:?}");
        said.push((*what, code));
        let reply = honest.unary("Echo", &"on".to_owned()).await;
        assert_eq!(reply.message::<String>(), "on");
    }
    let expected: Vec<_> = rows
        .iter()
        .map(|(what, _, code)| (*what, Some(*code)))
        .collect();
    assert_eq!(said, expected);
    assert_eq!(
        world.seen.started(),
        rows.len(),
        "only the honest are served"
    );
    drop(honest);
    world.end().await;
}

/// One whole call on a stream of its own; the frame that opens the answer.
async fn call(peer: &mut raw::Peer, stream: u32) -> Frame {
    let block = raw::call("Echo");
    peer.frame(HEADERS, END_HEADERS, stream, &block).await;
    let message = framed(&"hi".to_owned());
    peer.frame(DATA, END_STREAM, stream, &message).await;
    first_for(peer, stream).await
}

/// The next frame for this stream.
async fn first_for(peer: &mut raw::Peer, stream: u32) -> Frame {
    let first = async {
        loop {
            let frame = peer.next().await.expect("the connection goes on");
            if frame.stream == stream {
                return frame;
            }
        }
    };
    let minute = Duration::from_secs(60);
    let first = tokio::time::timeout(minute, first).await;
    first.expect("the server answers")
}

#[tokio::test(start_paused = true)]
async fn connection_prefix() {
    let world = World::new();
    for length in 0..raw::PREFACE.len() {
        let mut short = raw::Peer::silent(&world.network).await;
        short.write(&raw::PREFACE[..length]).await;
        short.io.shutdown().await.unwrap();
        let (_, after) = farewell(&mut short).await;
        assert!(after <= Duration::from_secs(2), "{length}: {after:?}");
        let mut corrupt = raw::Peer::silent(&world.network).await;
        corrupt.write(&raw::PREFACE[..length]).await;
        corrupt.write(b"X").await;
        let (_, after) = farewell(&mut corrupt).await;
        assert!(after <= Duration::from_secs(2), "{length}: {after:?}");
    }
    assert_eq!(world.seen.started(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn initial_settings_frame() {
    let world = World::new();
    let (mut said, mut expected) = (Vec::new(), Vec::new());
    let setting = |identifier: u8, value: u32| {
        let payload = [&[0, identifier][..], &value.to_be_bytes()].concat();
        raw::frame(SETTINGS, 0, 0, &payload)
    };
    for (what, settings, code) in [
        (
            "cut",
            raw::frame(SETTINGS, 0, 0, &[0; 6])[..9].to_vec(),
            None,
        ),
        (
            "five bytes",
            raw::frame(SETTINGS, 0, 0, &[0; 5]),
            Some(PROTOCOL_ERROR),
        ),
        (
            "of a stream",
            raw::frame(SETTINGS, 0, 1, &[]),
            Some(PROTOCOL_ERROR),
        ),
        (
            "an acknowledgement",
            raw::frame(SETTINGS, ACK, 0, &[]),
            Some(PROTOCOL_ERROR),
        ),
        (
            "acknowledging at length",
            raw::frame(SETTINGS, ACK, 0, &[0; 6]),
            Some(PROTOCOL_ERROR),
        ),
        ("ENABLE_PUSH 2", setting(2, 2), Some(PROTOCOL_ERROR)),
        (
            "INITIAL_WINDOW_SIZE 2^31",
            setting(4, 1 << 31),
            Some(PROTOCOL_ERROR),
        ),
        ("MAX_FRAME_SIZE 100", setting(5, 100), Some(PROTOCOL_ERROR)),
        (
            "MAX_FRAME_SIZE 2^24",
            setting(5, 1 << 24),
            Some(PROTOCOL_ERROR),
        ),
    ] {
        let mut peer = raw::Peer::silent(&world.network).await;
        peer.write(raw::PREFACE).await;
        peer.write(&settings).await;
        if code.is_none() {
            peer.io.shutdown().await.unwrap();
        }
        let (code_said, after) = farewell(&mut peer).await;
        assert!(after <= Duration::from_secs(2), "{what}: {after:?}");
        said.push((what, code_said));
        expected.push((what, code));
    }
    assert_eq!(said, expected);
    assert_eq!(world.seen.started(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn headers() {
    let block = raw::call("Echo");
    let open = raw::frame(HEADERS, 0, 1, &block);
    let whole = raw::frame(HEADERS, END_HEADERS, 1, &block);
    let with = |first: &[u8], second: Vec<u8>| [first, &second].concat();
    are_the_end(&[
        (
            "on stream 0",
            raw::frame(HEADERS, END_HEADERS, 0, &block),
            PROTOCOL_ERROR,
        ),
        (
            "DATA amid a block",
            with(&open, raw::frame(DATA, 0, 1, &[])),
            PROTOCOL_ERROR,
        ),
        (
            "PING amid a block",
            with(&open, raw::frame(PING, 0, 0, &[0; 8])),
            PROTOCOL_ERROR,
        ),
        (
            "a block begun twice",
            with(&open, open.clone()),
            PROTOCOL_ERROR,
        ),
        (
            "the rest of another stream's block",
            with(&open, raw::frame(CONTINUATION, END_HEADERS, 3, &[])),
            PROTOCOL_ERROR,
        ),
        (
            "a rest without a beginning",
            raw::frame(CONTINUATION, END_HEADERS, 1, &block),
            PROTOCOL_ERROR,
        ),
        (
            "a rest behind the end",
            with(&whole, raw::frame(CONTINUATION, END_HEADERS, 1, &[])),
            PROTOCOL_ERROR,
        ),
        (
            "more padding than frame",
            raw::frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 1, 2]),
            PROTOCOL_ERROR,
        ),
        (
            "a push",
            raw::frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            PROTOCOL_ERROR,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn header_blocks_that_hpack_cannot_mean() {
    let row = |what, block: &[u8]| {
        (
            what,
            raw::frame(HEADERS, END_HEADERS | END_STREAM, 1, block),
            PROTOCOL_ERROR,
        )
    };
    are_the_end(&[
        row("index 0", &[0x80]),
        row("an index beyond the table", &[0xff, 0x7f]),
        row(
            "a number without end",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        row("a table larger than allowed", &[0x3f, 0xff, 0xff, 0x7f]),
        row("a string that ends early", &[0, 10, b'k']),
        row(
            "Huffman codes that mean nothing",
            &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'v'],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn duplicate_header() {
    let world = World::new();
    let mut peer = world.raw().await;
    for _ in 0..2 {
        peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Hang"))
            .await;
    }
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, 1));
    assert_eq!(frame.code(), PROTOCOL_ERROR);
    settle().await;
    assert_eq!(world.seen.running(), 0);
    assert_eq!(
        call(&mut peer, 3).await.kind,
        HEADERS,
        "the connection goes on"
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn out_of_bounds() {
    let open = raw::frame(HEADERS, END_HEADERS, 1, &raw::call("Echo"));
    let behind = |frame: Vec<u8>| [&open[..], &frame].concat();
    are_the_end(&[
        (
            "PING of 7 bytes",
            raw::frame(PING, 0, 0, &[0; 7]),
            PROTOCOL_ERROR,
        ),
        (
            "PING of 9 bytes",
            raw::frame(PING, 0, 0, &[0; 9]),
            PROTOCOL_ERROR,
        ),
        (
            "PING of a stream",
            raw::frame(PING, 0, 1, &[0; 8]),
            PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE of 3 bytes",
            raw::frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            PROTOCOL_ERROR,
        ),
        (
            "SETTINGS of 7 bytes",
            raw::frame(SETTINGS, 0, 0, &[0; 7]),
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of 5 bytes",
            behind(raw::frame(RST_STREAM, 0, 1, &[0; 5])),
            PROTOCOL_ERROR,
        ),
        (
            "GOAWAY of 7 bytes",
            raw::frame(GOAWAY, 0, 0, &[0; 7]),
            PROTOCOL_ERROR,
        ),
        (
            "DATA, all padding and more",
            behind(raw::frame(DATA, PADDED, 1, &[9, 0])),
            PROTOCOL_ERROR,
        ),
        (
            "DATA beyond any limit",
            behind(vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]),
            FRAME_SIZE_ERROR,
        ),
        (
            "HEADERS beyond any limit",
            vec![0xff, 0xff, 0xff, HEADERS, END_HEADERS, 0, 0, 0, 1],
            FRAME_SIZE_ERROR,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_frame() {
    let world = World::new();
    let mut peer = world.raw().await;
    for kind in [10, 0x42, 255] {
        peer.frame(kind, 0xff, 0, &[7; 100]).await;
        peer.frame(kind, 0, 1, &[]).await;
    }
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Echo"))
        .await;
    peer.frame(0x42, END_STREAM, 1, b"no end of the stream")
        .await;
    let message = framed(&"hi".to_owned());
    peer.frame(DATA, END_STREAM, 1, &message).await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (HEADERS, 1));
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn window_overflow() {
    let most = ((1_u32 << 31) - 1).to_be_bytes();
    let update = raw::frame(WINDOW_UPDATE, 0, 0, &most);
    are_the_end(&[("of the connection", update, FLOW_CONTROL_ERROR)]).await;

    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Hang"))
        .await;
    peer.frame(WINDOW_UPDATE, 0, 1, &most).await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, 1));
    assert_eq!(frame.code(), FLOW_CONTROL_ERROR);
    settle().await;
    assert_eq!(world.seen.running(), 0);
    assert_eq!(
        call(&mut peer, 3).await.kind,
        HEADERS,
        "the connection goes on"
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn window_updates_of_nothing() {
    let nothing = raw::frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
    are_the_end(&[("of the connection", nothing, PROTOCOL_ERROR)]).await;
}

#[tokio::test(start_paused = true)]
async fn head_of_line_blocking() {
    let world = World::new();
    let mut peer = raw::Peer::silent(&world.network).await;
    peer.write(raw::PREFACE).await;
    // INITIAL_WINDOW_SIZE 0: no reply gets through unasked.
    peer.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    peer.frame(SETTINGS, ACK, 0, &[]).await;
    // The handler reads no more than it can answer; the rest of its window is filled.
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Chat"))
        .await;
    let message = framed(&"x".repeat(16_000));
    for _ in 0..4 {
        peer.frame(DATA, 0, 1, &message).await;
    }
    settle().await;
    for stream in [3, 5, 7] {
        assert_eq!(call(&mut peer, stream).await.kind, HEADERS);
        peer.frame(WINDOW_UPDATE, 0, stream, &[0, 0, 1, 0]).await;
        let reply = peer.next().await.unwrap();
        assert_eq!((reply.kind, reply.stream), (DATA, stream));
        let trailers = peer.next().await.unwrap();
        assert_eq!((trailers.kind, trailers.stream), (HEADERS, stream));
    }
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn frames_for_streams_that_are_not_open() {
    are_the_end(&[
        (
            "DATA before HEADERS",
            raw::frame(DATA, 0, 1, &[0]),
            PROTOCOL_ERROR,
        ),
        (
            "DATA on stream 0",
            raw::frame(DATA, 0, 0, &[0]),
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM before HEADERS",
            raw::frame(RST_STREAM, 0, 1, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM on stream 0",
            raw::frame(RST_STREAM, 0, 0, &[0; 4]),
            PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE before HEADERS",
            raw::frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            PROTOCOL_ERROR,
        ),
    ])
    .await;
    // PRIORITY may come for any stream, also for one that depends on others.
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 1]).await;
    assert_eq!(call(&mut peer, 1).await.kind, HEADERS);
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn data_for_a_stream_that_was_reset_hurts_nobody() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Hang"))
        .await;
    peer.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()).await;
    peer.frame(DATA, END_STREAM, 1, &framed(&"late".to_owned()))
        .await;
    let frame = call(&mut peer, 3).await;
    assert_eq!(frame.kind, HEADERS, "the connection goes on");
    drop(peer);
    world.end().await;
}

/// A proxy may have dropped it, and nothing depends on it. HTTP/2 has no other value for it.
#[tokio::test(start_paused = true)]
async fn badreq_te() {
    let world = World::new();
    let mut peer = world.raw().await;
    for (stream, te, answer) in [(1, None, HEADERS), (3, Some("frobnicate"), RST_STREAM)] {
        let mut fields = raw::head("/test.Lab/Echo");
        fields.retain(|(name, _)| *name != "te");
        fields.extend(te.map(|te| ("te", te)));
        let block = raw::block(&fields);
        peer.frame(HEADERS, END_HEADERS, stream, &block).await;
        let message = framed(&"hi".to_owned());
        peer.frame(DATA, END_STREAM, stream, &message).await;
        assert_eq!(first_for(&mut peer, stream).await.kind, answer, "{te:?}");
    }
    assert_eq!(world.seen.started(), 1);
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn badreq_algorithm() {
    let world = World::new();
    let client = world.client().await;
    let identity = crate::support::client::request("Echo").header("grpc-encoding", "identity");
    // The flag says compressed, and nothing says how.
    let message = bytes::Bytes::from_static(&[1, 0, 0, 0, 1, 7]);
    let reply = client.send_all(identity, [message]).await;
    assert_eq!(
        reply.status(),
        "13 grpc: compressed flag set with identity or empty encoding"
    );
    assert_eq!(world.seen.started(), 0);
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn stream_leak_with_queued_flow_control_update() {
    let world = World::new();
    let mut peer = world.raw().await;
    let text = framed(&"x".repeat(16_000));
    for number in 0..200 {
        let stream = 1 + 2 * number;
        peer.frame(HEADERS, END_HEADERS, stream, &raw::call("Collect"))
            .await;
        peer.frame(DATA, 0, stream, &text).await;
        if number % 2 == 0 {
            // The handler has read, and its window is about to be told.
            tokio::task::yield_now().await;
        }
        peer.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
            .await;
    }
    settle().await;
    assert_eq!(world.seen.running(), 0);
    assert_eq!(call(&mut peer, 1001).await.kind, HEADERS);
    drop(peer);
    world.end().await;
}

/// A call that its server must reset: its window is beyond all bounds.
fn provoking(stream: u32, method: &str) -> Vec<u8> {
    let most = ((1_u32 << 31) - 1).to_be_bytes();
    let mut frames = raw::frame(HEADERS, END_HEADERS, stream, &raw::call(method));
    let message = framed(&"hi".to_owned());
    frames.extend(raw::frame(DATA, END_STREAM, stream, &message));
    frames.extend(raw::frame(WINDOW_UPDATE, 0, stream, &most));
    frames
}

#[tokio::test(start_paused = true)]
async fn made_you_reset_starts_no_more_handlers_than_the_quota() {
    let world = World::new();
    let mut peer = world.raw().await;
    let mut stream = 1;
    for _ in 0..300 {
        let mut burst = Vec::new();
        for _ in 0..16 {
            burst.extend(provoking(stream, "RunOn"));
            stream += 2;
        }
        if peer.io.write_all(&burst).await.is_err() {
            break;
        }
        settle().await;
        assert!(world.seen.running() <= 100, "{}", world.seen.running());
    }
    drop(peer);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.seen.running(), 0);
    world.end().await;
}

/// Has streams reset, fifty at a time; what the server says beside that, and whether the connection is still there.
async fn provoke(
    peer: &mut raw::Peer,
    numbers: std::ops::Range<u32>,
) -> (Vec<(u32, Vec<u8>)>, bool) {
    let mut said = Vec::new();
    let streams: Vec<_> = numbers.map(|number| 3 + 2 * number).collect();
    for some in streams.chunks(50) {
        let burst = some.iter().flat_map(|stream| provoking(*stream, "Hang"));
        let _ = peer.io.write_all(&burst.collect::<Vec<_>>()).await;
        let mut resets = 0;
        while resets < some.len() {
            match peer.next().await {
                Some(frame) if frame.kind == GOAWAY => {
                    said.push((frame.code(), frame.payload[8..].to_vec()));
                }
                Some(frame) if frame.kind == RST_STREAM => resets += 1,
                Some(_) => {}
                None => return (said, false),
            }
        }
    }
    (said, true)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_had_many_streams_reset_is_drained_and_its_calls_end_well() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Chat"))
        .await;
    let (said, is_open) = provoke(&mut peer, 0..5_000).await;
    assert_eq!((said, is_open), (vec![], true));
    let (mut said, is_open) = provoke(&mut peer, 5_000..5_001).await;
    assert!(is_open);
    while said.is_empty() {
        let frame = peer.next().await.expect("the connection goes on");
        assert_eq!(frame.kind, GOAWAY, "{frame:?}");
        said.push((frame.code(), frame.payload[8..].to_vec()));
    }
    assert_eq!(said[0], (0, b"worn".to_vec()));
    let message = framed(&"well".to_owned());
    peer.frame(DATA, END_STREAM, 1, &message).await;
    let mut frames = Vec::new();
    while let Some(frame) = peer.next().await {
        frames.push((frame.kind, frame.stream));
    }
    frames.retain(|(kind, _)| *kind != GOAWAY);
    assert_eq!(frames.last(), Some(&(HEADERS, 1)), "{frames:?}");
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn made_you_reset_is_the_end_of_its_connection() {
    let world = World::new();
    let mut peer = world.raw().await;
    let (said, is_open) = provoke(&mut peer, 0..20_000).await;
    assert!(!is_open);
    let calm = (11, b"too_many_internal_resets".to_vec());
    assert_eq!(said.last(), Some(&calm), "{said:?}");
    assert!(world.seen.started() <= 10_000, "{}", world.seen.started());
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_clients_goaway_is_heard_and_its_calls_go_on() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Echo"))
        .await;
    peer.frame(GOAWAY, 0, 0, &[0; 8]).await;
    let message = framed(&"hi".to_owned());
    peer.frame(DATA, END_STREAM, 1, &message).await;
    let mut frames = Vec::new();
    while let Some(frame) = peer.next().await {
        frames.push((frame.kind, frame.stream));
    }
    assert_eq!(frames[..3], [(HEADERS, 1), (DATA, 1), (HEADERS, 1)]);
    drop(peer);
    world.end().await;
}
