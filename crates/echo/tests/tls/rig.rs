//! A server behind TLS, an authority that certifies it, and channels to it.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use highball_channel::transport::{ClientOptions, MemoryNetwork};
use highball_channel::{
    Certificates, Channel, ChannelBuilder, ChannelCredentials, ConnectivityState, Identity,
    Request, Response, Status, TlsChannelBuilder, TlsChannelCredentials,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Server, ServerCredentials, TlsServerCredentials};
use highball_testkit::alive_tasks;
use highball_testkit::certificates::{Authority, Issued};

/// Where the server is, and the host that its certificate is for.
pub(crate) const SERVER: &str = "server.test:443";
pub(crate) const HOST: &str = "server.test";

pub(crate) struct Rig {
    pub(crate) network: MemoryNetwork,
    pub(crate) authority: Authority,
    servers: Vec<Server>,
}

impl Rig {
    /// A server with a good certificate that asks clients for none.
    pub(crate) fn new() -> Self {
        let mut rig = Self::without_server();
        let credentials = rig.server_credentials();
        rig.serve(credentials);
        rig
    }

    pub(crate) fn without_server() -> Self {
        Self {
            network: MemoryNetwork::new(),
            authority: Authority::new("Test CA"),
            servers: Vec::new(),
        }
    }

    pub(crate) fn server_credentials(&self) -> TlsServerCredentials {
        TlsServerCredentials::new(self.identity(&[HOST])).expect("a good identity")
    }

    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        identity(&self.authority.issue(names))
    }

    pub(crate) fn certificates(&self) -> Certificates {
        certificates(&self.authority)
    }

    /// Serves at [`SERVER`] from here on.
    pub(crate) fn serve(&mut self, credentials: impl ServerCredentials) -> Server {
        let server = Server::builder().credentials(credentials);
        self.serve_with(server.add_service(EchoServer::new(WhoAsks)).build())
    }

    pub(crate) fn serve_with(&mut self, server: Server) -> Server {
        tokio::spawn(server.clone().serve(self.network.listen(SERVER)));
        self.servers.push(server.clone());
        server
    }

    /// Credentials that trust the authority.
    pub(crate) fn trusting(&self) -> TlsChannelBuilder {
        TlsChannelCredentials::builder().roots(self.certificates())
    }

    pub(crate) fn builder(&self, credentials: impl ChannelCredentials) -> ChannelBuilder {
        Channel::builder(format!("passthrough:///{SERVER}"))
            .credentials(credentials)
            .connector(self.network.clone())
            .client_options(ClientOptions::default())
            .seed(7)
    }

    pub(crate) fn channel(&self, credentials: impl ChannelCredentials) -> Channel {
        self.builder(credentials).build().expect("a channel")
    }

    /// A channel that trusts the authority and shows nothing.
    pub(crate) fn good_channel(&self) -> Channel {
        self.channel(self.trusting().build().expect("good credentials"))
    }

    /// Ends a test: afterwards nothing may be left.
    pub(crate) async fn nothing_is_left(self, channel: Channel) {
        channel.close().await;
        drop(channel);
        for server in self.servers {
            server.stop().await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(self.network.open_connections(SERVER), 0, "connections");
        assert_eq!(alive_tasks(), 0, "tasks");
    }
}

pub(crate) fn identity(issued: &Issued) -> Identity {
    Identity::from_pem(&issued.chain, &issued.key).expect("a chain and a key")
}

pub(crate) fn certificates(authority: &Authority) -> Certificates {
    Certificates::from_pem(authority.pem()).expect("a certificate")
}

/// Replies with what the server knows of its client, and whom the client has asked for.
pub(crate) struct WhoAsks;

impl Echo for WhoAsks {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let peer = request.peer().expect("there is a connection").auth_info();
        let message = format!(
            "{} {} {:?} asks {}",
            peer.protocol(),
            peer.security_level(),
            peer.names(),
            request.authority().unwrap_or_default(),
        );
        Ok(Response::new(EchoResponse { message }))
    }
}

pub(crate) async fn call(channel: &Channel) -> Result<Response<EchoResponse>, Status> {
    call_with(channel, Request::new(EchoRequest::default())).await
}

pub(crate) async fn call_with(
    channel: &Channel,
    request: Request<EchoRequest>,
) -> Result<Response<EchoResponse>, Status> {
    EchoClient::new(channel.clone()).unary_echo(request).await
}

/// What the server says of a call that goes well.
pub(crate) async fn said(channel: &Channel) -> String {
    let reply = call(channel).await.expect("the call goes well");
    reply.into_message().message
}

/// A channel that can never connect: calls fail UNAVAILABLE with a text that has these words, no state
/// is READY, and attempts keep to the backoff.
pub(crate) async fn never_connects(network: &MemoryNetwork, channel: &Channel, words: &[&str]) {
    let mut states = channel.states();
    let status = call(channel).await.expect_err("nobody to talk to");
    assert_eq!(
        status.code(),
        highball_channel::Code::Unavailable,
        "{status}"
    );
    for word in words.iter().chain(&["connection error", SERVER]) {
        assert!(status.message().contains(word), "{word:?} in {status}");
    }
    let at_first = network.connections(SERVER);
    assert_eq!(at_first, 1, "one attempt before the call is failed");
    // 1 s, then 1.6 s, then 2.56 s, each give or take a fifth: a second attempt and no third.
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert_eq!(network.connections(SERVER), 2, "attempts in two seconds");
    let seen = drain(&mut states).await;
    assert!(!seen.contains(&ConnectivityState::Ready), "{seen:?}");
    assert!(seen.contains(&ConnectivityState::TransientFailure));
}

async fn drain<S: Stream<Item = ConnectivityState> + Unpin>(
    states: &mut S,
) -> Vec<ConnectivityState> {
    let mut seen = Vec::new();
    let moment = Duration::from_millis(1);
    while let Ok(Some(state)) = tokio::time::timeout(moment, states.next()).await {
        seen.push(state);
    }
    seen
}
