//! What a client allocates while a server floods it. A program of its own: whoever counts allocations makes all of them
//! dearer.

#[path = "e2e/script.rs"]
#[expect(dead_code, reason = "made for the tests of calls")]
mod script;
#[path = "e2e/world.rs"]
#[expect(dead_code, reason = "made for the tests of calls")]
mod world;

use std::time::Duration;

use highball_channel::Code;
use highball_testkit::peer::Frame;
use tokio::time::timeout;

use script::Script;

/// All that there is: the client, its server's script, the runtime under both, and the pipe between them.
const MOST_BYTES: u64 = 1 << 20;

/// Goes on until nobody takes it.
async fn flood(frame: &[u8]) {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    peer.headers().await;
    peer.send_bytes(frame).await;
    let ended = timeout(Duration::from_secs(60), call).await;
    let status = ended.expect("it is over").expect("it does not panic");
    let status = status.expect_err("the connection is closed");
    assert_eq!(status.code(), Code::Unavailable);
    let calm = |frame: &Frame| matches!(frame, Frame::GoAway { code: 11, .. });
    peer.until(calm).await;
    script.end([peer]).await;
}

#[test]
fn f49_a_flood_is_not_kept() {
    let ping = Frame::Ping {
        ack: false,
        payload: [0; 8],
    };
    let interim = Frame::headers(1, &[(":status", "103")], false);
    for (fault, frame) in [
        ("settings-flood", Frame::Settings(vec![])),
        ("ping-flood", ping),
        ("1xx-flood", interim),
    ] {
        let frames = frame.encode().repeat(100_000);
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().start_paused(true).build()
        };
        let counted = allocation_counter::measure(|| {
            runtime().expect("a runtime").block_on(flood(&frames));
        });
        let most = counted.bytes_max;
        assert!(most < MOST_BYTES, "{fault}: {most} bytes at once");
    }
}
