//! The authorities that the system trusts. Which they are, its environment says: the test runs this program again, each
//! time in another one.

use std::path::Path;
use std::process::{Command, Output};

use highball_channel::TlsChannelCredentials;
use highball_server::{Identity, TlsServerCredentials};
use highball_testkit::certificates::Authority;

use crate::rig::{HOST, Rig, call};

/// Where the server's chain and key are, in the program that is run again.
const IDENTITY: &str = "HIGHBALL_TEST_IDENTITY";

/// Has a client that trusts the system call a server with the certificate that lies in this folder, where the system
/// trusts `roots`.
fn call_where_the_system_trusts(roots: &Path, identity: &Path) -> Output {
    let program = std::env::current_exe().expect("it has a path");
    let name = "roots::whom_the_system_trusts_is_trusted";
    Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR")
        .env(IDENTITY, identity)
        .output()
        .expect("it runs again")
}

#[test]
fn whom_the_system_trusts_is_trusted() {
    if let Some(identity) = std::env::var_os(IDENTITY) {
        return calling(Path::new(&identity));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("The system's CA");
    let issued = authority.issue(&[HOST]);
    for (name, text) in [
        ("ours.pem", authority.pem()),
        ("other.pem", Authority::new("Other CA").pem()),
        ("chain.pem", &issued.chain),
        ("key.pem", &issued.key),
    ] {
        std::fs::write(folder.path().join(name), text).expect("room on the disk");
    }
    let calling = |roots| call_where_the_system_trusts(&folder.path().join(roots), folder.path());
    let trusted = calling("ours.pem");
    assert!(trusted.status.success(), "{trusted:?}");
    let untrusted = calling("other.pem");
    assert!(!untrusted.status.success());
    let said = String::from_utf8_lossy(&untrusted.stderr);
    assert!(said.contains("UnknownIssuer"), "{said}");
}

/// Whoever chooses no authorities has the system's, as whoever asks for them.
#[tokio::main(flavor = "current_thread")]
async fn calling(identity: &Path) {
    let mut rig = Rig::without_server();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| identity.join(name));
    let identity = Identity::from_pem_files(chain, key).expect("a chain and a key");
    rig.serve(TlsServerCredentials::new(identity).expect("a good identity"));
    let builder = TlsChannelCredentials::builder;
    for credentials in [builder().native_roots(), builder()] {
        let channel = rig.channel(credentials.build().expect("the system trusts somebody"));
        call(&channel).await.expect("the server is trusted");
        channel.close().await;
    }
}
