//! Calls with deadlines, to a server that takes its time.
//!
//! What to watch for: the deadline travels with the call, so the server knows how much time is left, and its
//! handler is stopped when there is none. The status says what the call was waiting for.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::time::Duration;

use highball_channel::{Channel, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse};
use highball_examples::{Outcome, start_here};
use highball_server::{Response, Status};
use tokio::sync::mpsc;

/// Answers "now" at once and anything else after an hour. Says when it is told to stop.
struct Slow {
    stopped: mpsc::UnboundedSender<bool>,
}

impl Echo for Slow {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let has_deadline = request.deadline().is_some();
        let message = request.message().message.clone();
        if message != "now" {
            let mut stopping = Stopping {
                stopped: self.stopped.clone(),
                has_deadline,
            };
            tokio::time::sleep(Duration::from_secs(3600)).await;
            stopping.has_deadline = false;
        }
        Ok(Response::new(EchoResponse { message }))
    }
}

/// Dropped with the handler, when its time is over.
struct Stopping {
    stopped: mpsc::UnboundedSender<bool>,
    has_deadline: bool,
}

impl Drop for Stopping {
    fn drop(&mut self) {
        // Nobody listens once the example is over.
        let _ = self.stopped.send(self.has_deadline);
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let (stopped, mut stops) = mpsc::unbounded_channel();
    let server = start_here(Slow { stopped }).await?;
    let target = format!("passthrough:///{}", server.address);
    let echo = EchoClient::new(Channel::builder(target).insecure().build()?);
    let say = |text: &str, millis| {
        Request::new(EchoRequest {
            message: text.to_owned(),
        })
        .with_timeout(Duration::from_millis(millis))
    };
    let reply = echo.unary_echo(say("now", 5000)).await?;
    println!("in time: {}", reply.message().message);

    let status = echo
        .unary_echo(say("later", 100))
        .await
        .expect_err("an hour is too long");
    // What follows is whose response, or that the server's clock was first.
    let stage = status.message().split(" of ").next().unwrap_or_default();
    let stage = stage.split(": ").next().unwrap_or_default();
    println!("too late: {}: {stage}", status.code());
    println!("the server was told to stop: {:?}", stops.recv().await);

    let status = echo
        .unary_echo(say("now", 0))
        .await
        .expect_err("no time at all");
    println!("no time at all: {}", status.code());
    Ok(())
}
