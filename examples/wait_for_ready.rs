//! Three calls to a server that is not there yet.
//!
//! What to watch for: the first call fails at once, for nobody listens. The second waits for the server, but
//! not longer than its deadline. The third waits too, and is answered when the server starts.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::time::Duration;

use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start};

#[tokio::main]
async fn main() -> Outcome {
    // A port that was free a moment ago, and is again.
    let address = start("localhost:0").await?;
    address.server.stop().await;
    let address = address.address;

    let channel = Channel::builder(format!("passthrough:///{address}"))
        .insecure()
        .build()?;
    let echo = EchoClient::new(channel);
    let hello = || {
        Request::new(EchoRequest {
            message: "hello".to_owned(),
        })
    };

    let status = echo.unary_echo(hello()).await.expect_err("nobody listens");
    println!("without wait-for-ready: {}", status.code());

    let patient = hello()
        .with_wait_for_ready(true)
        .with_timeout(Duration::from_millis(100));
    let status = echo.unary_echo(patient).await.expect_err("still nobody");
    println!("with a deadline of 100 ms: {}", status.code());

    let call =
        tokio::spawn(async move { echo.unary_echo(hello().with_wait_for_ready(true)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    println!("now the server starts");
    let listener = highball_server::bind(&address).await?;
    let service = highball_echo::EchoServer::new(EchoWithAddress::new("the server"));
    tokio::spawn(
        highball_server::Server::builder()
            .add_service(service)
            .build()
            .serve(listener),
    );
    println!("with wait-for-ready: {}", call.await??.message().message);
    Ok(())
}
