//! Connections that must not come about: each is a failed attempt with the reason in its status, followed
//! by backoff, and never READY.

use std::sync::Arc;

use highball_channel::transport::Connector as _;
use highball_channel::{Channel, Code, Request};
use highball_channel::{Identity, TlsChannelCredentials, TlsError};
use highball_echo::{EchoRequest, EchoServer};
use highball_server::{Server, TlsServerCredentials};
use highball_testkit::certificates::{Authority, Validity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rig::{
    HOST, Rig, SERVER, WhoAsks, call, call_with, certificates, identity, never_connects, said,
};

/// A client that trusts the right authority, and a server with this identity.
async fn server_is_refused(rig: &mut Rig, identity: Identity, words: &[&str]) {
    rig.serve(TlsServerCredentials::new(identity).expect("an identity"));
    let channel = rig.good_channel();
    never_connects(&rig.network, &channel, words).await;
}

#[tokio::test(start_paused = true)]
async fn f26_cert_expired() {
    let mut rig = Rig::without_server();
    let issued = rig.authority.issue_for(&[HOST], Validity::Past);
    let words = ["authentication handshake failed", "certificate expired"];
    server_is_refused(&mut rig, identity(&issued), &words).await;
}

#[tokio::test(start_paused = true)]
async fn f26_cert_not_yet_valid() {
    let mut rig = Rig::without_server();
    let issued = rig.authority.issue_for(&[HOST], Validity::Future);
    let words = ["authentication handshake failed", "not valid yet"];
    server_is_refused(&mut rig, identity(&issued), &words).await;
}

#[tokio::test(start_paused = true)]
async fn f26_cert_wrong_name() {
    let mut rig = Rig::without_server();
    let other = rig.identity(&["other.test"]);
    let words = ["not valid for name \"server.test\"", "other.test"];
    server_is_refused(&mut rig, other, &words).await;
}

#[tokio::test(start_paused = true)]
async fn f26_cert_unknown_ca() {
    let mut rig = Rig::without_server();
    let issued = Authority::new("Other CA").issue(&[HOST]);
    let words = ["authentication handshake failed", "UnknownIssuer"];
    server_is_refused(&mut rig, identity(&issued), &words).await;
}

/// A server that lets in only clients which the authority certifies.
fn particular(rig: &mut Rig) {
    let server = TlsServerCredentials::builder(rig.identity(&[HOST]));
    let server = server.require_client_certificate(rig.certificates());
    rig.serve(server.build().expect("good credentials"));
}

#[tokio::test(start_paused = true)]
async fn f27_client_cert_missing() {
    let mut rig = Rig::without_server();
    particular(&mut rig);
    let channel = rig.good_channel();
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    let words = ["error reading server preface", "CertificateRequired"];
    never_connects(&rig.network, &channel, &words).await;
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn f27_client_cert_missing_in_tls_1_2() {
    let mut rig = Rig::without_server();
    particular(&mut rig);
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(rig.authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let channel = rig.channel(TlsChannelCredentials::from_rustls(config));
    let words = ["authentication handshake failed", "fatal alert"];
    never_connects(&rig.network, &channel, &words).await;
}

#[tokio::test(start_paused = true)]
async fn client_cert_of_an_unknown_ca_or_out_of_date() {
    for (validity, authority, word) in [
        (Validity::Now, Some(Authority::new("Other CA")), "UnknownCA"),
        (Validity::Past, None, "CertificateExpired"),
    ] {
        let mut rig = Rig::without_server();
        particular(&mut rig);
        let authority = authority.as_ref().unwrap_or(&rig.authority);
        let shown = identity(&authority.issue_for(&["client.test"], validity));
        let channel = rig.channel(rig.trusting().identity(shown).build().unwrap());
        never_connects(&rig.network, &channel, &["server preface", word]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f24_tls_to_plain() {
    let mut rig = Rig::without_server();
    let server = Server::builder().add_service(EchoServer::new(WhoAsks));
    rig.serve_with(server.build());
    let channel = rig.good_channel();
    let words = ["handshake failed", "the server does not speak TLS"];
    never_connects(&rig.network, &channel, &words).await;
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn f24_plain_to_tls() {
    let rig = Rig::new();
    let channel = Channel::builder(format!("passthrough:///{SERVER}"))
        .insecure()
        .connector(rig.network.clone())
        .build()
        .unwrap();
    let words = ["error reading server preface", "the server speaks TLS"];
    never_connects(&rig.network, &channel, &words).await;
    rig.nothing_is_left(channel).await;
}

/// TLS servers that agree to another protocol than HTTP/2, or to none.
#[tokio::test(start_paused = true)]
async fn f25_no_alpn_and_wrong_alpn_at_the_server() {
    for (protocols, word) in [
        (vec![], "missing selected ALPN property"),
        (vec![b"http/1.1".to_vec()], "NoApplicationProtocol"),
    ] {
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
        config.alpn_protocols = protocols;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut listener = rig.network.listen(SERVER);
        tokio::spawn(async move {
            loop {
                let Ok(io) = listener.accept().await else {
                    return;
                };
                if let Ok(mut io) = acceptor.accept(io).await {
                    let _ = io.read_u8().await;
                }
            }
        });
        let channel = rig.good_channel();
        never_connects(&rig.network, &channel, &["handshake failed", word]).await;
    }
}

/// TLS clients that offer another protocol than HTTP/2, or none: the server sends no byte of HTTP/2.
#[tokio::test(start_paused = true)]
async fn f25_no_alpn_and_wrong_alpn_at_the_client() {
    let rig = Rig::new();
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(rig.authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connect = async |protocols: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let io = rig.network.connect(&SERVER.into()).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut io = connector.connect(name, io).await?;
        let _ = io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut heard = Vec::new();
        io.read_to_end(&mut heard).await?;
        std::io::Result::Ok(heard)
    };
    assert_eq!(connect(&[]).await.unwrap(), b"");
    let error = connect(&[b"http/1.1"]).await.unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    let channel = rig.good_channel();
    assert!(
        said(&channel).await.starts_with("tls "),
        "others are served"
    );
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_says_at_its_deadline_why_there_is_none() {
    let mut rig = Rig::without_server();
    let issued = rig.authority.issue_for(&[HOST], Validity::Past);
    rig.serve(TlsServerCredentials::new(identity(&issued)).unwrap());
    let channel = rig.good_channel();
    let request = Request::new(EchoRequest::default())
        .with_wait_for_ready(true)
        .with_timeout(std::time::Duration::from_secs(3));
    let status = call_with(&channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("certificate expired"), "{status}");
    rig.nothing_is_left(channel).await;
}

#[test]
fn credentials_of_no_use_are_refused_when_they_are_made() {
    let authority = Authority::new("Test CA");
    let (one, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
    let none = Identity::from_pem("", &one.key).unwrap_err();
    assert!(matches!(none, TlsError::NoCertificate), "{none}");
    let none = Identity::from_pem(&one.chain, &one.chain).unwrap_err();
    assert!(matches!(none, TlsError::NoPrivateKey), "{none}");
    let cut = Identity::from_pem(&one.chain[..100], &one.key).unwrap_err();
    assert!(matches!(cut, TlsError::Pem(_)), "{cut}");
    let mixed = Identity::from_pem(&one.chain, &other.key).unwrap();
    let error = TlsServerCredentials::new(mixed.clone()).unwrap_err();
    assert!(matches!(error, TlsError::Identity(_)), "{error}");
    let builder = || TlsChannelCredentials::builder().roots(certificates(&authority));
    let error = builder().identity(mixed).build().unwrap_err();
    assert!(matches!(error, TlsError::Identity(_)), "{error}");
    let error = builder().server_name("a name").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"a name\" is no name that a certificate can be for"
    );
    let error = Identity::from_pem_files("/nowhere/chain.pem", "/nowhere/key.pem").unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/chain.pem: "),
        "{error}"
    );
    let shown = format!("{:?}", identity(&one));
    assert!(!shown.contains("PRIVATE") && shown.len() < 100, "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_authorities_of_the_world_do_not_vouch_for_a_test() {
    let rig = Rig::new();
    let credentials = TlsChannelCredentials::builder().webpki_roots();
    let channel = rig.channel(credentials.build().unwrap());
    let status = call(&channel).await.unwrap_err();
    assert!(status.message().contains("UnknownIssuer"), "{status}");
    rig.nothing_is_left(channel).await;
}
