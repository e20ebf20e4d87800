//! A channel in an environment that names a proxy, in a build that has no way through one. With the feature `proxy`,
//! the tests of the echo service go through proxies.
#![cfg(not(feature = "proxy"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Debug, Write as _};
use std::process::Command;
use std::sync::{Arc, Mutex};

use highball_channel::{Channel, ChannelBuilder};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const TEST: &str = "the_environments_proxy_is_gone_past_and_that_is_said_once";

/// Writes down the warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What was said while this channel was built.
fn said(target: &str, choose: fn(ChannelBuilder) -> ChannelBuilder) -> (Channel, Vec<String>) {
    let warnings = Warnings::default();
    let channel = tracing::subscriber::with_default(warnings.clone(), || {
        choose(Channel::builder(target).insecure()).build().unwrap()
    });
    let said = warnings.0.lock().unwrap().clone();
    (channel, said)
}

/// A process has one environment, so this test runs itself in another.
#[test]
fn the_environments_proxy_is_gone_past_and_that_is_said_once() {
    if std::env::var_os("NO_PROXY").is_some_and(|hosts| hosts == TEST) {
        return in_the_environment();
    }
    let myself = std::env::current_exe().unwrap();
    let child = Command::new(myself)
        .args(["--exact", TEST])
        .env("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
        .env("NO_PROXY", TEST)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::main(flavor = "current_thread")]
async fn in_the_environment() {
    // The address of nobody and of everybody here: no machine's own, as far as proxies are concerned.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = format!("ipv4:0.0.0.0:{port}");
    let (channel, warnings) = said(&target, |builder| builder);
    assert_eq!(
        warnings,
        [format!(
            "channel message=the environment names a proxy, and servers are reached directly: \
             this build is without the feature `proxy` target=ipv4:///0.0.0.0:{port}"
        )]
    );
    channel.connect();
    let (mut client, _) = listener.accept().await.unwrap();
    let mut preface = [0; 24];
    client.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "no CONNECT");

    let (_, warnings) = said(&target, |builder| builder.no_proxy());
    assert_eq!(warnings, [""; 0], "what was chosen is no surprise");
    for direct in ["localhost:1", "ipv4:127.0.0.1:1", "unix:/run/server"] {
        let (_, warnings) = said(direct, |builder| builder);
        assert_eq!(warnings, [""; 0], "{direct}");
    }
}
