//! A process that has no more file descriptors: the test runs this program again, with few of them.

#![cfg(unix)]

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use highball_channel::{Channel, Code, ConnectivityState, Request};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::Server;

/// Set for the process with few descriptors.
const FEW: &str = "HIGHBALL_FEW_DESCRIPTORS";

/// Enough for the runtime, the server and both ends of a connection.
const LIMIT: u32 = 64;

#[test]
fn f29_emfile_on_connect() {
    if std::env::var_os(FEW).is_some() {
        return with_few_descriptors();
    }
    let program = std::env::current_exe().expect("it has a path");
    let limited = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -n {LIMIT} && exec \"$0\" --exact f29_emfile_on_connect"),
        ])
        .arg(program)
        .env(FEW, "1")
        .output()
        .expect("there is a shell");
    assert!(limited.status.success(), "{limited:?}");
}

#[tokio::main(flavor = "current_thread")]
async fn with_few_descriptors() {
    let service = EchoServer::new(EchoWithAddress::new("here"));
    let server = Server::builder().add_service(service).build();
    let listener = highball_server::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let target = listener.local_addr().text().to_owned();
    let serving = tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(target)
        .insecure()
        .build()
        .expect("a channel");
    let echo = EchoClient::new(channel.clone());
    let say = || Request::new(EchoRequest::default()).with_timeout(Duration::from_secs(30));

    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    assert!(taken.len() > 10, "the limit is in force");
    let status = echo.unary_echo(say()).await.expect_err("no descriptor");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("Too many open files"), "{status}");
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);

    let patient = echo.unary_echo(say().with_wait_for_ready(true));
    drop(taken);
    let reply = patient.await.expect("it heals by itself");
    assert_eq!(reply.into_message().message, " (from here)");
    channel.close().await;
    server.stop().await;
    let served = serving.await.expect("no panic");
    served.expect("it was stopped");
}
