//! Calls that fail in three ways, and what their statuses know of why.
//!
//! What to watch for: the phase in which each call ended, and where its time went. The first finds nobody, the
//! second finds a server that is too slow, and the third is told by a server, three times, to try again: each
//! attempt is listed, with whether the server can have worked on it.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::time::Duration;

use highball_channel::{Channel, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse};
use highball_examples::{Outcome, start, start_here};
use highball_server::{Response, Status};

/// Answers "later" after an hour and fails everything else.
struct Troubled;

impl Echo for Troubled {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let message = request.into_message().message;
        if message == "later" {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return Ok(Response::new(EchoResponse { message }));
        }
        Err(Status::unavailable("out of steam"))
    }
}

const RETRIED: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "0.02s", "maxBackoff": "0.02s",
    "backoffMultiplier": 1.0, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;

fn client(address: &str) -> Outcome<EchoClient> {
    let target = format!("passthrough:///{address}");
    let builder = Channel::builder(target).insecure();
    let channel = builder.default_service_config(RETRIED).build()?;
    Ok(EchoClient::new(channel))
}

fn say(text: &str) -> Request<EchoRequest> {
    let message = text.to_owned();
    Request::new(EchoRequest { message }).with_timeout(Duration::from_millis(500))
}

#[tokio::main]
async fn main() -> Outcome {
    // A port that was free a moment ago, and is again.
    let gone = start("127.0.0.1:0").await?;
    gone.server.stop().await;
    let echo = client(&gone.address)?;
    let patient = say("hello").with_wait_for_ready(true);
    let status = echo.unary_echo(patient).await.expect_err("nobody listens");
    let why = status.explanation().ok_or("every call is explained")?;
    println!("nobody there: {}\n  {why}", status.code());

    let server = start_here(Troubled).await?;
    let echo = client(&server.address)?;
    let status = echo.unary_echo(say("later")).await.expect_err("too late");
    let why = status.explanation().ok_or("every call is explained")?;
    println!("too slow: {}\n  {why}", status.code());

    let status = echo.unary_echo(say("hello")).await.expect_err("it fails");
    let why = status.explanation().ok_or("every call is explained")?;
    println!("failing: {status}\n{why:#}");
    Ok(())
}
