//! How a call ends, by what the server sends last: the response tables, row by row, over the wire. More of a malformed
//! `:status` is in `malformed_status.rs`.

use crate::rig::{GRPC, OK, Rig, is_reset, message, response, settle};
use highball_core::Code;
use highball_testkit::peer::Frame;
use highball_transport::client::{ClientOptions, Processed};

/// The status that these frames end a call with, and whether a message came before it.
async fn status(frames: &[Frame]) -> (String, bool) {
    let (message, end) = Rig::outcome(frames).await;
    let text = end.map_or_else(|ended| ended.status.to_string(), |()| "OK".to_owned());
    (text, message.is_some())
}

fn trailers(fields: &[(&str, &str)]) -> Frame {
    Frame::headers(1, fields, true)
}

fn opening() -> Frame {
    Frame::headers(1, &GRPC, false)
}

fn reply() -> Frame {
    Frame::data(1, message(b"reply"), false)
}

/// A row of the table: what it is, what the server sends, the call's status, whether a message came.
type Row<'a> = (&'a str, Vec<Frame>, &'a str, bool);

async fn check(rows: &[Row<'_>]) {
    for (row, frames, expected, has_message) in rows {
        let (text, message) = status(frames).await;
        assert_eq!((text.as_str(), message), (*expected, *has_message), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_end_a_call_row_by_row() {
    let html = Frame::headers(
        1,
        &[(":status", "503"), ("content-type", "text/html")],
        false,
    );
    let informational = Frame::headers(1, &[(":status", "103")], false);
    check(&[
        (
            "1: headers amid the stream",
            vec![opening(), opening()],
            "INTERNAL: received invalid frame: PROTOCOL_ERROR: a HEADERS frame cannot appear in the \
             middle of a stream, nor may content-length be wrong",
            false,
        ),
        (
            "3: a body that is not gRPC",
            vec![
                html.clone(),
                Frame::data(1, "no ", false),
                Frame::data(1, "backend", true),
            ],
            "UNAVAILABLE: unexpected HTTP status code received from server: 503 (Service \
             Unavailable); transport: received unexpected content-type \"text/html\"\n\
             data: \"no backend\"",
            false,
        ),
        (
            "4: malformed grpc-status",
            vec![opening(), trailers(&[("grpc-status", "x")])],
            "UNKNOWN: transport: malformed grpc-status: x",
            false,
        ),
        (
            "5: malformed :status",
            vec![Frame::headers(1, &[(":status", "abc")], false)],
            "INTERNAL: transport: malformed http-status: \"abc\"",
            false,
        ),
        (
            "6: interim responses are passed over",
            vec![
                informational.clone(),
                informational,
                opening(),
                reply(),
                trailers(&OK),
            ],
            "OK",
            true,
        ),
        (
            "7: neither gRPC nor a body",
            vec![Frame::headers(1, &[(":status", "401")], true)],
            "UNAUTHENTICATED: unexpected HTTP status code received from server: 401 \
             (Unauthorized); malformed header: missing HTTP content-type",
            false,
        ),
    ])
    .await;
}

pub(crate) const MALFORMED: &str = "INTERNAL: received invalid headers: PROTOCOL_ERROR: malformed, as without \
     :status, informational with END_STREAM, or with fields that HTTP/2 forbids";

#[tokio::test(start_paused = true)]
async fn malformed_headers_end_their_call_and_no_other() {
    let content_type = GRPC[1];
    for (row, fields, is_last) in [
        ("6: no :status", &[content_type][..], false),
        ("6: no :status, at the end", &[content_type, OK[0]], true),
        (
            "6: an interim response at the end",
            &[(":status", "103")],
            true,
        ),
        ("two :status", &[GRPC[0], GRPC[0], content_type], false),
        (
            "a pseudo-header behind a field",
            &[content_type, GRPC[0]],
            false,
        ),
        (
            "a field of HTTP/1.1's connections",
            &[GRPC[0], content_type, ("connection", "close")],
            false,
        ),
    ] {
        let mut rig = Rig::new(&[]).await;
        let (stream, mut recv) = rig.request().await;
        let (other, mut spared) = rig.request().await;
        rig.peer.send(Frame::headers(stream, fields, is_last)).await;
        let ended = recv.message().await.unwrap_err();
        assert_eq!(ended.status.to_string(), MALFORMED, "{row}");
        assert_eq!(ended.processed, Processed::MaybeProcessed, "{row}");
        if !is_last {
            let reset = rig.peer.until(is_reset).await;
            assert_eq!(reset, Frame::Reset { stream, code: 1 }, "{row}");
        }
        rig.peer.send_all(response(other, b"spared")).await;
        assert_eq!(spared.message().await.unwrap().unwrap(), "spared", "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_body_that_is_not_grpc_1024_bytes_are_told() {
    let html = [(":status", "502"), ("content-type", "text/html")];
    for (pieces, told) in [
        (vec![1023], 1023),
        (vec![1025], 1024),
        (vec![700, 700], 1024),
    ] {
        let mut frames = vec![Frame::headers(1, &html, false)];
        frames.extend(
            pieces
                .iter()
                .map(|size| Frame::data(1, vec![b'x'; *size], false)),
        );
        frames.push(Frame::data(1, "", true));
        let (text, _) = status(&frames).await;
        let expected = format!(
            "UNAVAILABLE: unexpected HTTP status code received from server: 502 (Bad Gateway); \
             transport: received unexpected content-type \"text/html\"\ndata: \"{}\"",
            "x".repeat(told)
        );
        assert_eq!(text, expected, "{pieces:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_end_a_call_row_by_row() {
    check(&[
        (
            "8: undecodable -bin value",
            vec![opening(), trailers(&[("grpc-status", "0"), ("k-bin", "!")])],
            "INTERNAL: transport: malformed binary metadata in header \"k-bin\": not base64",
            false,
        ),
        (
            "10: trailers",
            vec![
                opening(),
                reply(),
                trailers(&[("grpc-status", "9"), ("grpc-message", "no%21")]),
            ],
            "FAILED_PRECONDITION: no!",
            true,
        ),
        (
            "10: trailers without a status",
            vec![opening(), reply(), trailers(&[("k", "v")])],
            "UNKNOWN: the server's trailers lack grpc-status",
            true,
        ),
        (
            "trailers only",
            vec![Frame::headers(
                1,
                &[GRPC[0], GRPC[1], ("grpc-status", "5")],
                true,
            )],
            "NOT_FOUND",
            false,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_without_trailers_is_internal() {
    check(&[
        (
            "END_STREAM on DATA",
            vec![opening(), Frame::data(1, message(b"reply"), true)],
            "INTERNAL: server closed the stream without sending trailers",
            true,
        ),
        (
            "END_STREAM on empty DATA right behind the headers",
            vec![opening(), Frame::data(1, "", true)],
            "INTERNAL: server closed the stream without sending trailers",
            false,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn broken_messages_end_a_call() {
    check(&[
        (
            "a message cut short, then OK",
            vec![
                opening(),
                Frame::data(1, &b"\0\0\0\0\x09cut"[..], false),
                trailers(&OK),
            ],
            "INTERNAL: unexpected EOF",
            false,
        ),
        (
            "a message cut short, then another status",
            vec![
                opening(),
                Frame::data(1, &b"\0\0\0"[..], false),
                trailers(&[("grpc-status", "1")]),
            ],
            "CANCELLED",
            false,
        ),
        (
            "a message of unknown form",
            vec![opening(), Frame::data(1, &b"\x02\0\0\0\0"[..], false)],
            "INTERNAL: grpc: received unexpected payload format 2",
            false,
        ),
        (
            "a compressed message that nobody announced",
            vec![opening(), Frame::data(1, &b"\x01\0\0\0\x01x"[..], false)],
            "INTERNAL: grpc: compressed flag set with identity or empty encoding",
            false,
        ),
        (
            "a message over the limit, known by its prefix",
            vec![opening(), Frame::data(1, &b"\0\xff\xff\xff\xff"[..], false)],
            "RESOURCE_EXHAUSTED: grpc: received message larger than max (4294967295 vs. 4194304)",
            false,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_a_call_by_its_code() {
    for (code, expected) in [
        (0, Code::Internal),
        (1, Code::Internal),
        (2, Code::Internal),
        (3, Code::Internal),
        (4, Code::Internal),
        (5, Code::Internal),
        (6, Code::Internal),
        (7, Code::Unavailable),
        (8, Code::Cancelled),
        (9, Code::Internal),
        (10, Code::Internal),
        (11, Code::ResourceExhausted),
        (12, Code::PermissionDenied),
        (13, Code::Internal),
        (99, Code::Unknown),
    ] {
        let (_, end) = Rig::outcome(&[Frame::Reset { stream: 1, code }]).await;
        let ended = end.unwrap_err();
        assert_eq!(ended.status.code(), expected, "{code}: {}", ended.status);
        assert_eq!(ended.reset.map(u32::from), Some(code));
        let unprocessed = ended.processed == Processed::Unprocessed;
        assert_eq!(unprocessed, code == 7, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_amid_a_message_keeps_its_own_status_and_delivers_no_part() {
    let frames = [
        opening(),
        Frame::data(1, &b"\0\0\0\0\x09cut"[..], false),
        Frame::Reset { stream: 1, code: 8 },
    ];
    let (text, has_message) = status(&frames).await;
    assert!(text.starts_with("CANCELLED: ") && !has_message, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_behind_the_trailers_changes_nothing() {
    let mut frames = response(1, b"reply").to_vec();
    frames.push(Frame::Reset { stream: 1, code: 0 });
    assert_eq!(status(&frames).await, ("OK".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_early_is_told_to_expect_no_more() {
    let mut rig = Rig::new(&[]).await;
    let (mut send, mut recv) = rig.open().await;
    send.send(message(b"first"), false).await.unwrap();
    let stream = rig.peer.headers().await;
    let only = [
        GRPC[0],
        GRPC[1],
        ("grpc-status", "7"),
        ("grpc-message", "not you"),
    ];
    rig.peer.send(Frame::headers(stream, &only, true)).await;
    let waiting = send.stopped();
    let ended = recv.message().await.unwrap_err();
    assert_eq!(ended.status.to_string(), "PERMISSION_DENIED: not you");
    waiting.await;
    assert!(send.send(message(b"second"), true).await.is_err());
    let reset = rig
        .peer
        .until(|frame| matches!(frame, Frame::Reset { .. }))
        .await;
    assert_eq!(reset, Frame::Reset { stream, code: 0 });
    assert_eq!(rig.connection.streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn e6_oversize_trailers_never_pass_for_ok() {
    for (size, status_first) in [
        (20_000, false),
        (20_000, true),
        (100_000, false),
        (100_000, true),
    ] {
        let mut rig = Rig::with(&[], ClientOptions::default()).await;
        let (_, mut recv) = rig.request().await;
        rig.peer.send(opening()).await;
        rig.peer.send(reply()).await;
        let pieces: Vec<_> = (0..size / 1000)
            .map(|n| (format!("k{n}"), "x".repeat(1000)))
            .collect();
        let mut fields: Vec<_> = pieces
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        fields.insert(if status_first { 0 } else { fields.len() }, OK[0]);
        send_headers_in_pieces(&mut rig, &fields).await;
        assert!(recv.message().await.unwrap().is_some());
        let ended = recv.message().await.unwrap_err();
        assert_eq!(
            ended.status.to_string(),
            "RESOURCE_EXHAUSTED: peer header list size exceeded limit (16384 bytes)",
            "{size} {status_first}"
        );
        rig.request().await;
    }
}

#[tokio::test(start_paused = true)]
async fn oversize_headers_end_the_call_and_spare_the_connection() {
    for (size, text) in [
        (
            20_000,
            "RESOURCE_EXHAUSTED: peer header list size exceeded limit (16384 bytes)",
        ),
        (
            100_000,
            "INTERNAL: received invalid headers: PROTOCOL_ERROR: peer header list size exceeded \
             limit by far, or the headers are malformed",
        ),
    ] {
        let mut rig = Rig::new(&[]).await;
        let (_, mut recv) = rig.request().await;
        let pieces: Vec<_> = (0..size / 1000)
            .map(|n| (format!("k{n}"), "x".repeat(1000)))
            .collect();
        let fields = GRPC.into_iter();
        let fields: Vec<_> = fields
            .chain(pieces.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .collect();
        let frames = split_headers(1, &fields, false);
        rig.peer.send_all(frames).await;
        let ended = recv.headers().await.unwrap_err();
        assert_eq!(ended.status.to_string(), text);
        assert_eq!(ended.processed, Processed::MaybeProcessed);
        rig.request().await;
    }
}

async fn send_headers_in_pieces(rig: &mut Rig, fields: &[(&str, &str)]) {
    rig.peer.send_all(split_headers(1, fields, true)).await;
    settle().await;
}

/// HEADERS and CONTINUATIONs of at most 16 KiB.
fn split_headers(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<Frame> {
    let block = highball_testkit::peer::header_block(fields);
    let chunks: Vec<_> = block.chunks(16_000).collect();
    let last = chunks.len() - 1;
    let frames = chunks
        .iter()
        .enumerate()
        .map(|(index, chunk)| Frame::Other {
            kind: if index == 0 { 1 } else { 9 },
            flags: u8::from(end && index == 0) | if index == last { 4 } else { 0 },
            stream,
            payload: bytes::Bytes::copy_from_slice(chunk),
        });
    frames.collect()
}

#[tokio::test(start_paused = true)]
async fn e6_trailers_that_lost_one_huge_field_do_not_pass_for_ok() {
    for size in [66_000, 70_000, 79_000] {
        let mut rig = Rig::new(&[]).await;
        let (_, mut recv) = rig.request().await;
        rig.peer.send(opening()).await;
        rig.peer.send(reply()).await;
        let huge = "x".repeat(size);
        send_headers_in_pieces(&mut rig, &[OK[0], ("k", &huge)]).await;
        assert!(recv.message().await.unwrap().is_some());
        let ended = recv.message().await.unwrap_err();
        assert_eq!(
            ended.status.code(),
            Code::ResourceExhausted,
            "{}",
            ended.status
        );
    }
}
