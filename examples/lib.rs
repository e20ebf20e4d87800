//! What the examples share: echo servers to talk to.

use std::error::Error;
use std::fmt;

use highball_echo::{Echo, EchoServer, EchoWithAddress};
use highball_server::health::{HealthService, ServingStatus};
use highball_server::reflection::Descriptors;
use highball_server::{BoxListener, ListenError, Server};

/// What an example's `main` returns: a failure is printed, and the exit code is 1.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Any error. Prints as a sentence, also where `main` asks for `Debug`.
pub struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An echo server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens: what was asked for, with the port that was found if that was 0.
    pub address: String,
    /// To stop it with.
    pub server: Server,
}

/// Starts an echo server at `address` (`host:port`) whose replies say where they come from.
///
/// # Errors
///
/// Nothing can listen there, such as when the port is taken.
pub async fn start(address: &str) -> Result<Running, ListenError> {
    let listener = highball_server::bind(address).await?;
    let address = with_port(address, &listener.local_addr().to_string());
    Ok(serve(
        listener,
        EchoWithAddress::new(address.clone()),
        address,
    ))
}

/// Starts a server of one's own at a free port of this machine.
///
/// # Errors
///
/// Nothing can listen on this machine.
pub async fn start_here(echo: impl Echo) -> Result<Running, ListenError> {
    let listener = highball_server::bind("127.0.0.1:0").await?;
    let address = listener.local_addr().to_string();
    Ok(serve(listener, echo, address))
}

/// The echo, its health, and what tools such as grpcurl ask.
fn serve(listener: BoxListener, echo: impl Echo, address: String) -> Running {
    let health = HealthService::new();
    health.set("grpc.examples.echo.Echo", ServingStatus::Serving);
    let descriptors =
        Descriptors::decode([highball_echo::DESCRIPTORS]).expect("generated descriptors are whole");
    let server = Server::builder()
        .add_service(EchoServer::new(echo))
        .add_service(health)
        .reflection(descriptors)
        .build();
    let serving = server.clone().serve(listener);
    tokio::spawn(async move {
        serving
            .await
            .expect("a server that just listened can serve")
    });
    Running { address, server }
}

/// `localhost:0` with the port that the system chose.
fn with_port(asked: &str, listening: &str) -> String {
    match (asked.strip_suffix(":0"), listening.rsplit_once(':')) {
        (Some(host), Some((_, port))) => format!("{host}:{port}"),
        _ => asked.to_owned(),
    }
}

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

/// Whether the server at `address` got exactly every `n`-th of the calls; 0 is none of them.
///
/// # Errors
///
/// It did not: what it got, and what it should have got.
pub fn every_nth_went_to(address: &str, got: usize, calls: usize, n: u32) -> Result<(), String> {
    let expected = calls.checked_div(n as usize).unwrap_or(0);
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "{address} got {got} of {calls} calls, not {expected}: the ratio does not hold"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_holds_only_if_the_second_server_got_exactly_every_nth_call() {
        for (n, expected) in [(0, 0), (1, 9), (2, 4), (3, 3), (4, 2), (10, 0)] {
            for got in 0..=9 {
                let verdict = every_nth_went_to("b:2", got, 9, n);
                assert_eq!(verdict.is_ok(), got == expected, "{got} of 9, every {n}th");
            }
        }
        assert_eq!(
            every_nth_went_to("b:2", 4, 9, 3).unwrap_err(),
            "b:2 got 4 of 9 calls, not 3: the ratio does not hold"
        );
    }
}
