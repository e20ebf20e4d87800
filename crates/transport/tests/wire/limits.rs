//! What a server may not do, and what we may not do to it.

use std::time::Duration;

use highball_core::{Code, Status};
use highball_testkit::peer::Frame;
use highball_transport::client::Lost;

use crate::rig::{Rig, head};

#[tokio::test(start_paused = true)]
async fn floods_end_the_connection_with_enhance_your_calm() {
    let ping = Frame::Ping {
        ack: false,
        payload: [0; 8],
    };
    let window = Frame::WindowUpdate {
        stream: 0,
        increment: 1,
    };
    let unknown = Frame::Other {
        kind: 77,
        flags: 0,
        stream: 0,
        payload: bytes::Bytes::new(),
    };
    let interim = Frame::headers(1, &[(":status", "103")], false);
    for (frame, count, text) in [
        (ping, 101, "too_many_pings"),
        (Frame::Settings(vec![]), 21, "too_many_settings"),
        (window, 10_001, "too_many_idle_frames"),
        (unknown, 10_001, "too_many_idle_frames"),
        (interim, 9, "too_many_informational_headers"),
    ] {
        let mut rig = Rig::new(&[]).await;
        let (_, mut recv) = rig.request().await;
        let flood = async {
            for _ in 0..count {
                rig.peer.send(frame.clone()).await;
            }
            rig.peer.rest().await
        };
        let rest = flood.await;
        let Some(Frame::GoAway {
            code: 11, debug, ..
        }) = rest.last()
        else {
            panic!("{text}: {rest:?}");
        };
        assert_eq!(debug, text);
        let ended = recv.message().await.unwrap_err();
        assert_eq!(ended.status.code(), Code::Unavailable);
        assert!(ended.status.message().contains(text), "{}", ended.status);
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_http2_ends_the_connection_and_is_unavailable() {
    let bad_padding = Frame::Other {
        kind: 0,
        flags: 8,
        stream: 1,
        payload: bytes::Bytes::from_static(&[200, 1, 2]),
    };
    let push = Frame::Other {
        kind: 5,
        flags: 4,
        stream: 1,
        payload: bytes::Bytes::from_static(&[0, 0, 0, 2]),
    };
    let huge = Frame::data(1, vec![0; 16_385], false);
    for frame in [Frame::data(1, "early", false), bad_padding, push, huge] {
        let mut rig = Rig::new(&[]).await;
        let (_, mut recv) = rig.request().await;
        rig.peer.send(frame).await;
        let ended = recv.message().await.unwrap_err();
        assert_eq!(ended.status.code(), Code::Unavailable, "{}", ended.status);
        assert!(matches!(rig.end.lost().await, Lost::Closed(_)));
        let rest = rig.peer.rest().await;
        assert!(
            rest.iter()
                .any(|frame| matches!(frame, Frame::GoAway { .. })),
            "{rest:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn headers_over_the_servers_limit_are_not_sent() {
    let mut rig = Rig::new(&[(6, 300)]).await;
    let slot = rig.connection.slot().await.unwrap();
    let mut head = head();
    head.metadata.insert("k", &"v".repeat(300)).unwrap();
    let error = Status::from(rig.connection.open(slot, head).unwrap_err());
    assert_eq!(
        error.to_string(),
        "INTERNAL: header list size to send violates the maximum size (300 bytes) set by server"
    );
    assert_eq!(rig.connection.streams(), 0);
    let frames = rig.peer.within(Duration::from_secs(1)).await;
    assert!(frames.iter().all(|frame| frame.stream() == 0), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_time_left_is_not_sent() {
    let mut rig = Rig::new(&[]).await;
    let slot = rig.connection.slot().await.unwrap();
    let mut head = head();
    head.timeout = Some(Duration::ZERO);
    let error = Status::from(rig.connection.open(slot, head).unwrap_err());
    assert_eq!(
        error.to_string(),
        "DEADLINE_EXCEEDED: the deadline passed before the stream was opened"
    );
    assert_eq!(rig.connection.streams(), 0);
    let frames = rig.peer.within(Duration::from_secs(1)).await;
    assert!(frames.iter().all(|frame| frame.stream() == 0), "{frames:?}");
}
