//! GOAWAY: who goes on, who goes elsewhere, and who is told.

use std::time::Duration;

use highball_testkit::peer::Frame;
use highball_transport::client::{Lost, Processed};

use crate::rig::{Rig, response, settle};

#[tokio::test(start_paused = true)]
async fn goaway_is_told_at_once_and_streams_below_its_last_finish() {
    let mut rig = Rig::new(&[]).await;
    let (first, mut one) = rig.request().await;
    let (second, mut two) = rig.request().await;
    rig.peer.send(Frame::goaway(first, 0, "max_age")).await;
    let Lost::GoAway { code, debug, .. } = rig.end.lost().await else {
        panic!("not a GOAWAY");
    };
    assert_eq!((u32::from(code), &debug[..]), (0, &b"max_age"[..]));
    let ended = two.message().await.unwrap_err();
    assert_eq!(ended.processed, Processed::Unprocessed);
    assert_eq!(
        ended.status.to_string(),
        "UNAVAILABLE: the stream is rejected because server is draining the connection"
    );
    assert!(rig.connection.slot().await.is_err());
    assert_ne!(first, second);
    rig.peer.send_all(response(first, b"late")).await;
    assert_eq!(one.message().await.unwrap().unwrap(), "late");
    assert_eq!(one.message().await.unwrap(), None);
    drop(one);
    let rest = rig.peer.rest().await;
    assert!(
        matches!(rest.last(), Some(Frame::GoAway { code: 0, .. })),
        "{rest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_goaway_says_both() {
    let mut rig = Rig::new(&[]).await;
    let (_, mut recv) = rig.request().await;
    let goaway = Frame::goaway((1 << 31) - 1, 11, "too_many_pings");
    rig.peer.send(goaway).await;
    drop(rig.peer);
    let ended = recv.message().await.unwrap_err();
    assert_eq!(
        ended.status.to_string(),
        "UNAVAILABLE: connection to server: closing transport due to: error reading from server: EOF, \
         received prior goaway: code: ENHANCE_YOUR_CALM, debug data: \"too_many_pings\""
    );
    assert_eq!(ended.processed, Processed::MaybeProcessed);
    assert_eq!(rig.end.lost().await.label(), "GOAWAY ENHANCE_YOUR_CALM");
}

#[tokio::test(start_paused = true)]
async fn a_second_goaway_may_lower_the_last_stream_but_not_raise_it() {
    let mut rig = Rig::new(&[]).await;
    let (first, _one) = rig.request().await;
    let (second, mut two) = rig.request().await;
    rig.peer.send(Frame::goaway(second, 0, "")).await;
    settle().await;
    rig.peer.send(Frame::goaway(first, 0, "")).await;
    let ended = two.message().await.unwrap_err();
    assert_eq!(ended.processed, Processed::Unprocessed);
    rig.peer.send(Frame::goaway(second, 0, "")).await;
    let rest = rig.peer.rest().await;
    let Some(Frame::GoAway { code: 1, debug, .. }) = rest.last() else {
        panic!("{rest:?}");
    };
    assert!(debug.starts_with(b"received goaway with stream id"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_ends_with_nothing_on_the_wire_when_goaway_comes() {
    let mut rig = Rig::new(&[(3, 1)]).await;
    let (_, _recv) = rig.request().await;
    let connection = rig.connection.clone();
    let waiting = tokio::spawn(async move { connection.slot().await.map(drop) });
    settle().await;
    rig.peer.send(Frame::goaway(1, 0, "")).await;
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("goaway"), "{error}");
    let frames = rig.peer.within(Duration::from_secs(1)).await;
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame, Frame::Headers { .. }))
    );
}
