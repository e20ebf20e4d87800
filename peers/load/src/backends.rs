//! The servers of a figure: on a runtime of their own, on ports that they keep when they are restarted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use highball_channel::ChannelBuilder;
use highball_server::{Address, BoxIo, Listener, Server, ServerBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Result;
use crate::service::{LoadService, Seen};

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// How each server is set up.
type Setup = fn(ServerBuilder) -> ServerBuilder;

/// Some servers that do the same.
pub(crate) struct Backends {
    setup: Setup,
    seen: Arc<Seen>,
    connections: Arc<AtomicU64>,
    servers: Vec<Backend>,
    /// Gone when the servers are dropped.
    runtime: Option<Runtime>,
}

struct Backend {
    at: SocketAddr,
    server: Server,
}

impl Backends {
    /// Starts `count` servers.
    pub(crate) async fn start(count: usize, setup: Setup) -> Result<Self> {
        let mut backends = Self {
            setup,
            seen: Arc::default(),
            connections: Arc::default(),
            servers: Vec::new(),
            runtime: Some(Runtime::new()?),
        };
        for _ in 0..count {
            let backend = backends.serve(([127, 0, 0, 1], 0).into()).await?;
            backends.servers.push(backend);
        }
        Ok(backends)
    }

    /// A channel's builder, with a target of all servers, round robin.
    pub(crate) fn channel(&self) -> ChannelBuilder {
        let servers: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.at.to_string())
            .collect();
        highball_channel::Channel::builder(format!("ipv4:{}", servers.join(",")))
            .insecure()
            .default_service_config(ROUND_ROBIN)
    }

    /// Stops a server gracefully, and starts another in its place as soon as its calls are done.
    pub(crate) async fn restart(&mut self, index: usize) -> Result<()> {
        let index = index % self.servers.len();
        let Backend { at, server } = &self.servers[index];
        server.graceful_stop().await;
        self.servers[index] = self.serve(*at).await?;
        Ok(())
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// How many connections were accepted, ever.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    async fn serve(&self, at: SocketAddr) -> Result<Backend> {
        let service = LoadService(Arc::clone(&self.seen));
        let server = (self.setup)(Server::builder().add_service(service)).build();
        let connections = Arc::clone(&self.connections);
        let runtime = self.runtime.as_ref().ok_or("the servers are gone")?;
        let serving = server.clone();
        let at = runtime
            .spawn(async move {
                let listener = TcpListener::bind(at).await?;
                let at = listener.local_addr()?;
                tokio::spawn(serving.serve(Counted {
                    listener,
                    connections,
                }));
                io::Result::Ok(at)
            })
            .await??;
        Ok(Backend { at, server })
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts what it accepts.
struct Counted {
    listener: TcpListener,
    connections: Arc<AtomicU64>,
}

impl Listener for Counted {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            let accepted = Listener::accept(&mut self.listener).await?;
            self.connections.fetch_add(1, Ordering::Relaxed);
            Ok(accepted)
        })
    }

    fn local_addr(&self) -> Address {
        Listener::local_addr(&self.listener)
    }
}
