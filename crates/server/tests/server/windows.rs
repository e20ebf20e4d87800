//! The window of a connection is not for calls to keep whose handlers do not read.

use std::time::Duration;

use bytes::Bytes;
use highball_server::{ServerOptions, Windows};
use tokio::time::timeout;

use crate::support::{World, settle};

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_reads_hold_up_no_other() {
    let mut options = ServerOptions::default();
    options.windows = Windows::Fixed {
        stream: 65_535,
        connection: 65_535,
    };
    let world = World::with(|builder| builder.options(options));
    let client = world.client().await;
    let mut unread = Vec::new();
    for _ in 0..50 {
        let mut call = client.start("Ignore").await;
        let whole_window = Bytes::from(vec![0; 65_535]);
        call.send.send_data(whole_window, false).unwrap();
        unread.push(call);
        settle().await;
    }
    let text = "heard".to_owned();
    let echo = client.unary("Echo", &text);
    let reply = timeout(Duration::from_secs(1), echo).await.unwrap();
    assert_eq!(reply.message::<String>(), text);
    drop(unread);
    drop(client);
    settle().await;
    world.end().await;
}
