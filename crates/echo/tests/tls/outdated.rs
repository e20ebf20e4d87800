//! Clients that offer what HTTP/2 and good sense forbid: the server says no with the alert that TLS has for it.

use highball_channel::transport::Connector as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::rig::{HOST, Rig, SERVER, said};

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const SERVER_HELLO: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// Their number of bytes, in so many bytes, and they.
fn vector(length: usize, content: &[u8]) -> Vec<u8> {
    let count = content.len().to_be_bytes();
    [&count[count.len() - length..], content].concat()
}

fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[0, kind], &*vector(2, content)].concat()
}

/// A ClientHello of TLS 1.2 or before (RFC 5246, 7.4.1.2), in a record.
fn client_hello(minor_version: u8, suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    let name = vector(2, &[&[0], &*vector(2, HOST.as_bytes())].concat());
    let extensions = [
        extension(0, &name),
        // x25519 and P-256, uncompressed.
        extension(10, &vector(2, &[0, 29, 0, 23])),
        extension(11, &vector(1, &[0])),
        // ECDSA on P-256 with SHA-256, RSA-PSS with SHA-256.
        extension(13, &vector(2, &[4, 3, 8, 4])),
        extension(16, &vector(2, &vector(1, b"h2"))),
    ];
    let random = [7; 32];
    let no_session = vector(1, &[]);
    let no_compression = vector(1, &[0]);
    let body = [
        &[3, minor_version],
        &random[..],
        &no_session,
        &vector(2, &suites),
        &no_compression,
        &vector(2, &extensions.concat()),
    ];
    let hello = [&[1], &*vector(3, &body.concat())].concat();
    [&[HANDSHAKE, 3, 1], &*vector(2, &hello)].concat()
}

/// The type of the record that the server answers with, and what is in it.
async fn answer(rig: &Rig, hello: &[u8]) -> (u8, Vec<u8>) {
    let mut io = rig
        .network
        .connect(&SERVER.into())
        .await
        .expect("it listens");
    io.write_all(hello).await.expect("the server reads");
    let mut head = [0; 5];
    io.read_exact(&mut head).await.expect("the server answers");
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    io.read_exact(&mut content).await.expect("a whole record");
    (head[0], content)
}

#[tokio::test(start_paused = true)]
async fn versions_before_tls_1_2_and_ciphers_that_http2_forbids_are_refused() {
    const ECDHE_ECDSA_AES_128_GCM: u16 = 0xc02b;
    let fatal = |why| (ALERT, vec![2, why]);
    let rig = Rig::new();
    let (kind, content) = answer(&rig, &client_hello(3, &[ECDHE_ECDSA_AES_128_GCM])).await;
    assert_eq!((kind, content[0]), (HANDSHAKE, SERVER_HELLO), "{content:?}");
    for (minor_version, name) in [(0, "SSL 3.0"), (1, "TLS 1.0"), (2, "TLS 1.1")] {
        let hello = client_hello(minor_version, &[ECDHE_ECDSA_AES_128_GCM]);
        assert_eq!(
            answer(&rig, &hello).await,
            fatal(PROTOCOL_VERSION),
            "{name}"
        );
    }
    for (suite, name) in [
        (0x0005, "RSA_WITH_RC4_128_SHA"),
        (0x002f, "RSA_WITH_AES_128_CBC_SHA"),
        (0x009c, "RSA_WITH_AES_128_GCM_SHA256"),
        (0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
        (0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    ] {
        let hello = client_hello(3, &[suite]);
        assert_eq!(
            answer(&rig, &hello).await,
            fatal(HANDSHAKE_FAILURE),
            "{name}"
        );
    }
    let channel = rig.good_channel();
    assert!(
        said(&channel).await.starts_with("tls "),
        "others are served"
    );
    rig.nothing_is_left(channel).await;
}
