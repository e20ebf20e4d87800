//! Whatever a client writes: no panic, no hang, nothing left, and the next client is served.

use std::time::Duration;

use crate::support::raw::{self, DATA, HEADERS, RST_STREAM};
use crate::support::{World, settle};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Frames that are well formed enough to get somewhere.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop_oneof!["Echo", "Chat", "Collect", "Count", "Fail", "Nope"]
            .prop_map(|name| raw::call(&name)),
        "[a-z]{0,9}".prop_map(|text| crate::support::client::framed(&text).to_vec()),
        Just(vec![0; 8]),
        Just(vec![0, 0, 0, 8]),
        Just(vec![]),
    ];
    let kind = prop_oneof![
        4 => Just(HEADERS),
        4 => Just(DATA),
        1 => Just(RST_STREAM),
        1 => any::<u8>(),
        2 => 0..10_u8,
    ];
    let flags = prop_oneof![Just(0), Just(1), Just(4), Just(5), any::<u8>()];
    let stream = prop_oneof![0..12_u32, Just(1), Just(3), any::<u32>()];
    let frame = (kind, flags, stream, payload);
    let frame =
        frame.prop_map(|(kind, flags, stream, payload)| raw::frame(kind, flags, stream, &payload));
    prop::collection::vec(frame, 0..30).prop_map(|frames| frames.concat())
}

fn serve(bytes: Vec<u8>, cut: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let world = World::new();
        let mut peer = raw::Peer::silent(&world.network).await;
        let (first, rest) = bytes.split_at(cut.min(bytes.len()));
        for piece in [first, rest] {
            // The server may have enough of it before it has all.
            let written = tokio::time::timeout(Duration::from_secs(60), peer.io.write_all(piece));
            let _ = written.await.expect("the server reads or closes");
            settle().await;
        }
        let _ = peer.io.shutdown().await;
        let mut reply = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), peer.io.read_to_end(&mut reply));
        let _ = read.await.expect("the server closes");
        drop(peer);
        let client = world.client().await;
        let echo = client.unary("Echo", &"on".to_owned()).await;
        assert_eq!(echo.message::<String>(), "on");
        drop(client);
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_frames_are_survived(frames in frames(), cut in 0..600_usize) {
        let settings = raw::frame(raw::SETTINGS, 0, 0, &[]);
        serve([raw::PREFACE, &settings, &frames].concat(), cut);
    }

    #[test]
    fn arbitrary_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        preface: bool,
        cut in 0..100_usize,
    ) {
        let preface = if preface { raw::PREFACE } else { b"" };
        serve([preface, &bytes].concat(), cut);
    }
}
