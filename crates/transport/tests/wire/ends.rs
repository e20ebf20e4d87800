//! How connections end, and what is known then.

use std::time::Duration;

use highball_core::{Code, Status};
use highball_testkit::peer::Frame;
use highball_transport::BoxIo;
use highball_transport::client::{ClientOptions, Lost, Processed};
use tokio::time::{Instant, timeout};

use crate::rig::{GRPC, OK, Rig, is_reset, message, response, settle};

#[tokio::test(start_paused = true)]
async fn a_hard_close_says_goaway_and_waits_a_second_at_most() {
    let mut rig = Rig::new(&[]).await;
    rig.connection.close(Status::unavailable("bye"));
    let rest = rig.peer.rest().await;
    assert_eq!(
        rest.last(),
        Some(&Frame::goaway(0, 0, "client transport shutdown"))
    );

    // A peer that reads nothing, with all its buffers full.
    let rig = Rig::new(&[(4, 1 << 20)]).await;
    let (mut send, mut recv) = rig.open().await;
    let _ = timeout(
        Duration::from_secs(1),
        send.send(message(&vec![0; 1 << 20]), true),
    )
    .await;
    let mut more = Vec::new();
    for _ in 0..99 {
        let (mut send, recv) = rig.open().await;
        send.send(message(&[0; 16_000]), false).await.ok();
        more.push((send, recv));
    }
    let closing = Instant::now();
    rig.connection.close(Status::unavailable("bye"));
    assert_eq!(
        recv.message().await.unwrap_err().status,
        Status::unavailable("bye")
    );
    assert_eq!(closing.elapsed(), Duration::ZERO);
    drop(more);
    tokio::time::sleep(Duration::from_millis(1001)).await;
    drop(rig.peer);
    assert_eq!(rig.network.open_connections("server"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drained_connection_closes_after_its_last_stream() {
    let mut rig = Rig::new(&[]).await;
    let (stream, mut recv) = rig.request().await;
    rig.connection.drain();
    assert!(rig.connection.slot().await.is_err());
    rig.peer.send_all(response(stream, b"last")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "last");
    assert_eq!(recv.message().await.unwrap(), None);
    let rest = rig.peer.rest().await;
    assert!(
        matches!(rest.last(), Some(Frame::GoAway { code: 0, .. })),
        "{rest:?}"
    );
    assert!(!rest.iter().any(is_reset), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn running_out_of_stream_ids_drains() {
    let mut options = ClientOptions::default();
    options.last_stream_id = 3;
    let mut rig = Rig::with(&[], options).await;
    rig.request().await;
    assert!(rig.connection.slot().await.is_ok());
    let (stream, mut recv) = rig.request().await;
    assert!(rig.connection.slot().await.is_err());
    rig.peer.send_all(response(stream, b"last")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "last");
    assert_eq!(rig.end.lost().await.to_string(), "stream ids are used up");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_headers_never_left_is_known_to() {
    let rig = Rig::new(&[(4, 1 << 20)]).await;
    // Fills the pipe, so that nothing more leaves.
    let (mut greedy, mut first) = rig.open().await;
    let mut fill = Vec::new();
    let _ = timeout(
        Duration::from_secs(1),
        greedy.send(message(&vec![0; 1 << 20]), true),
    )
    .await;
    for _ in 0..20 {
        let (mut send, recv) = rig.open().await;
        send.send(message(&[0; 16_000]), true).await.unwrap();
        settle().await;
        fill.push(recv);
    }
    rig.network.cut("server");
    let mut last = fill.pop().unwrap();
    let ended = last.message().await.unwrap_err();
    assert_eq!(ended.processed, Processed::NothingSent);
    let ended = first.message().await.unwrap_err();
    assert_eq!(ended.processed, Processed::MaybeProcessed);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_server_is_given_a_second_to_be_read() {
    let mut rig = Rig::new(&[]).await;
    let (stream, mut recv) = rig.request().await;
    rig.peer.send_all(response(stream, b"last words")).await;
    drop(rig.peer);
    assert_eq!(recv.message().await.unwrap().unwrap(), "last words");
    assert_eq!(recv.message().await.unwrap(), None);
    assert_eq!(rig.end.lost().await.label(), "unknown");
}

#[tokio::test(start_paused = true)]
async fn many_small_tasks_leave_nothing_behind() {
    let mut rig = Rig::new(&[]).await;
    let tasks = tokio::runtime::Handle::current().metrics();
    for _ in 0..100 {
        let (stream, mut recv) = rig.request().await;
        rig.peer
            .send_all([
                Frame::headers(stream, &GRPC, false),
                Frame::headers(stream, &OK, true),
            ])
            .await;
        assert_eq!(recv.message().await.unwrap(), None);
    }
    assert_eq!(
        tasks.num_alive_tasks(),
        1,
        "the connection's, and none per call"
    );
    drop(rig.connection);
    rig.peer.rest().await;
    settle().await;
    assert_eq!(tasks.num_alive_tasks(), 0);
}

#[test]
fn halves_can_be_sent_to_another_task() {
    fn is_send<T: Send + 'static>() {}
    is_send::<highball_transport::client::SendHalf>();
    is_send::<highball_transport::client::RecvHalf>();
    is_send::<highball_transport::client::Connection>();
    is_send::<BoxIo>();
}

#[test]
fn a_connection_that_lost_its_runtime_keeps_nobody_waiting() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let first = runtime();
    let (mut rig, mut recv) = first.block_on(async {
        let mut rig = Rig::new(&[(3, 1)]).await;
        let (_, recv) = rig.request().await;
        (rig, recv)
    });
    drop(first);
    runtime().block_on(async {
        assert!(rig.connection.slot().await.is_err());
        assert!(matches!(rig.end.lost().await, Lost::Closed(_)));
        let ended = recv.message().await.unwrap_err();
        assert_eq!(ended.status.code(), Code::Unavailable);
    });
}
