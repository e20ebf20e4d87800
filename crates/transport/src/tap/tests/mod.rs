//! The tap between a peer in memory and a reader and writer in h2's place.

mod boundaries;

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::memory::MemoryNetwork;
use crate::{Connector as _, MemoryListener};

async fn pair(role: Role) -> (Tap, TapHandle, BoxIo) {
    let network = MemoryNetwork::new();
    let mut listener: MemoryListener = network.listen("a");
    let near = network.connect(&"a".into()).await.unwrap();
    let (tap, handle) = tap(near, role);
    (tap, handle, listener.accept().await.unwrap())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn flush(handle: &TapHandle) {
    std::future::poll_fn(|cx| handle.poll_flush(cx)).await;
}

#[tokio::test]
async fn facts_are_there_before_the_bytes_are_handed_on() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    let settings = [0, 3, 0, 0, 0, 7, 0, 6, 0, 0, 1, 0];
    let mut bytes = frame(4, 0, 0, &settings);
    bytes.extend(frame(6, 0, 0, &[0; 8]));
    bytes.extend(frame(3, 0, 1, &[0; 4]));
    bytes.extend(frame(7, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0max_age"));
    peer.write_all(&bytes).await.unwrap();
    assert_eq!(tap.read_u8().await.unwrap(), 0);
    let facts = handle.facts();
    assert!(facts.settings_seen());
    assert_eq!(facts.max_concurrent_streams(), 7);
    assert_eq!(facts.max_header_list_size(), 256);
    assert_eq!(facts.initial_window_size(), 65_535);
    assert_eq!((facts.pings_received(), facts.resets_received()), (1, 1));
    assert_eq!(facts.goaway().unwrap().debug[..], *b"max_age");
}

#[tokio::test]
async fn a_malformed_status_is_known_before_its_last_byte_is_handed_on() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    let facts = handle.facts();
    let reply = frame(1, 4, 3, b"\x48\x0220");
    let (start, last) = reply.split_at(reply.len() - 1);
    peer.write_all(&[&SETTINGS, start].concat()).await.unwrap();
    tap.read_exact(&mut vec![0; SETTINGS.len() + start.len()])
        .await
        .unwrap();
    assert_eq!(facts.malformed_status(None), None);
    peer.write_all(last).await.unwrap();
    tap.read_u8().await.unwrap();
    assert_eq!(facts.malformed_status(Some(3)).unwrap(), "\"20\"");
    assert_eq!(facts.malformed_status(None).unwrap(), "\"20\"");
    assert_eq!(facts.malformed_status(Some(5)), None);
    assert!(!facts.has_ended(), "that is for h2 to say");
}

#[tokio::test]
async fn of_malformed_statuses_only_so_many_are_remembered() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    let replies = (0..1000).flat_map(|call| frame(1, 4, 2 * call + 1, b"\x48\x0220"));
    let bytes: Vec<_> = SETTINGS.into_iter().chain(replies).collect();
    peer.write_all(&bytes).await.unwrap();
    tap.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
    let known = |stream| handle.facts().malformed_status(Some(stream)).is_some();
    assert_eq!((known(1), known(255), known(257)), (true, true, false));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_after_a_burst_and_a_quiet_time_ends_well() {
    let (mut tap, _handle, mut peer) = pair(Role::Client).await;
    peer.write_all(&SETTINGS).await.unwrap();
    let burst = frame(0, 0, 1, &vec![0; 60_000]);
    for _ in 0..4 {
        peer.write_all(&burst).await.unwrap();
        let mut all = vec![0; burst.len()];
        tap.read_exact(&mut all).await.unwrap();
    }
    tap.read_exact(&mut [0; SETTINGS.len()]).await.unwrap();
    for _ in 0..2 {
        let quiet = tokio::time::timeout(Duration::from_secs(1), tap.read_u8());
        assert!(quiet.await.is_err());
    }
    drop(peer);
    assert_eq!(tap.read(&mut [0; 64]).await.unwrap(), 0);
}

#[tokio::test]
async fn writes_are_gathered_until_the_flush_and_only_then_count_as_sent() {
    let (mut tap, handle, mut peer) = pair(Role::Server).await;
    for stream in [1, 3] {
        tap.write_all(&frame(1, 4, stream, b"hpack")).await.unwrap();
        tap.write_all(&frame(0, 1, stream, b"data")).await.unwrap();
        tap.flush().await.unwrap();
    }
    assert!(handle.has_unwritten());
    assert_eq!(handle.facts().headers_sent(), 0);
    flush(&handle).await;
    assert_eq!(handle.facts().headers_sent(), 3);
    assert_eq!(handle.facts().progress_sent(), 4);
    let mut bytes = [0; 100];
    let count = peer.read(&mut bytes).await.unwrap();
    assert_eq!(count, 2 * (9 + 5 + 9 + 4), "all in one write");
}

#[tokio::test]
async fn the_buffer_is_bounded_when_the_peer_does_not_read() {
    let (mut tap, handle, mut peer) = pair(Role::Server).await;
    let frame = frame(0, 0, 1, &[7; 16_000]);
    let mut accepted = 0;
    let waits = std::future::poll_fn(|cx| {
        while let Poll::Ready(count) = Pin::new(&mut tap).poll_write(cx, &frame) {
            accepted += count.unwrap();
        }
        Poll::Ready(())
    });
    waits.await;
    assert!(accepted <= 128 * 1024, "pipe and buffer: {accepted}");
    let mut bytes = vec![0; 64 * 1024];
    peer.read_exact(&mut bytes).await.unwrap();
    tap.write_all(&frame).await.unwrap();
    assert!(handle.has_unwritten());
}

#[tokio::test]
async fn the_server_must_start_with_settings() {
    for (bytes, text) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "the server answers in HTTP/1.1, not in HTTP/2: \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            &frame(7, 0, 0, &[0; 8]),
            "initial http2 frame from server is not a settings frame: GOAWAY",
        ),
        (
            &[0, 0, 0, 4, 1, 0, 0, 0, 0],
            "initial http2 frame from server is not a settings frame: SETTINGS",
        ),
    ] {
        let (mut tap, handle, mut peer) = pair(Role::Client).await;
        peer.write_all(bytes).await.unwrap();
        let error = tap.read_u8().await.unwrap_err();
        assert_eq!(error.to_string(), text);
        let Some(WireEnd::Violation(violation)) = handle.facts().end() else {
            panic!("no violation");
        };
        assert!(violation.in_preface && violation.code == Reason::PROTOCOL_ERROR);
    }
}

