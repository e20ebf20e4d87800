//! Frames that cost their sender nothing.

use std::time::Duration;

use bytes::Bytes;
use highball_testkit::peer::Frame;

use crate::rig::{Server, goaway};

fn other(kind: u8, stream: u32, payload: &'static [u8]) -> Frame {
    Frame::Other {
        kind,
        flags: 0,
        stream,
        payload: Bytes::from_static(payload),
    }
}

#[tokio::test(start_paused = true)]
async fn e20_no_flood_of_control_frames_meets_a_limit() {
    let ping = Frame::Ping {
        ack: false,
        payload: [0; 8],
    };
    let window = Frame::WindowUpdate {
        stream: 0,
        increment: 1,
    };
    let priority = other(2, 1, &[0, 0, 0, 3, 1]);
    let unknown = other(0x2a, 0, &[1, 2, 3]);
    for frame in [ping, Frame::Settings(vec![]), priority, window, unknown] {
        let Server { mut h2, mut peer } = Server::new(|_| {}).await;
        let serving = tokio::spawn(async move { h2.accept().await.map(|call| call.map(drop)) });
        for _ in 0..30 {
            peer.send_all(vec![frame.clone(); 1000]).await;
            let said = peer.within(Duration::from_millis(1)).await;
            assert_eq!(said.iter().find_map(goaway), None, "{frame:?}");
        }
        assert!(!serving.is_finished(), "{frame:?}");
    }
}
