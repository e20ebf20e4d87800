//! Windows, slots and cancellation: nothing is lost, nothing is held up, nothing is left behind.

use std::time::Duration;

use highball_testkit::peer::Frame;
use highball_transport::Windows;
use highball_transport::client::{ClientOptions, Closed, Lost};
use tokio::time::{Instant, timeout};

use crate::rig::{GRPC, Rig, head, is_reset, message, response, settle};

#[tokio::test(start_paused = true)]
async fn e5_the_limit_follows_settings_down_to_none_and_up_again() {
    let mut rig = Rig::new(&[(3, 2)]).await;
    let (first, one) = rig.request().await;
    rig.peer.send(Frame::Settings(vec![(3, 0)])).await;
    rig.peer.until(|frame| *frame == Frame::SettingsAck).await;
    let slot = rig.connection.slot();
    tokio::pin!(slot);
    assert!(timeout(Duration::from_secs(5), &mut slot).await.is_err());
    drop(one);
    rig.peer.until(is_reset).await;
    assert!(timeout(Duration::from_secs(5), &mut slot).await.is_err());
    rig.peer.send(Frame::Settings(vec![(3, 1)])).await;
    let slot = slot.await.unwrap();
    let (mut send, mut recv) = rig.connection.open(slot, head()).unwrap();
    send.send(message(b"x"), true).await.unwrap();
    let second = rig.peer.headers().await;
    assert!(second > first);
    rig.peer.send_all(response(second, b"y")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn e9_dropping_the_receiving_half_resets_the_stream_and_frees_the_slot() {
    let mut rig = Rig::new(&[(3, 1)]).await;
    let (mut send, recv) = rig.open().await;
    send.send(message(b"x"), false).await.unwrap();
    let stream = rig.peer.headers().await;
    drop(recv);
    assert!(send.send(message(b"y"), false).await.is_err());
    assert_eq!(rig.connection.streams(), 0, "though the sending half lives");
    assert_eq!(
        rig.peer.until(is_reset).await,
        Frame::Reset { stream, code: 8 }
    );
    rig.request().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_before_it_left_leaves_headers_and_a_reset_at_most() {
    let mut rig = Rig::new(&[]).await;
    let (mut send, recv) = rig.open().await;
    send.send(message(&[7; 16_000]), true).await.unwrap();
    drop((send, recv));
    let frames = rig.peer.within(Duration::from_secs(1)).await;
    let data = frames
        .iter()
        .any(|frame| matches!(frame, Frame::Data { .. }));
    assert!(!data, "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn rst_a_zero_window_does_not_hold_back_the_reset() {
    for length in [100, 1 << 20] {
        let mut rig = Rig::new(&[(4, 0)]).await;
        let (mut send, recv) = rig.open().await;
        let payload = message(&vec![7; length]);
        let deadline = Duration::from_secs(1);
        assert!(timeout(deadline, send.send(payload, true)).await.is_err());
        drop((send, recv));
        let stream = rig.peer.headers().await;
        assert_eq!(
            rig.peer.next_for(stream).await,
            Frame::Reset { stream, code: 8 }
        );
        assert_eq!(rig.connection.streams(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_message_within_the_window_does_not_hold_back_the_reset_either() {
    let mut rig = Rig::new(&[]).await;
    // Uses up the connection's window.
    let (mut greedy, _recv) = rig.open().await;
    let big = message(&vec![7; 1 << 20]);
    assert!(
        timeout(Duration::from_secs(1), greedy.send(big, true))
            .await
            .is_err()
    );
    let (mut send, recv) = rig.open().await;
    send.send(message(b"small"), true).await.unwrap();
    settle().await;
    drop((send, recv));
    assert_eq!(
        rig.peer.until(is_reset).await,
        Frame::Reset { stream: 3, code: 8 }
    );
}

#[tokio::test(start_paused = true)]
async fn capacity_that_a_cancelled_send_held_goes_to_others() {
    let mut rig = Rig::new(&[(4, 1 << 20)]).await;
    let (mut first, _one) = rig.open().await;
    let (mut second, _two) = rig.open().await;
    let big = || message(&vec![7; 1 << 19]);
    assert!(
        timeout(Duration::from_secs(1), first.send(big(), true))
            .await
            .is_err()
    );
    let grant = Frame::WindowUpdate {
        stream: 0,
        increment: big().len() as u32,
    };
    rig.peer.send(grant).await;
    let reading = async {
        rig.peer
            .until(|frame| {
                matches!(
                    frame,
                    Frame::Data {
                        stream: 3,
                        end: true,
                        ..
                    }
                )
            })
            .await
    };
    let (sent, _) = tokio::join!(second.send(big(), true), reading);
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn e16_window_and_reset_both_wake_the_sender() {
    let mut rig = Rig::new(&[(4, 10)]).await;
    let (mut send, _recv) = rig.open().await;
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let sent = send.send(message(&[7; 100]), false).await;
        sent.unwrap();
        let stopped = send.send(message(&[7; 100]), false).await;
        (stopped, Instant::now())
    });
    let stream = rig.peer.headers().await;
    tokio::time::sleep(Duration::from_millis(80)).await;
    let increment = 100;
    rig.peer
        .send(Frame::WindowUpdate { stream, increment })
        .await;
    tokio::time::sleep(Duration::from_millis(80)).await;
    rig.peer.send(Frame::Reset { stream, code: 8 }).await;
    let (stopped, at) = sending.await.unwrap();
    assert!(stopped.is_err());
    assert_eq!((at - started).as_millis(), 160);
}

#[tokio::test(start_paused = true)]
async fn hol_a_stream_that_nobody_reads_holds_up_no_other() {
    let mut rig = Rig::new(&[]).await;
    let (unread, _recv) = rig.request().await;
    rig.peer.send(Frame::headers(unread, &GRPC, false)).await;
    for _ in 0..16 {
        rig.peer
            .send(Frame::data(unread, vec![0; 16_384], false))
            .await;
    }
    for _ in 0..20 {
        let (stream, mut recv) = rig.request().await;
        rig.peer.send_all(response(stream, &[1; 16_000])).await;
        assert_eq!(recv.message().await.unwrap().unwrap().len(), 16_000);
    }
}

#[tokio::test(start_paused = true)]
async fn e1_two_hundred_tiny_replies_wait_unread_and_none_is_lost() {
    let mut rig = Rig::new(&[(3, 1000)]).await;
    let mut calls = Vec::new();
    for _ in 0..200 {
        calls.push(rig.request().await);
    }
    for (stream, _) in &calls {
        rig.peer
            .send_all(response(*stream, b"twenty bytes of text"))
            .await;
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for (_, mut recv) in calls {
        assert_eq!(
            recv.message().await.unwrap().unwrap(),
            "twenty bytes of text"
        );
        assert_eq!(recv.message().await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn f52_late_data_after_cancel_a_hundred_thousand_times_leaves_the_connection_whole() {
    let mut rig = Rig::new(&[]).await;
    for _ in 0..10_000 {
        let (stream, recv) = rig.request().await;
        drop(recv);
        rig.peer.send(Frame::headers(stream, &GRPC, false)).await;
        let late = Frame::data(stream, message(b"too late by now"), false);
        rig.peer.send_all(vec![late; 10]).await;
    }
    let (stream, mut recv) = rig.request().await;
    rig.peer.send_all(response(stream, b"alive")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "alive");
    drop(recv);
    assert_eq!(rig.connection.streams(), 0);
    assert_eq!(rig.network.connections("server"), 1);
}

#[tokio::test(start_paused = true)]
async fn e17_before_late_data_ends_a_connection_it_is_drained_and_its_calls_go_on() {
    let mut rig = Rig::new(&[]).await;
    let (kept, mut recv) = rig.request().await;
    let (cancelled, gone) = rig.request().await;
    drop(gone);
    rig.peer.until(is_reset).await;
    rig.peer.send(Frame::headers(cancelled, &GRPC, false)).await;
    let late = [0, 0, 5, 0, 0, 0, 0, 0, cancelled as u8, 0, 0, 0, 0, 0];
    // Each takes 251 bytes of a budget of 128 MiB, of which half is for them.
    let most = 64 * 1024 * 1024 / 251;
    rig.peer.send_bytes(&late.repeat(most)).await;
    settle().await;
    assert!(timeout(Duration::ZERO, rig.end.lost()).await.is_err());
    rig.peer.send_bytes(&late).await;
    let lost = rig.end.lost().await;
    assert!(matches!(lost, Lost::Closed(Closed::Worn)), "{lost}");
    rig.peer.send_bytes(&late.repeat(most / 2)).await;
    rig.peer.send_all(response(kept, b"still good")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "still good");
    assert!(recv.message().await.unwrap().is_none());
    let is_goaway = |frame: &Frame| matches!(frame, Frame::GoAway { .. });
    rig.peer.until(is_goaway).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_been_read_of_a_stream_is_given_back_before_it_waits_for_more() {
    let mut options = ClientOptions::default();
    options.windows = Windows::Fixed {
        stream: 65_535,
        connection: 1 << 20,
    };
    let mut rig = Rig::with(&[], options).await;
    let (stream, mut recv) = rig.request().await;
    rig.peer.send(Frame::headers(stream, &GRPC, false)).await;
    // HTTP/2's credit is due at a third of the window: neither message brings it about alone.
    for length in [21_700, 200] {
        let payload = vec![7; length];
        for piece in message(&payload).chunks(16_000) {
            let data = Frame::data(stream, piece.to_vec(), false);
            rig.peer.send(data).await;
        }
        assert_eq!(recv.message().await.unwrap().unwrap().len(), length);
    }
    let waiting = timeout(Duration::from_secs(1), recv.message());
    assert!(waiting.await.is_err());
    let increment = 21_700 + 200 + 2 * 5;
    let is_credit = |frame: &Frame| matches!(frame, Frame::WindowUpdate { stream: 1, .. });
    assert_eq!(
        rig.peer.until(is_credit).await,
        Frame::WindowUpdate { stream, increment }
    );
}

/// The size of the header block of a call with this time-out, or none.
async fn block_size(rig: &mut Rig, timeout: Option<Duration>) -> usize {
    let slot = rig.connection.slot().await.unwrap();
    let mut head = head();
    head.timeout = timeout;
    let _halves = rig.connection.open(slot, head).unwrap();
    let headers = |frame: &Frame| matches!(frame, Frame::Headers { .. });
    match rig.peer.until(headers).await {
        Frame::Headers { block, .. } => block.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_comes_again_takes_one_byte() {
    let mut rig = Rig::new(&[]).await;
    block_size(&mut rig, None).await;
    let without = block_size(&mut rig, None).await;
    let minute = Some(Duration::from_secs(60));
    assert!(block_size(&mut rig, minute).await > without + 8);
    assert_eq!(block_size(&mut rig, minute).await, without + 1);
}

#[tokio::test(start_paused = true)]
async fn timeouts_that_do_not_come_again_push_nothing_out_of_the_header_table() {
    let mut rig = Rig::new(&[]).await;
    block_size(&mut rig, None).await;
    let without = block_size(&mut rig, None).await;
    for micros in 0..500 {
        let left = Duration::from_secs(59) + Duration::from_micros(micros);
        block_size(&mut rig, Some(left)).await;
    }
    assert_eq!(block_size(&mut rig, None).await, without);
    let unique = block_size(&mut rig, Some(Duration::from_micros(59_700_000))).await;
    // Two bytes for its name, one for its length, and seven for "59700000u".
    assert_eq!(unique, without + 10);
}
