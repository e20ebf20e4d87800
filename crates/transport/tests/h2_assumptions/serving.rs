//! A server of h2's: what bounds the work it takes on, and what drives it.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use highball_testkit::peer::Frame;

use crate::rig::{Server, call, goaway, settle};

/// HEADERS and RST_STREAM of this many calls.
fn burst(first: u32, calls: u32) -> Vec<Frame> {
    let streams = (0..calls).map(|n| first + 2 * n);
    let frames = streams.flat_map(|stream| [call(stream, true), Frame::Reset { stream, code: 8 }]);
    frames.collect()
}

/// Serves with the limit of 100 streams that is advertised; the calls that were accepted.
async fn serve(bursts: u32, calls: u32) -> (Vec<SendResponse<Bytes>>, Option<(u32, String)>) {
    let Server { mut h2, mut peer } = Server::new(|builder| {
        builder.max_concurrent_streams(100);
    })
    .await;
    let (accepted, mut handlers) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok((_, respond))) = h2.accept().await {
            accepted.send(respond).unwrap();
        }
    });
    let mut said = None;
    for number in 0..bursts {
        peer.send_all(burst(1 + 2 * number * calls, calls)).await;
        let frames = peer.within(Duration::from_millis(1)).await;
        said = said.or(frames.iter().find_map(goaway));
    }
    let mut live = Vec::new();
    while let Ok(handler) = handlers.try_recv() {
        live.push(handler);
    }
    (live, said)
}

#[tokio::test(start_paused = true)]
async fn e10_calls_that_are_reset_at_once_start_handlers_beyond_any_limit() {
    let (live, goaway) = serve(50, 16).await;
    assert_eq!((live.len(), goaway), (800, None), "100 were advertised");
}

#[tokio::test(start_paused = true)]
async fn e10_21_resets_in_one_burst_are_the_end_of_a_connection() {
    let (live, goaway) = serve(1, 20).await;
    assert_eq!((live.len(), goaway), (20, None));
    let (_, goaway) = serve(1, 21).await;
    assert_eq!(goaway, Some((11, "too_many_resets".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn accept_drives_the_connection_and_so_does_waiting_for_its_end() {
    let Server { mut h2, mut peer } = Server::new(|_| {}).await;
    peer.send(call(1, true)).await;
    let (_, mut respond) = h2.accept().await.unwrap().unwrap();
    let response = http::Response::new(());
    respond.send_response(response, true).unwrap();
    settle().await;
    let frames = peer.within(Duration::from_secs(1)).await;
    let answered = |frames: &[Frame]| frames.iter().any(|frame| frame.stream() == 1);
    assert!(!answered(&frames), "nobody drives it: {frames:?}");
    peer.send(call(3, true)).await;
    let waiting = tokio::spawn(async move {
        let _ =
            tokio::time::timeout(Duration::from_secs(60), poll_fn(|cx| h2.poll_closed(cx))).await;
        // The stream that came meanwhile was kept.
        h2.accept().await.unwrap().unwrap()
    });
    let frames = peer.within(Duration::from_secs(1)).await;
    assert!(answered(&frames), "{frames:?}");
    waiting.await.unwrap();
}