#[tokio::test]
async fn goaway_ids_are_odd_and_never_rise() {
    let goaway = |id: u8| frame(7, 0, 0, &[0, 0, 0, id, 0, 0, 0, 0]);
    for (ids, text) in [
        (&[5, 3, 3, 0][..], ""),
        (
            &[4],
            "received goaway with non-zero even-numbered stream id: 4",
        ),
        (
            &[3, 5],
            "received goaway with stream id: 5, which exceeds stream id of previous goaway: 3",
        ),
    ] {
        let (mut tap, handle, mut peer) = pair(Role::Client).await;
        peer.write_all(&SETTINGS).await.unwrap();
        for id in ids {
            peer.write_all(&goaway(*id)).await.unwrap();
        }
        drop(peer);
        let read = tap.read_to_end(&mut Vec::new()).await;
        let found = read
            .err()
            .map_or_else(String::new, |error| error.to_string());
        assert_eq!(found, text);
        assert!(
            handle
                .facts()
                .goaway()
                .is_some_and(|goaway| goaway.last_stream < 5)
                || ids == [4]
        );
    }
}

#[tokio::test]
async fn a_clients_goaway_is_not_judged() {
    let (mut tap, _handle, mut peer) = pair(Role::Server).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(SETTINGS);
    bytes.extend(frame(7, 0, 0, &[0, 0, 0, 4, 0, 0, 0, 0]));
    peer.write_all(&bytes).await.unwrap();
    drop(peer);
    tap.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_flood_ends_the_connection() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    peer.write_all(&SETTINGS).await.unwrap();
    peer.write_all(&frame(6, 0, 0, &[0; 8]).repeat(101))
        .await
        .unwrap();
    let error = tap.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "too_many_pings");
    let Some(WireEnd::Violation(violation)) = handle.facts().end() else {
        panic!("no violation");
    };
    assert_eq!(violation.code, Reason::ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_goaway_of_ours_goes_between_frames_or_not_at_all() {
    let (mut tap, handle, mut peer) = pair(Role::Server).await;
    let whole = frame(6, 0, 0, &[0; 8]);
    tap.write_all(&whole).await.unwrap();
    let debug = Bytes::from_static(b"bye");
    assert!(handle.push_goaway(7, Reason::NO_ERROR, &debug));
    tap.write_all(&whole[..5]).await.unwrap();
    assert!(!handle.push_goaway(7, Reason::NO_ERROR, &debug));
    flush(&handle).await;
    let mut bytes = vec![0; 17 + 9 + 8 + 3];
    peer.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes[17..], frame(7, 0, 0, b"\0\0\0\x07\0\0\0\0bye"));
}

#[tokio::test]
async fn what_came_before_a_failed_write_is_still_read() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    peer.write_all(&SETTINGS).await.unwrap();
    drop(peer);
    tap.write_all(b"x").await.unwrap();
    flush(&handle).await;
    assert!(handle.is_write_broken());
    let mut bytes = Vec::new();
    tap.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, SETTINGS);
    assert!(matches!(handle.facts().end(), Some(WireEnd::Write(_))));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_last_byte_is_kept() {
    let (mut tap, handle, mut peer) = pair(Role::Client).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    peer.write_all(&SETTINGS[..4]).await.unwrap();
    tap.read_u8().await.unwrap();
    let read_at = Instant::now();
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(handle.facts().last_read(), read_at);
}

proptest! {
    #[test]
    fn bytes_pass_unchanged_or_not_at_all(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..10),
        server: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let role = if server { Role::Server } else { Role::Client };
            let (mut tap, _handle, mut peer) = pair(role).await;
            let mut sent = Vec::new();
            for piece in &pieces {
                peer.write_all(piece).await.unwrap();
                sent.extend(piece);
            }
            drop(peer);
            let mut got = Vec::new();
            let read = tap.read_to_end(&mut got).await;
            assert!(sent.starts_with(&got) && (read.is_err() || got == sent));
        });
    }
}
