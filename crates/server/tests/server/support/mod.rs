//! What the tests share: a service with something of everything, and a client on bare h2.

pub(crate) mod client;
pub(crate) mod lab;
pub(crate) mod raw;

use std::time::Duration;

use highball_server::{Server, ServerBuilder};
use highball_transport::MemoryNetwork;

pub(crate) use client::Client;
pub(crate) use lab::{Lab, Seen};

/// A server of [`Lab`] on a network in memory.
pub(crate) struct World {
    pub(crate) network: MemoryNetwork,
    pub(crate) server: Server,
    pub(crate) seen: Seen,
    pub(crate) serving: tokio::task::JoinHandle<Result<(), highball_server::ServeError>>,
}

pub(crate) const NAME: &str = "server:1";

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let network = MemoryNetwork::new();
        let listener = network.listen(NAME);
        let seen = Seen::default();
        let server = configure(Server::builder())
            .add_service(Lab(seen.clone()))
            .build();
        let serving = tokio::spawn(server.clone().serve(listener));
        Self {
            network,
            server,
            seen,
            serving,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.network).await
    }

    pub(crate) async fn raw(&self) -> raw::Peer {
        raw::Peer::connect(&self.network).await
    }

    /// Stops the server; nothing of it is left.
    pub(crate) async fn end(self) {
        self.server.stop().await;
        self.serving.await.unwrap().unwrap();
        settle().await;
        assert_eq!(self.seen.running(), 0, "handlers are left");
        assert_eq!(
            self.network.open_connections(NAME),
            0,
            "connections are left"
        );
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, 0, "tasks are left");
    }
}

/// Lets everything happen that is due.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
