//! A server that sends anything: every call ends, nothing panics, nothing is left.

use std::time::Duration;

use bytes::Bytes;
use highball_testkit::LeakCheck;
use highball_testkit::peer::{Frame, header_block};
use proptest::prelude::*;

use crate::rig::{Rig, message, response};

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30).prop_map(Bytes::from),
        Just(message(b"reply")),
        Just(message(&[7; 3000])),
    ]
}

fn block() -> impl Strategy<Value = Bytes> {
    let field = prop_oneof![
        Just((":status", "200")),
        Just((":status", "103")),
        Just((":status", "503")),
        Just(("content-type", "application/grpc")),
        Just(("content-type", "text/html")),
        Just(("content-length", "7")),
        Just(("grpc-status", "0")),
        Just(("grpc-status", "5")),
        Just(("grpc-status", "zero")),
        Just(("grpc-message", "%41%")),
        Just(("grpc-encoding", "gzip")),
        Just(("k-bin", "!!")),
        Just(("connection", "close")),
    ];
    prop_oneof![
        3 => prop::collection::vec(field, 0..5).prop_map(|fields| header_block(&fields)),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let stream = prop_oneof![8 => Just(1), 3 => Just(3), 1 => any::<u32>()];
    let code = prop_oneof![0..15_u32, any::<u32>()];
    prop_oneof![
        4 => (stream.clone(), payload(), any::<bool>(), 0..20_u8).prop_map(
            |(stream, data, end, padding)| Frame::Data { stream, data, end, padding }),
        4 => (stream.clone(), block(), any::<bool>()).prop_map(
            |(stream, block, end)| Frame::Headers { stream, block, end }),
        1 => (stream.clone(), code.clone()).prop_map(
            |(stream, code)| Frame::Reset { stream, code }),
        1 => prop::collection::vec((0..8_u16, any::<u32>()), 0..4).prop_map(Frame::Settings),
        1 => Just(Frame::SettingsAck),
        1 => (any::<bool>(), any::<[u8; 8]>()).prop_map(
            |(ack, payload)| Frame::Ping { ack, payload }),
        1 => (0..8_u32, code).prop_map(|(last_stream, code)| Frame::GoAway {
            last_stream, code, debug: Bytes::from_static(b"debug") }),
        1 => (stream.clone(), any::<u32>()).prop_map(
            |(stream, increment)| Frame::WindowUpdate { stream, increment }),
        1 => (any::<u8>(), any::<u8>(), stream, payload()).prop_map(
            |(kind, flags, stream, payload)| Frame::Other { kind, flags, stream, payload }),
    ]
}

/// Two calls, then what the server sends, cut into pieces; the server stays for a second.
async fn run(frames: &[Frame], cuts: &[usize]) {
    let leaks = LeakCheck::start();
    let mut rig = Rig::new(&[]).await;
    let (_, first) = rig.request().await;
    let (mut send, second) = rig.open().await;
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend_from_slice(&frame.encode());
    }
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let calls = [first, second].map(|mut recv| {
        tokio::spawn(async move {
            while let Ok(Some(payload)) = recv.message().await {
                assert!(payload.len() <= 1 << 20);
            }
            let again = recv.message().await;
            assert!(!matches!(again, Ok(Some(_))));
        })
    });
    let sending = tokio::spawn(async move {
        let _ = send.send(message(&[1; 100_000]), false).await;
    });
    for cut in cuts.windows(2) {
        rig.peer.send_bytes(&bytes[cut[0]..cut[1]]).await;
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(rig.peer);
    for task in calls.into_iter().chain([sending]) {
        let ended = tokio::time::timeout(Duration::from_secs(5), task).await;
        ended.expect("every call ends").unwrap();
    }
    assert_eq!(rig.connection.streams(), 0);
    drop(rig.connection);
    leaks.finish().await;
}

fn paused(run: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(run);
}

proptest! {
    #[test]
    fn any_frames(
        frames in prop::collection::vec(frame(), 0..15),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        paused(run(&frames, &cuts));
    }

    #[test]
    fn a_good_response_however_it_is_cut(cuts in prop::collection::vec(any::<usize>(), 0..100)) {
        paused(run(&response(1, &[9; 2000]), &cuts));
    }
}
