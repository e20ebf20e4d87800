//! A reply whose `:status` is no HTTP status. h2 ends the connection over it: the call that was answered so is told
//! what it was answered, and all others that the connection is lost, and by what.

use bytes::Bytes;
use highball_testkit::peer::{Frame, header_block};
use highball_transport::client::{Ended, Processed, RecvHalf};
use proptest::prelude::*;

use crate::rig::{GRPC, OK, Rig, message, response, settle};

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// `abc`, raw and as HPACK's Huffman codes.
const ABC: &[u8] = b"\x03abc";
const ABC_CODES: &[u8] = b"\x82\x1c\x64";

const STATUS: &[u8] = b"\x07:status";
const STATUS_CODES: &[u8] = b"\x85\xb8\x84\x8d\x36\xa3";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[&[u8]]) -> Frame {
    Frame::Other {
        kind,
        flags,
        stream,
        payload: payload.concat().into(),
    }
}

/// HEADERS with these bytes in front of what any reply says, which has not ended.
fn headers(stream: u32, front: &[&[u8]]) -> Frame {
    let rest = header_block(&GRPC[1..]);
    frame(HEADERS, END_HEADERS, stream, &[&front.concat(), &rest])
}

/// What is told to the call that is answered with this `:status`, and what to the others.
fn told(value: &str) -> (String, String) {
    (
        format!("INTERNAL: transport: malformed http-status: {value}"),
        format!(
            "UNAVAILABLE: connection to server: the server broke HTTP/2: PROTOCOL_ERROR in a reply's :status, {value}"
        ),
    )
}

const WITHOUT_CULPRIT: &str =
    "UNAVAILABLE: connection to server: the server broke HTTP/2: PROTOCOL_ERROR";

/// Two calls, and how they end when the server sends this on the stream of the first.
async fn ends(frames: impl FnOnce(u32) -> Vec<Frame>) -> (Rig, [Ended; 2]) {
    let mut rig = Rig::new(&[]).await;
    let (stream, recv) = rig.request().await;
    let (_, other) = rig.request().await;
    rig.peer.send_all(frames(stream)).await;
    let ended = [end(recv).await, end(other).await];
    (rig, ended)
}

async fn end(mut recv: RecvHalf) -> Ended {
    recv.message().await.unwrap_err()
}

