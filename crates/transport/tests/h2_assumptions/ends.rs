//! How connections and streams begin and end, and what is told of it.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use highball_testkit::peer::{Frame, Peer};

use crate::rig::{Client, answer, count, pipe, settle};

const MAX_CONCURRENT_STREAMS: u16 = 3;

fn is_headers(frame: &Frame) -> bool {
    matches!(frame, Frame::Headers { .. })
}

#[tokio::test(start_paused = true)]
async fn e7_the_handshake_is_done_though_the_server_has_said_nothing() {
    let (near, far) = pipe();
    let (send, connection) = h2::client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(send.current_max_send_streams(), usize::MAX);
    let mut send = send.ready().await.unwrap();
    let request = http::Request::new(());
    let (response, _) = send.send_request(request, true).unwrap();
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, response).await.is_err());
    let mut peer = Peer::silent(far);
    peer.read_preface().await;
    peer.headers().await;
}

#[tokio::test(start_paused = true)]
async fn e8_streams_over_the_peers_limit_are_taken_queued_and_opened_after_its_goaway() {
    let mut client = Client::new(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let (first, _one) = client.request();
    let queued = [client.request(), client.request()];
    let stream = client.peer.headers().await;
    client.ready().await.unwrap();
    client.peer.send(Frame::goaway((1 << 31) - 1, 0, "")).await;
    settle().await;
    let end = Frame::headers(stream, &[(":status", "200")], true);
    client.peer.send(end).await;
    assert_eq!(first.await.unwrap().status(), 200);
    drop(_one);
    let frames = client.peer.within(Duration::from_secs(1)).await;
    assert_eq!(count(&frames, is_headers), 1, "one more stream: {frames:?}");
    drop(client.peer);
    for (response, _send) in queued {
        let error = response.await.unwrap_err();
        assert!(error.is_io(), "as if it had been in flight: {error}");
    }
}

/// The resets that a server sees of a call whose client keeps some handles of it.
async fn resets<T>(keep: impl FnOnce(h2::RecvStream, h2::SendStream<Bytes>) -> T) -> Vec<Frame> {
    let mut client = Client::new(&[]).await;
    let (_, body, send) = client.call().await;
    let _kept = keep(body, send);
    let mut frames = client.peer.within(Duration::from_secs(1)).await;
    frames.retain(|frame| matches!(frame, Frame::Reset { .. }));
    frames
}

#[tokio::test(start_paused = true)]
async fn e9_a_stream_is_reset_when_its_last_handle_goes_and_not_before() {
    let cancelled = [Frame::Reset { stream: 1, code: 8 }];
    assert_eq!(resets(|body, send| drop((body, send))).await, cancelled);
    assert_eq!(resets(|body, _| body).await, []);
    assert_eq!(resets(|_, send| send).await, []);
    assert_eq!(resets(|mut body, _| body.flow_control().clone()).await, []);
}

/// How two calls end, and what the connection's future says, when the server does this.
async fn errors(
    say: &[Frame],
) -> (
    [Option<h2::Error>; 2],
    Result<Result<(), h2::Error>, tokio::time::error::Elapsed>,
) {
    let mut client = Client::new(&[]).await;
    let (one, _one) = client.request();
    let (two, _two) = client.request();
    client.peer.headers().await;
    client.peer.headers().await;
    client.peer.send_all(say.to_vec()).await;
    if !matches!(say, [Frame::Reset { .. }, ..]) {
        settle().await;
        drop(client.peer);
    }
    let ends = [one.await.err(), two.await.err()];
    drop((_one, _two, client.send));
    let second = Duration::from_secs(1);
    let closed = tokio::time::timeout(second, client.connection).await;
    (ends, closed.map(Result::unwrap))
}

#[tokio::test(start_paused = true)]
async fn e14_the_end_of_the_bytes_is_an_io_error_for_every_stream() {
    let (ends, _) = errors(&[]).await;
    for error in ends.map(Option::unwrap) {
        assert!(error.is_io() && !error.is_go_away() && !error.is_reset());
        assert_eq!(error.reason(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn e14_a_stream_above_goaways_last_is_told_so_and_one_below_is_not() {
    let goaway = Frame::goaway(1, 0, "");
    let ([below, above], closed) = errors(&[goaway]).await;
    let (below, above) = (below.unwrap(), above.unwrap());
    assert!(above.is_go_away() && above.is_remote());
    assert_eq!(above.reason(), Some(Reason::NO_ERROR));
    assert!(below.is_io() && !below.is_go_away(), "{below}");
    closed.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn e14_what_a_goaway_adds_is_in_the_text_alone() {
    let goaway = Frame::goaway(1, 11, "too_many_pings");
    let ([_, above], closed) = errors(&[goaway]).await;
    let above = above.unwrap();
    assert!(above.is_go_away() && above.is_remote());
    assert_eq!(above.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    assert!(above.to_string().contains("too_many_pings"), "{above}");
    let error = closed.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test(start_paused = true)]
async fn e14_a_reset_is_remote_and_has_its_code() {
    for code in [0, 7, 8, 11] {
        let say = [1, 3].map(|stream| Frame::Reset { stream, code });
        let (ends, _) = errors(&say).await;
        for error in ends.map(Option::unwrap) {
            assert!(error.is_reset() && error.is_remote() && !error.is_go_away());
            assert_eq!(error.reason().map(u32::from), Some(code));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e14_headers_amid_a_stream_are_a_local_reset() {
    let mut client = Client::new(&[]).await;
    let (stream, mut body, _send) = client.call().await;
    client.peer.send(answer(stream)).await;
    let error = body.data().await.unwrap().unwrap_err();
    assert!(error.is_reset() && error.is_library() && !error.is_remote());
    assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
}
