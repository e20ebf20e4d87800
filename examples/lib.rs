//! What the examples share: echo servers to talk to.

use std::error::Error;
use std::fmt;

use highball_echo::{Echo, EchoServer, EchoWithAddress};
use highball_server::{ListenError, Server};

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

fn serve(listener: highball_server::BoxListener, echo: impl Echo, address: String) -> Running {
    let server = Server::builder().add_service(EchoServer::new(echo)).build();
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
