//! Connections that have died, that nobody uses, and that are asked too often whether they are alive.
//!
//! What to watch for: without keepalive the call in the tunnel would wait for ever, for nobody tells it that the
//! connection is dead. PINGs cost the server, so it says how many it takes. The minutes pass quickly: the clock is
//! the program's own, and so is the network.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::transport::{Connector as _, Keepalive, MemoryNetwork};
use highball_channel::{Channel, Status};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_examples::Outcome;
use highball_server::{EnforcementPolicy, Request, Response, Server};
use tokio::sync::Notify;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Answers everything but "wait".
struct Station;

impl Echo for Station {
    async fn unary_echo(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let message = request.into_message().message;
        if message == "wait" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(EchoResponse { message }))
    }
}

/// Carries what is said between "line" and "station", until it is dark.
async fn carry(network: MemoryNetwork, dark: Arc<Notify>) {
    let mut line = network.listen("line");
    while let Ok(mut client) = line.accept().await {
        let Ok(mut server) = network.connect(&"station".into()).await else {
            continue;
        };
        let dark = Arc::clone(&dark);
        tokio::spawn(async move {
            tokio::select! {
                _ended = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                // Both ends are still there, and nothing comes through.
                () = dark.notified() => std::future::pending().await,
            }
        });
    }
}

fn channel(network: &MemoryNetwork, to: &str) -> Outcome<Channel> {
    let keepalive = Keepalive {
        time: 10 * SECOND,
        timeout: 5 * SECOND,
        permit_without_stream: true,
    };
    let builder = Channel::builder(format!("passthrough:///{to}"));
    let builder = builder.insecure().connector(network.clone());
    Ok(builder.keepalive(keepalive).build()?)
}

async fn say(echo: &EchoClient, text: &str) -> String {
    let message = text.to_owned();
    match echo.unary_echo(EchoRequest { message }).await {
        Ok(reply) => reply.into_message().message,
        Err(status) => status.to_string(),
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Outcome {
    let start = Instant::now();
    let now = move || start.elapsed().as_secs();
    let (network, dark) = (MemoryNetwork::new(), Arc::new(Notify::new()));
    let patient = Server::builder()
        .add_service(EchoServer::new(Station))
        .enforcement_policy(EnforcementPolicy {
            min_time: 5 * SECOND,
            permit_without_stream: true,
        })
        .max_connection_idle(60 * SECOND);
    tokio::spawn(patient.serve(network.listen("station")));
    tokio::spawn(carry(network.clone(), Arc::clone(&dark)));

    let through_the_tunnel = channel(&network, "line")?;
    let echo = EchoClient::new(through_the_tunnel.clone());
    let reply = say(&echo, "hello").await;
    println!("{:3} s  {reply}", now());
    dark.notify_waiters();
    println!("{:3} s  into the tunnel", now());
    let reply = say(&echo, "are you there?").await;
    println!("{:3} s  {reply}", now());
    let reply = say(&echo, "hello again").await;
    println!("{:3} s  {reply}, on another connection", now());

    let mut states = through_the_tunnel.states();
    while let Some(state) = states.next().await {
        println!("{:3} s  {state}", now());
        if state == highball_channel::ConnectivityState::Idle {
            break;
        }
    }

    let strict = Server::builder().add_service(EchoServer::new(Station));
    tokio::spawn(strict.serve(network.listen("strict")));
    let echo = EchoClient::new(channel(&network, "strict")?);
    println!(
        "{:3} s  calling a server that wants a PING in five minutes",
        now()
    );
    let reply = say(&echo, "wait").await;
    println!("{:3} s  {reply}", now());
    Ok(())
}
