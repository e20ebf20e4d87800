//! Calls to a server that fails three requests of four, with a retry policy and without.
//!
//! What to watch for: with the policy of the service config the application makes one call and the server sees
//! four, each of which says how many came before it. An interceptor sees them, too, for it asks to. Without a
//! policy, the first failure is the call's. With one of too few attempts the status says how many there were.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use highball_channel::{AttemptEvent, Channel, Method, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse};
use highball_examples::{Outcome, start_here};
use highball_server::{Response, Status};

/// Fails all requests but each fourth. Writes down what they say of those before them.
#[derive(Clone, Default)]
struct Flaky {
    requests: Arc<AtomicUsize>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Echo for Flaky {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let previous = request.metadata().get("grpc-previous-rpc-attempts");
        let said = previous.unwrap_or("nothing").to_owned();
        self.said.lock().expect("nobody panics with it").push(said);
        match self.requests.fetch_add(1, Ordering::Relaxed) % 4 {
            3 => Ok(Response::new(EchoResponse {
                message: request.into_message().message,
            })),
            _ => Err(Status::unavailable("try again")),
        }
    }
}

impl Flaky {
    /// What the requests since the last look have said, and begins with the first of four again.
    fn look(&self) -> String {
        self.requests.store(0, Ordering::Relaxed);
        let said = std::mem::take(&mut *self.said.lock().expect("nobody panics with it"));
        said.join(", ")
    }
}

/// A service config that has calls of all methods attempted so often.
fn retried(attempts: u32) -> String {
    format!(
        r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {{
            "maxAttempts": {attempts}, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
            "backoffMultiplier": 1.0, "retryableStatusCodes": ["UNAVAILABLE"]}}}}]}}"#
    )
}

/// An interceptor that tells what becomes of each attempt.
fn tell_attempts(_: &Method, request: &mut Request<()>) -> Result<(), Status> {
    request.observe_attempts(|attempt| {
        let number = attempt.previous_attempts + 1;
        move |event| match event {
            AttemptEvent::Ended(end) => match end.outcome {
                Ok(_) => println!("  attempt {number} ended well"),
                Err(status) => println!("  attempt {number} ended {status}"),
            },
            AttemptEvent::Committed => println!("  attempt {number} is the call"),
            // It was picked a server, it was sent, it was answered.
            _ => (),
        }
    });
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let flaky = Flaky::default();
    let server = start_here(flaky.clone()).await?;
    for (name, config) in [
        ("four attempts", retried(4)),
        ("no policy", "{}".to_owned()),
        ("two attempts", retried(2)),
    ] {
        let channel = Channel::builder(format!("passthrough:///{}", server.address))
            .insecure()
            .default_service_config(config)
            .interceptor(tell_attempts)
            .build()?;
        let message = "hello".to_owned();
        let request = Request::new(EchoRequest { message });
        println!("{name}:");
        match EchoClient::new(channel).unary_echo(request).await {
            Ok(reply) => println!("  {}", reply.message().message),
            Err(status) => println!("  {status}"),
        }
        println!(
            "  attempts before, as the server was told: {}",
            flaky.look()
        );
    }
    Ok(())
}
