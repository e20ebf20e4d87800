//! Certificates that are renewed while both ends run.

use std::sync::Arc;

use highball_channel::transport::Connector as _;
use highball_channel::{Response, TlsChannelCredentials};
use highball_echo::EchoResponse;
use highball_server::TlsServerCredentials;
use highball_testkit::certificates::{Authority, Validity};
use rustls::HandshakeKind;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rig::{HOST, Rig, SERVER, call, certificates, identity, said};

fn names(reply: &Response<EchoResponse>) -> Vec<String> {
    let peer = reply.peer().expect("there was a connection");
    peer.auth_info().names().to_vec()
}

#[tokio::test(start_paused = true)]
async fn f67_cert_rotation_live() {
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

/// Every handshake looks at the certificates of the day. A client that remembers sessions, of either version of TLS, comes
/// back to our server.
#[tokio::test(start_paused = true)]
async fn a_server_resumes_no_session() {
    let rig = Rig::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(rig.authority.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        for _ in 0..2 {
            let io = rig.network.connect(&SERVER.into()).await.unwrap();
            let name = ServerName::try_from(HOST).unwrap();
            let mut io = connector.connect(name, io).await.unwrap();
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            io.write_all(preface).await.unwrap();
            io.read_u8().await.unwrap();
            let kind = io.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

/// Our client comes back to a server that hands out tickets.
#[tokio::test(start_paused = true)]
async fn a_client_resumes_no_session() {
    let rig = Rig::without_server();
    let issued = rig.authority.issue(&[HOST]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut listener = rig.network.listen(SERVER);
    let channel = rig.good_channel();
    for _ in 0..2 {
        channel.connect();
        let io = listener.accept().await.unwrap();
        let mut io = acceptor.accept(io).await.unwrap();
        io.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        channel
            .wait_ready(std::time::Duration::from_secs(1))
            .await
            .unwrap();
        let kind = io.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full));
        drop(io);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    drop(listener);
    rig.nothing_is_left(channel).await;
}