/// The first of two calls is answered with a `:status` that reads so.
async fn is_malformed(what: &str, frame: impl FnOnce(u32) -> Frame, value: &str) {
    let (mut rig, ended) = ends(|stream| vec![frame(stream)]).await;
    let [answered, lost] = &ended;
    let texts = (answered.status.to_string(), lost.status.to_string());
    assert_eq!(texts, told(value), "{what}");
    for ended in &ended {
        assert_eq!(ended.processed, Processed::MaybeProcessed, "{what}");
        assert_eq!(ended.reset, None, "{what}");
    }
    let rest = rig.peer.rest().await;
    let last = rest.last();
    assert!(
        matches!(last, Some(Frame::GoAway { code: 1, .. })),
        "{what}: {rest:?}"
    );
    assert!(rig.connection.slot().await.is_err(), "{what}");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_write_it_is_told_to_its_call() {
    for (kind, indexing) in [
        (0x00, "not indexed"),
        (0x10, "never indexed"),
        (0x40, "indexed"),
    ] {
        for (how, value) in [("raw", ABC), ("in codes", ABC_CODES)] {
            for index in 8..=14 {
                let what = format!("{index}, {indexing}, {how}");
                let field = |stream| headers(stream, &[&[kind | index], value]);
                is_malformed(&what, field, "\"abc\"").await;
            }
            for name in [STATUS, STATUS_CODES] {
                let what = format!("{name:x?}, {indexing}, {how}");
                let field = |stream| headers(stream, &[&[kind], name, value]);
                is_malformed(&what, field, "\"abc\"").await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_frame_has_in_front_of_it_is_passed_over() {
    let field = [b"\x48", ABC].concat();
    let end = END_HEADERS | END_STREAM;
    let rows: [(&str, u8, &[&[u8]]); 6] = [
        ("the end", end, &[&field]),
        ("padding", end | PADDED, &[b"\x02", &field, b"\0\0"]),
        ("no padding", end | PADDED, &[b"\0", &field]),
        ("a priority", end | PRIORITY, &[b"\x80\0\0\x03\xff", &field]),
        (
            "padding and a priority",
            end | PADDED | PRIORITY,
            &[b"\x01", b"\0\0\0\0\x10", &field, b"\0"],
        ),
        (
            "changes of the table's size",
            end,
            &[b"\x20", b"\x3f\xe1\x1f", &field],
        ),
    ];
    for (what, flags, payload) in rows {
        let reply = |stream| frame(HEADERS, flags, stream, payload);
        is_malformed(what, reply, "\"abc\"").await;
    }
    // With the field whole, it does not matter that the block goes on.
    let reply = |stream| frame(HEADERS, 0, stream, &[&field]);
    is_malformed("the beginning", reply, "\"abc\"").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_three_digits_from_100_on_is_malformed() {
    let long = "x".repeat(300);
    for (value, shown) in [
        ("", r#""""#),
        ("2000", r#""2000""#),
        ("20", r#""20""#),
        ("+20", r#""+20""#),
        ("099", r#""099""#),
        ("000", r#""000""#),
        (" 200", r#"" 200""#),
        ("200 OK", r#""200 OK""#),
        ("2\u{0}0", r#""2\x000""#),
        ("\"\n\\\u{e9}", r#""\"\n\\\xc3\xa9""#),
        (&long[..32], &format!("\"{}\"", &long[..32])),
        (&long[..33], &format!("\"{}…\"", &long[..32])),
        (&long, &format!("\"{}…\"", &long[..32])),
    ] {
        let reply = |stream| Frame::headers(stream, &[(":status", value), GRPC[1]], false);
        is_malformed(value, reply, shown).await;
    }
}

#[tokio::test(start_paused = true)]
async fn codes_that_are_no_text_are_shown_as_far_as_they_are() {
    for (what, value, shown) in [
        ("nothing", &b"\x80"[..], r#""""#),
        ("2000", b"\x83\x10\x00\x0f", r#""2000""#),
        ("padding of zeros", b"\x82\x10\x00", r#""200…""#),
        ("padding of a byte", b"\x83\x10\x01\xff", r#""200…""#),
        ("a backslash", b"\x83\x1f\xff\xf0", r#""a…""#),
    ] {
        let reply = |stream| headers(stream, &[b"\x08", value]);
        is_malformed(what, reply, shown).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_bytes_are_cut_makes_no_difference() {
    let plain = headers(1, &[b"\x48", ABC]);
    let flags = END_HEADERS | PADDED | PRIORITY;
    let name = [b"\x40", STATUS_CODES, ABC_CODES].concat();
    let payload: [&[u8]; 3] = [b"\x01\0\0\0\0\x10", &name, b"\0"];
    for frame in [plain, frame(HEADERS, flags, 1, &payload)] {
        let bytes = frame.encode();
        for cut in 1..bytes.len() {
            cut_into(&[&bytes[..cut], &bytes[cut..]]).await;
        }
        let bytes: Vec<_> = bytes.chunks(1).collect();
        cut_into(&bytes).await;
    }
}

async fn cut_into(pieces: &[&[u8]]) {
    let mut rig = Rig::new(&[]).await;
    let (_, recv) = rig.request().await;
    for piece in pieces {
        rig.peer.send_bytes(piece).await;
        settle().await;
    }
    let ended = end(recv).await;
    assert_eq!(ended.status.to_string(), told("\"abc\"").0, "{pieces:x?}");
}

#[tokio::test(start_paused = true)]
async fn in_trailers_too_it_is_told_to_its_call() {
    let (_, [answered, lost]) = ends(|stream| {
        vec![
            Frame::headers(stream, &GRPC, false),
            Frame::headers(stream, &[(":status", "abc"), OK[0]], true),
        ]
    })
    .await;
    let texts = (answered.status.to_string(), lost.status.to_string());
    assert_eq!(texts, told("\"abc\""));
}

/// Whoever was answered so before h2 saw the first of them was answered so.
#[tokio::test(start_paused = true)]
async fn replies_that_come_together_are_told_each_to_its_call() {
    let mut rig = Rig::new(&[]).await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(rig.request().await);
    }
    let [before, first, between, second, _silent] = &calls[..] else {
        unreachable!("there are five");
    };
    let mut frames = response(before.0, b"reply").to_vec();
    frames.push(headers(first.0, &[b"\x48", ABC]));
    frames.extend(response(between.0, b"reply"));
    frames.push(headers(second.0, &[b"\x48\x0220"]));
    rig.peer.send_all(frames).await;
    let mut outcomes = Vec::new();
    for (_, mut recv) in calls {
        let text = match recv.message().await {
            Ok(message) => format!("{:?}", message.unwrap()),
            Err(ended) => ended.status.to_string(),
        };
        outcomes.push((text, recv.has_answered()));
    }
    let (malformed, lost) = told("\"abc\"");
    assert_eq!(
        outcomes,
        [
            ("b\"reply\"".to_owned(), true),
            (malformed, true),
            (lost.clone(), false),
            (told("\"20\"").0, true),
            (lost, false),
        ]
    );
}

/// To find these takes HPACK's table, or all of its strings.
#[tokio::test(start_paused = true)]
async fn where_it_is_not_looked_for_every_call_hears_of_the_connection() {
    let field = [b"\x48", ABC].concat();
    let grpc = header_block(&GRPC[1..]);
    type Reply = Box<dyn Fn(u32) -> Vec<Frame>>;
    let in_one = |payload: Vec<u8>| -> Reply {
        Box::new(move |stream| vec![frame(HEADERS, END_HEADERS, stream, &[&payload])])
    };
    let cut = field.clone();
    let rows: [(&str, Reply); 3] = [
        ("behind another field", in_one([&grpc, &field[..]].concat())),
        (
            "under a name that the server has added to the table",
            // The table's newest is 62: 15 and a byte.
            in_one([b"\x48\x03418\x0f\x2f", ABC].concat()),
        ),
        (
            "in two frames",
            Box::new(move |stream| {
                vec![
                    frame(HEADERS, 0, stream, &[&cut[..3]]),
                    frame(CONTINUATION, END_HEADERS, stream, &[&cut[3..]]),
                ]
            }),
        ),
    ];
    for (what, reply) in rows {
        let (_, ended) = ends(reply).await;
        for ended in ended {
            assert_eq!(ended.status.to_string(), WITHOUT_CULPRIT, "{what}");
        }
    }
}

/// It is not even read, and a connection that is lost later is not lost by it.
#[tokio::test(start_paused = true)]
async fn of_a_stream_that_depends_on_itself_it_ends_no_connection() {
    let mut rig = Rig::new(&[]).await;
    let (_, recv) = rig.request().await;
    let (other, mut spared) = rig.request().await;
    let priority = b"\x80\0\0\x01\x10";
    let payload: [&[u8]; 3] = [priority, b"\x08", ABC];
    let reply = frame(HEADERS, END_HEADERS | PRIORITY, 1, &payload);
    rig.peer.send(reply).await;
    let ended = end(recv).await;
    let text = ended.status.to_string();
    assert!(
        text.starts_with("INTERNAL: received invalid headers"),
        "{text}"
    );
    let data = Frame::data(other, message(b"spared"), false);
    let opening = Frame::headers(other, &GRPC, false);
    rig.peer.send_all([opening, data]).await;
    assert_eq!(spared.message().await.unwrap().unwrap(), "spared");
    // DATA of no stream.
    rig.peer.send(Frame::data(0, "", false)).await;
    assert_eq!(end(spared).await.status.to_string(), WITHOUT_CULPRIT);
}

/// A string of HPACK.
fn string(is_huffman: bool, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 127);
    [&[u8::from(is_huffman) << 7 | length], bytes].concat()
}

/// Digits as HPACK's codes, filled up with ones.
fn codes(digits: &[u8]) -> Vec<u8> {
    let mut bits = String::new();
    for digit in digits {
        bits += &match digit {
            0..=2 => format!("{digit:05b}"),
            _ => format!("{:06b}", 0x19 + digit - 3),
        };
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let bytes = bits.as_bytes().chunks(8);
    bytes
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let digits = || prop::collection::vec(0..10_u8, 0..5);
    prop_oneof![
        "[0-9]{0,4}".prop_map(|text| string(false, text.as_bytes())),
        "[ -~]{0,4}".prop_map(|text| string(false, text.as_bytes())),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| string(false, &bytes)),
        digits().prop_map(|digits| string(true, &codes(&digits))),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| string(true, &bytes)),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| string(true, &bytes)),
    ]
}

/// HEADERS that begin with a `:status`, spelled out, in any way.
fn reply() -> impl Strategy<Value = Frame> {
    let name = prop_oneof![
        (8..=14_u8).prop_map(|index| (index, &b""[..])),
        Just((0, STATUS)),
        Just((0, STATUS_CODES)),
    ];
    let sizes = prop_oneof![
        4 => Just(&b""[..]),
        1 => Just(&b"\x20"[..]),
        1 => Just(&b"\x3e\x3f\xe1\x1f"[..]),
    ];
    let indexing = prop_oneof![Just(0x00), Just(0x10), Just(0x40)];
    let padding = prop::option::of(any::<u8>());
    let priority = prop::option::of(2..9_u32);
    let rest = any::<bool>();
    (sizes, indexing, name, value(), padding, priority, rest).prop_map(
        |(sizes, indexing, (index, name), value, padding, priority, rest)| {
            let mut flags = END_HEADERS | END_STREAM;
            let mut payload = Vec::new();
            if let Some(padding) = padding {
                flags |= PADDED;
                payload.push(padding);
            }
            if let Some(dependency) = priority {
                flags |= PRIORITY;
                payload.extend(dependency.to_be_bytes());
                payload.push(7);
            }
            payload.extend([sizes, &[indexing | index], name, &value].concat());
            if rest {
                payload.extend(header_block(&[GRPC[1], OK[0]]));
            }
            payload.extend(vec![0; usize::from(padding.unwrap_or(0))]);
            frame(HEADERS, flags, 1, &[&payload])
        },
    )
}

/// How a call ends that is answered like this, and whether the connection does.
async fn judged(reply: Frame, cut: usize) -> (String, bool) {
    let mut rig = Rig::new(&[]).await;
    let (_, mut recv) = rig.request().await;
    let bytes: Bytes = reply.encode();
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    rig.peer.send_bytes(head).await;
    settle().await;
    rig.peer.send_bytes(tail).await;
    settle().await;
    let text = match recv.message().await {
        Ok(message) => format!("{message:?}"),
        Err(ended) => ended.status.to_string(),
    };
    (text, rig.connection.slot().await.is_err())
}

proptest! {
    /// What h2 makes of a `:status`, and what is made of it here.
    #[test]
    fn a_status_is_malformed_if_and_only_if_h2_ends_the_connection(reply in reply(), cut in 0..200_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (text, is_over) = runtime.block_on(judged(reply.clone(), cut));
        let is_malformed = text.starts_with("INTERNAL: transport: malformed http-status: ");
        prop_assert_eq!(is_malformed, is_over, "{}", text);
        prop_assert!(!text.starts_with("UNAVAILABLE: connection"), "{}", text);
    }
}
