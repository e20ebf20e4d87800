//! Certificates that are renewed while both ends run.

use highball_channel::{Response, TlsChannelCredentials};
use highball_echo::EchoResponse;
use highball_server::TlsServerCredentials;
use highball_testkit::certificates::{Authority, Validity};

use crate::rig::{HOST, Rig, SERVER, call, certificates, identity, said};

fn names(reply: &Response<EchoResponse>) -> Vec<String> {
    let peer = reply.peer().expect("there was a connection");
    peer.auth_info().names().to_vec()
}

#[tokio::test(start_paused = true)]
async fn cert_rotation_live() {
    let mut rig = Rig::without_server();
    let first = TlsServerCredentials::new(rig.identity(&[HOST, "first.test"])).unwrap();
    rig.serve(first.clone());
    let old = rig.good_channel();
    assert_eq!(names(&call(&old).await.unwrap()), [HOST, "first.test"]);

    let second = TlsServerCredentials::new(rig.identity(&[HOST, "second.test"])).unwrap();
    first.replace(&second);
    let new = rig.good_channel();
    assert_eq!(names(&call(&new).await.unwrap()), [HOST, "second.test"]);
    assert_eq!(
        names(&call(&old).await.unwrap()),
        [HOST, "first.test"],
        "a connection that is there lives on"
    );

    let expired = rig.authority.issue_for(&[HOST], Validity::Past);
    first.replace(&TlsServerCredentials::new(identity(&expired)).unwrap());
    let late = rig.good_channel();
    let status = call(&late).await.unwrap_err();
    assert!(status.message().contains("certificate expired"), "{status}");
    for channel in [&old, &new] {
        call(channel).await.unwrap();
    }
    assert_eq!(rig.network.connections(SERVER), 3);
    new.close().await;
    late.close().await;
    rig.nothing_is_left(old).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_shows_and_trusts_what_its_credentials_were_replaced_with() {
    let mut rig = Rig::without_server();
    let server = TlsServerCredentials::builder(rig.identity(&[HOST]));
    let server = server.require_client_certificate(rig.certificates());
    let server = server.build().unwrap();
    rig.serve(server.clone());
    let shown = |names: &[&str]| {
        rig.trusting()
            .identity(rig.identity(names))
            .build()
            .unwrap()
    };
    let credentials = shown(&["first.test"]);
    let channel = rig.channel(credentials.clone());
    assert!(said(&channel).await.contains("[\"first.test\"]"));
    credentials.replace(&shown(&["second.test"]));
    assert!(said(&channel).await.contains("[\"first.test\"]"));
    rig.network.cut(SERVER);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert!(said(&channel).await.contains("[\"second.test\"]"));

    // The server moves to another authority; the client follows.
    let moved = Authority::new("Next CA");
    let next = TlsServerCredentials::new(identity(&moved.issue(&[HOST]))).unwrap();
    server.replace(&next);
    rig.network.cut(SERVER);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let status = call(&channel).await.unwrap_err();
    assert!(status.message().contains("UnknownIssuer"), "{status}");
    let trusting = TlsChannelCredentials::builder().roots(certificates(&moved));
    credentials.replace(&trusting.build().unwrap());
    channel.reset_backoff();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert!(said(&channel).await.contains("integrity [] asks"));
    rig.nothing_is_left(channel).await;
}
