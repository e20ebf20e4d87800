//! Limits of h2's that a healthy connection of many small calls runs into.

use std::time::Duration;

use bytes::Bytes;
use highball_testkit::peer::Frame;

use crate::rig::{Client, Server, answer, call, count, goaway, goaway_after, settle};

const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: h2::Reason = h2::Reason::CANCEL;

/// After how many DATA frames of `size` bytes, which nobody reads, the connection dies. They go round
/// `streams` streams.
async fn unread(
    streams: usize,
    size: usize,
    frames: usize,
    configure: impl FnOnce(&mut h2::client::Builder),
) -> Option<(usize, u32, String)> {
    let mut client = Client::with(&[], configure).await;
    let mut calls = Vec::new();
    for _ in 0..streams {
        calls.push(client.call().await);
    }
    let ids: Vec<_> = calls.iter().map(|(id, ..)| *id).collect();
    let frames = (0..frames).map(|n| Frame::data(ids[n % streams], vec![7; size], false));
    goaway_after(&mut client.peer, frames).await
}

fn too_many_data_frames(after: usize) -> Option<(usize, u32, String)> {
    Some((after, ENHANCE_YOUR_CALM, "too_many_data_frames".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn e1_at_its_defaults_139_unread_messages_of_20_bytes_end_a_connection() {
    let died = unread(1, 20, 1000, |_| {}).await;
    assert_eq!(died, too_many_data_frames(139));
    let died = unread(100, 20, 1000, |_| {}).await;
    assert_eq!(
        died,
        too_many_data_frames(139),
        "all streams count together"
    );
    let died = unread(1, 200, 301, |_| {}).await;
    assert_eq!(died, None, "larger ones may wait");
}

#[tokio::test(start_paused = true)]
async fn e1_a_wider_window_or_a_budget_of_ones_own_spares_it() {
    let died = unread(1, 20, 10_000, |builder| {
        builder
            .initial_connection_window_size(1 << 20)
            .initial_window_size(1 << 20);
    });
    assert_eq!(died.await, too_many_data_frames(2222));
    let died = unread(1, 20, 10_000, |builder| {
        builder
            .initial_connection_window_size(16 << 20)
            .initial_window_size(1 << 20);
    });
    assert_eq!(died.await, None);
    let died = unread(1, 20, 3200, |builder| {
        builder.data_frame_budget(1 << 30);
    });
    assert_eq!(died.await, None, "up to the window");
}

#[tokio::test(start_paused = true)]
async fn e3_101_empty_data_frames_end_a_connection_however_attentive_its_reader() {
    let mut client = Client::with(&[], |builder| {
        builder.data_frame_budget(1 << 30);
    })
    .await;
    let (stream, mut body, _send) = client.call().await;
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = body.data().await {} });
    let frames = std::iter::repeat_with(|| Frame::data(stream, "", false)).take(300);
    let died = goaway_after(&mut client.peer, frames).await;
    let died = died.map(|(after, code, _)| (after, code));
    assert_eq!(died, Some((101, ENHANCE_YOUR_CALM)));
    reading.await.unwrap();
}

/// Cancels calls one by one; the server's 20 bytes cross each RST_STREAM. After how many the connection
/// dies.
async fn cancelled(
    calls: usize,
    configure: impl FnOnce(&mut h2::client::Builder),
) -> Option<(usize, u32, String)> {
    let mut client = Client::with(&[], configure).await;
    for done in 1..=calls {
        let (stream, body, mut send) = client.call().await;
        send.send_reset(CANCEL);
        drop((body, send));
        settle().await;
        client
            .peer
            .send(Frame::data(stream, vec![7; 20], false))
            .await;
        let said = client.peer.within(Duration::from_millis(1)).await;
        if let Some((code, debug)) = said.iter().find_map(goaway) {
            return Some((done, code, debug));
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn e4_1024_streams_that_h2_itself_reset_are_the_end_of_a_connection() {
    let forgetful = |builder: &mut h2::client::Builder| {
        builder
            .max_concurrent_reset_streams(0)
            .data_frame_budget(1 << 30);
    };
    let (after, code, debug) = cancelled(1100, forgetful).await.unwrap();
    assert_eq!(
        (after, code, debug.as_str()),
        (1025, ENHANCE_YOUR_CALM, "too_many_internal_resets")
    );
    let died = cancelled(1100, |builder| {
        forgetful(builder);
        builder.max_local_error_reset_streams(None);
    });
    assert_eq!(died.await, None);
}

#[tokio::test(start_paused = true)]
async fn e17_small_data_for_cancelled_streams_is_charged_and_never_refunded() {
    let remembering = |builder: &mut h2::client::Builder| {
        builder
            .max_concurrent_reset_streams(10_000)
            .reset_stream_duration(Duration::from_secs(3600));
    };
    let died = cancelled(400, remembering).await;
    assert_eq!(died, too_many_data_frames(139));
    let died = cancelled(400, |builder| {
        remembering(builder);
        builder.data_frame_budget(1 << 30);
    });
    assert_eq!(died.await, None);
}

#[tokio::test(start_paused = true)]
async fn e5_1024_refused_streams_are_the_end_of_a_servers_connection() {
    let Server { mut h2, mut peer } = Server::new(|builder| {
        builder.max_concurrent_streams(1);
    })
    .await;
    let serving = tokio::spawn(async move {
        let mut calls = Vec::new();
        while let Some(call) = h2.accept().await {
            calls.push(call?);
        }
        Ok::<_, h2::Error>(calls)
    });
    let frames = (0..1200).map(|n| call(1 + 2 * n, false));
    let (after, code, debug) = goaway_after(&mut peer, frames).await.unwrap();
    assert_eq!(
        (after, code, debug.as_str()),
        (1026, ENHANCE_YOUR_CALM, "too_many_internal_resets")
    );
    let refused = count(peer.log(), |frame| {
        matches!(frame, Frame::Reset { code: 7, .. })
    });
    assert_eq!(refused, 1024);
    assert!(serving.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_read_costs_no_budget() {
    let mut client = Client::new(&[]).await;
    let (stream, mut body, _send) = client.call().await;
    for _ in 0..1000 {
        client
            .peer
            .send(Frame::data(stream, vec![7; 20], false))
            .await;
        let data: Bytes = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    client.peer.send(answer(stream)).await;
    client.ready().await.unwrap();
}
