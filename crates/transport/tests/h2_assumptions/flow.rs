//! Windows and what waits for them.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use highball_testkit::peer::Frame;
use tokio::time::{Instant, timeout};

use crate::rig::{Client, settle};

const INITIAL_WINDOW_SIZE: u16 = 4;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn e16_whoever_asked_last_is_woken_and_the_other_waits_on() {
    let mut client = Client::new(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    let (_response, mut send) = client.request();
    send.reserve_capacity(10);
    let stream = client.peer.headers().await;
    let send = Arc::new(Mutex::new(send));
    let for_capacity = Arc::clone(&send);
    let capacity = tokio::spawn(timeout(
        SECOND,
        poll_fn(move |cx| {
            let polled = for_capacity.lock().unwrap().poll_capacity(cx);
            polled.map(|_| Instant::now())
        }),
    ));
    settle().await;
    let reset = tokio::spawn(timeout(
        SECOND,
        poll_fn(move |cx| send.lock().unwrap().poll_reset(cx)),
    ));
    tokio::time::sleep(Duration::from_millis(80)).await;
    let granted = Instant::now();
    let increment = 100;
    client
        .peer
        .send(Frame::WindowUpdate { stream, increment })
        .await;
    let woken = capacity.await.unwrap().unwrap();
    assert!(
        woken - granted > SECOND / 2,
        "woken by its own timer, not by the window: {:?}",
        woken - granted
    );
    assert!(reset.await.unwrap().is_err());
}

/// Whether a call of five bytes gets its answer while nobody reads from another stream.
async fn goes_past_an_unread_stream(connection_window: u32) -> bool {
    let mut client = Client::with(&[], |builder| {
        builder
            .initial_connection_window_size(connection_window)
            .data_frame_budget(1 << 30);
    })
    .await;
    let (unread, _body, _send) = client.call().await;
    for size in [16_384, 16_384, 16_384, 16_383] {
        client
            .peer
            .send(Frame::data(unread, vec![0; size], false))
            .await;
    }
    settle().await;
    let (stream, mut body, _send) = client.call().await;
    // A server that keeps to the window has none left for this one.
    let updates = client.peer.log().iter().filter_map(|frame| match frame {
        Frame::WindowUpdate {
            stream: 0,
            increment,
        } => Some(*increment),
        _ => None,
    });
    let window = 65_535 + updates.sum::<u32>();
    if window < 65_535 + 5 {
        return false;
    }
    client.peer.send(Frame::data(stream, "small", true)).await;
    body.data().await.unwrap().unwrap() == "small"
}

#[tokio::test(start_paused = true)]
async fn hol_one_unread_stream_holds_the_window_of_the_whole_connection() {
    assert!(!goes_past_an_unread_stream(65_535).await);
    assert!(goes_past_an_unread_stream(1 << 24).await);
}

#[tokio::test(start_paused = true)]
async fn send_data_takes_any_amount_for_a_peer_that_grants_nothing() {
    let client = Client::with(&[(INITIAL_WINDOW_SIZE, 0)], |builder| {
        builder.max_send_buffer_size(64 * 1024);
    })
    .await;
    let (_response, mut send) = client.request();
    let mebibyte = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..32 {
        send.send_data(mebibyte.clone(), false).unwrap();
    }
    assert_eq!(send.capacity(), 0);
}

/// What the peer sees of a call with a mebibyte queued that is given up before h2 has opened it.
async fn given_up(explicitly: bool) -> Vec<Frame> {
    let mut client = Client::new(&[]).await;
    let (response, mut send) = client.request();
    send.send_data(Bytes::from(vec![0; 1 << 20]), false)
        .unwrap();
    if explicitly {
        send.send_reset(Reason::CANCEL);
    }
    drop((response, send));
    client.peer.within(SECOND).await
}

#[tokio::test(start_paused = true)]
async fn rst_an_explicit_reset_of_an_unopened_stream_waits_behind_its_data_for_ever() {
    let is_reset = |frame: &Frame| matches!(frame, Frame::Reset { .. });
    let frames = given_up(true).await;
    let data = frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Data { .. }));
    assert!(data.count() > 0, "{frames:?}");
    assert!(!frames.iter().any(is_reset), "{frames:?}");
    let frames = given_up(false).await;
    assert!(frames.iter().any(is_reset), "{frames:?}");
}

/// Whether a response is heard that comes behind `ahead`, while the peer reads nothing of what it is sent.
async fn hears_behind(ahead: &[Frame]) -> bool {
    let mut client = Client::new(&[(INITIAL_WINDOW_SIZE, 1 << 24)]).await;
    let increment = 1 << 24;
    client
        .peer
        .send(Frame::WindowUpdate {
            stream: 0,
            increment,
        })
        .await;
    let (stream, mut body, _send) = client.call().await;
    let (_response, mut greedy) = client.request();
    greedy.send_data(vec![0; 4 << 20].into(), false).unwrap();
    settle().await;
    client.peer.send_all(ahead.to_vec()).await;
    client.peer.send(Frame::data(stream, "heard", true)).await;
    timeout(SECOND, body.data()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn stuck_nothing_is_read_while_an_answer_waits_to_be_written() {
    assert!(hears_behind(&[]).await);
    let ping = Frame::Ping {
        ack: false,
        payload: [0; 8],
    };
    assert!(!hears_behind(&[ping.clone(), ping]).await);
    let settings = Frame::Settings(vec![]);
    assert!(!hears_behind(&[settings.clone(), settings]).await);
}
