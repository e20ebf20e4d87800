//! Credentials for what stays on the machine.

use highball_channel::{Channel, Code, LocalCredentials};
use highball_echo::EchoServer;
use highball_server::{BoxListener, Server};

use crate::rig::{Rig, WhoAsks, call, said};

/// Serves this listener with local credentials, and makes a channel to it.
fn pair(listener: BoxListener, target: String) -> (Server, Channel) {
    let server = Server::builder()
        .credentials(LocalCredentials)
        .add_service(EchoServer::new(WhoAsks))
        .build();
    tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(target).credentials(LocalCredentials);
    (server, channel.build().expect("a channel"))
}

#[tokio::test]
async fn loopback_and_unix_sockets_are_local() {
    let listener = highball_server::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().to_string();
    let (server, channel) = pair(listener, target.clone());
    assert_eq!(said(&channel).await, format!("local none [] asks {target}"));
    channel.close().await;
    server.stop().await;
    #[cfg(target_os = "linux")]
    {
        let name = format!("unix-abstract:highball-local-{}", std::process::id());
        let (server, channel) = pair(highball_server::bind(&name).await.unwrap(), name);
        let expected = "local privacy_and_integrity [] asks localhost";
        assert_eq!(said(&channel).await, expected);
        channel.close().await;
        server.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_elsewhere_is_refused_by_either_end() {
    let mut rig = Rig::without_server();
    rig.serve(LocalCredentials);
    let channel = rig.channel(LocalCredentials);
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let text = "handshake failed: server.test:443: \
                local credentials rejected connection to non-local address \"server.test:443\"";
    assert!(status.message().contains(text), "{status}");
    channel.close().await;
    let plain = Channel::builder("passthrough:///server.test:443")
        .insecure()
        .connector(rig.network.clone());
    let plain = plain.build().unwrap();
    let status = call(&plain).await.unwrap_err();
    assert!(status.message().contains("server preface"), "{status}");
    rig.nothing_is_left(plain).await;
}
