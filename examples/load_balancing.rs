//! The same two servers behind `pick_first` and behind `round_robin`.
//!
//! What to watch for: `pick_first` stays with the first server that answers, `round_robin` takes turns. The
//! only difference is one word of the service config.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Channel, ConnectivityState, Request};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start_here};

#[tokio::main]
async fn main() -> Outcome {
    let one = start_here(EchoWithAddress::new("server one")).await?;
    let two = start_here(EchoWithAddress::new("server two")).await?;
    for policy in ["pick_first", "round_robin"] {
        let servers = ManualResolver::new("example");
        servers.update(Resolution::new([
            one.address.as_str(),
            two.address.as_str(),
        ]));
        let channel = Channel::builder("example:///lb.example.grpc.io")
            .insecure()
            .resolver(servers)
            .default_service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
            ))
            .build()?;
        println!("--- ten calls with {policy} ---");
        channel.connect();
        channel.changed(ConnectivityState::Idle).await;
        let counts = ten_calls(&EchoClient::new(channel), policy == "round_robin").await?;
        println!(
            "server one answered {}, server two {}",
            counts[0], counts[1]
        );
    }
    Ok(())
}

/// Counts who answers ten calls; where both servers are to be used, from the first call that the second one
/// answers.
async fn ten_calls(echo: &EchoClient, both: bool) -> Outcome<[usize; 2]> {
    let mut seen = [false; 2];
    while both && seen != [true; 2] {
        seen[call(echo).await?] = true;
    }
    let mut counts = [0; 2];
    for _ in 0..10 {
        counts[call(echo).await?] += 1;
    }
    Ok(counts)
}

/// Calls; 0 if server one answered, 1 if server two did.
async fn call(echo: &EchoClient) -> Outcome<usize> {
    let request = Request::new(EchoRequest {
        message: "hello".to_owned(),
    })
    .with_wait_for_ready(true)
    .with_timeout(Duration::from_secs(5));
    let reply = echo.unary_echo(request).await?.into_message().message;
    Ok(usize::from(reply.ends_with("(from server two)")))
}
