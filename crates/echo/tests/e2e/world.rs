//! Servers on a network in memory, a resolver that knows them, and channels to them.

use std::collections::BTreeMap;
use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::MemoryNetwork;
use highball_channel::{Channel, ChannelBuilder, Endpoint, Request, Status};
use highball_echo::{CustomRoundRobin, EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::{Listener, Server};
use highball_testkit::alive_tasks;

/// Two servers that every test may use.
pub(crate) const A: &str = "a:1";
pub(crate) const B: &str = "b:2";

/// Everything around a channel.
pub(crate) struct World {
    pub(crate) network: MemoryNetwork,
    pub(crate) resolver: ManualResolver,
    servers: BTreeMap<String, Server>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            network: MemoryNetwork::new(),
            resolver: ManualResolver::new("test"),
            servers: BTreeMap::new(),
        }
    }

    /// Two servers, and a resolver that knows them.
    pub(crate) fn with_two_servers() -> Self {
        let mut world = Self::new();
        world.start(A);
        world.start(B);
        world.resolve(&[A, B]);
        world
    }

    /// Starts an echo server whose replies say where they come from.
    pub(crate) fn start(&mut self, name: &str) {
        let service = EchoServer::new(EchoWithAddress::new(name));
        self.start_with(name, Server::builder().add_service(service).build());
    }

    pub(crate) fn start_with(&mut self, name: &str, server: Server) {
        let listener = self.network.listen(name);
        self.start_at(listener, name, server);
    }

    pub(crate) fn start_at(&mut self, listener: impl Listener, name: &str, server: Server) {
        tokio::spawn(server.clone().serve(listener));
        self.servers.insert(name.to_owned(), server);
    }

    /// Lets a server finish its calls, and stops it.
    pub(crate) async fn stop_gracefully(&mut self, name: &str) {
        self.servers
            .remove(name)
            .expect("it runs")
            .graceful_stop()
            .await;
    }

    /// Takes a server away: its connections are cut in mid-call.
    pub(crate) async fn kill(&mut self, name: &str) {
        self.network.cut(name);
        self.servers.remove(name).expect("it runs").stop().await;
    }

    /// Has the resolver say that the servers are at these addresses, one endpoint each.
    pub(crate) fn resolve(&self, names: &[&str]) {
        self.resolver.update(Resolution::new(
            names.iter().map(|name| Endpoint::from(*name)),
        ));
    }

    pub(crate) fn builder(&self) -> ChannelBuilder {
        Channel::builder("test:///servers")
            .insecure()
            .resolver(self.resolver.clone())
            .connector(self.network.clone())
            .policy::<CustomRoundRobin>()
            .seed(7)
    }

    /// A channel that balances by `policy`, given as one entry of `loadBalancingConfig`.
    pub(crate) fn channel(&self, policy: &str) -> Channel {
        self.builder()
            .default_service_config(format!(r#"{{"loadBalancingConfig":[{policy}]}}"#))
            .build()
            .expect("the test's choices make sense")
    }

    /// A channel with a connection to both servers, whose first pick is the first of a fresh picker.
    pub(crate) async fn settled(&self, policy: &str) -> Channel {
        let channel = self.channel(policy);
        channel
            .wait_ready(Duration::from_secs(5))
            .await
            .expect("a server runs");
        settle().await;
        self.resolve(&[A, B]);
        self.resolver
            .verdict()
            .await
            .expect("two endpoints are fine");
        settle().await;
        channel
    }
}

/// Gives everything that can happen without the clock the time to happen.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) fn message(text: &str) -> EchoRequest {
    EchoRequest {
        message: text.to_owned(),
    }
}

/// Says `x` and returns which server answered.
pub(crate) async fn who(channel: &Channel) -> Result<String, Status> {
    who_with(channel, Request::new(message("x"))).await
}

pub(crate) async fn who_with(
    channel: &Channel,
    request: Request<EchoRequest>,
) -> Result<String, Status> {
    let reply = EchoClient::new(channel.clone())
        .unary_echo(request)
        .await?
        .into_message();
    let (_, name) = reply
        .message
        .split_once("(from ")
        .expect("the reply says where it is from");
    Ok(name.trim_end_matches(')').to_owned())
}

/// F for the first server, S for the second, in the order of the answers.
pub(crate) async fn sequence(channel: &Channel, calls: usize) -> String {
    let mut sequence = String::new();
    for _ in 0..calls {
        sequence.push(if who(channel).await.expect("a server answers") == A {
            'F'
        } else {
            'S'
        });
    }
    sequence
}

/// Ends a test: closes the channel and the servers, then nothing may be left.
pub(crate) async fn nothing_is_left(mut world: World, channel: Channel) {
    channel.close().await;
    drop(channel);
    for (_, server) in std::mem::take(&mut world.servers) {
        server.stop().await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    for name in [A, B] {
        assert_eq!(
            world.network.open_connections(name),
            0,
            "connections to {name}"
        );
    }
    let tasks = alive_tasks();
    assert_eq!(tasks, 0, "tasks");
}
