//! What each end knows of the other after the handshake.

use highball_channel::{Request, SecurityLevel};
use highball_echo::{EchoClient, EchoRequest};
use highball_server::TlsServerCredentials;

use crate::rig::{HOST, Rig, call, said};

#[tokio::test(start_paused = true)]
async fn a_call_over_tls_tells_the_client_who_answered() {
    let rig = Rig::new();
    let channel = rig.good_channel();
    let reply = call(&channel).await.unwrap();
    let peer = reply.peer().unwrap().auth_info();
    assert_eq!(peer.protocol(), "tls");
    assert_eq!(peer.security_level(), SecurityLevel::PrivacyAndIntegrity);
    assert_eq!(peer.names(), [HOST]);
    assert_eq!(peer.certificates().len(), 1);
    let suite = peer.cipher_suite().unwrap();
    assert!(suite.starts_with("TLS13_"), "{suite}");
    assert_eq!(
        reply.message().message,
        "tls privacy_and_integrity [] asks server.test:443"
    );
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_knows_its_server_before_the_first_message() {
    let rig = Rig::new();
    let channel = rig.good_channel();
    let client = EchoClient::new(channel.clone());
    let request = Request::new(EchoRequest::default());
    let stream = client.server_streaming_echo(request).await.unwrap();
    assert_eq!(stream.peer().auth_info().names(), [HOST]);
    drop((stream, client));
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_its_client_by_the_certificate() {
    let mut rig = Rig::without_server();
    let server = TlsServerCredentials::builder(rig.identity(&[HOST]));
    rig.serve(
        server
            .require_client_certificate(rig.certificates())
            .build()
            .unwrap(),
    );
    let spiffe = "spiffe://test/client";
    let shown = rig.identity(&["client.test", spiffe]);
    let channel = rig.channel(rig.trusting().identity(shown).build().unwrap());
    assert_eq!(
        said(&channel).await,
        "tls privacy_and_integrity [\"client.test\", \"spiffe://test/client\"] asks server.test:443"
    );
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn where_a_certificate_is_optional_the_handler_sees_whether_there_is_one() {
    let mut rig = Rig::without_server();
    let server = TlsServerCredentials::builder(rig.identity(&[HOST]));
    rig.serve(
        server
            .accept_client_certificate(rig.certificates())
            .build()
            .unwrap(),
    );
    let anonymous = rig.good_channel();
    assert!(said(&anonymous).await.contains("integrity [] asks"));
    anonymous.close().await;
    let shown = rig.identity(&["client.test"]);
    let known = rig.channel(rig.trusting().identity(shown).build().unwrap());
    assert!(said(&known).await.contains("[\"client.test\"] asks"));
    rig.nothing_is_left(known).await;
}
