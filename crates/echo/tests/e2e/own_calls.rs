//! The calls that a channel makes itself, to ask servers for their health and load, carry its call credentials
//! (gRFC A17).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use highball_channel::transport::BoxIo;
use highball_channel::{
    AuthInfo, BearerToken, CallCredentials, CallCredentialsError, Channel, ChannelBuilder,
    ChannelCredentials, ConnectivityState, MetadataMap, RequestInfo, Secured, SecurityLevel,
    Status,
};
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_server::health::HealthService;
use highball_server::health::ServingStatus::Serving;

use crate::world::{A, World, nothing_is_left, settle, who};

/// A name that is no secret. How often it has been asked for is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Name {
    asked: Arc<AtomicUsize>,
    /// How often it fails before it is known, and how: without a status, it panics.
    failures: usize,
    failure: Option<Status>,
}

impl Name {
    /// Not known when it is asked for the first few times.
    pub(crate) fn failing(failures: usize) -> Self {
        Self {
            failures,
            failure: Some(Status::unavailable("no token server")),
            ..Self::default()
        }
    }
}

impl CallCredentials for Name {
    async fn metadata(&self, call: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked < self.failures {
            let failure = self.failure.clone().expect("lost for words");
            return Err(failure.into());
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("x-name", &format!("Casey for {}", call.path()))?;
        Ok(metadata)
    }

    fn requires_security(&self) -> bool {
        false
    }
}

/// Turns calls away that do not say who makes them.
pub(crate) fn check_name(request: &mut highball_server::Request<()>) -> Result<(), Status> {
    let expected = format!("Casey for {}", request.path());
    match request.metadata().get("x-name") {
        Some(name) if name == expected => Ok(()),
        other => Err(Status::unauthenticated(format!("who is {other:?}?"))),
    }
}

/// A server that is healthy and wants to know who calls, and a channel that asks for its health.
fn asking(
    choices: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
) -> (World, HealthService, Channel) {
    let mut world = World::new();
    let health = HealthService::new();
    health.set("echo", Serving);
    let server = Server::builder()
        .interceptor(check_name)
        .add_service(EchoServer::new(EchoWithAddress::new(A)))
        .add_service(health.clone())
        .build();
    world.start_with(A, server);
    world.resolve(&[A]);
    let builder = world.builder().default_service_config(
        r#"{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"echo"}}"#,
    );
    let channel = choices(builder).build().expect("the choices make sense");
    (world, health, channel)
}

#[tokio::test(start_paused = true)]
async fn a17_the_health_check_carries_the_call_credentials_of_the_channel() {
    let (world, health, channel) = asking(|builder| builder.call_credentials(Name::default()));
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    assert_eq!(health.watchers(), 1);
    nothing_is_left(world, channel).await;
    let (world, _, channel) = asking(|builder| builder);
    let status = who(&channel).await.unwrap_err();
    let text = "received health check RPC error: UNAUTHENTICATED: who is None?";
    assert!(status.message().ends_with(text), "{status}");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a17_a_health_check_without_its_credentials_is_not_made_and_is_tried_again() {
    for failure in [
        Some(Status::unavailable("no token server")),
        // Not the server has said so.
        Some(Status::unimplemented("no token server")),
        None,
    ] {
        let name = Name {
            failures: 2,
            failure: failure.clone(),
            ..Name::default()
        };
        let panicked = || Status::internal("call credentials panicked: lost for words");
        let failure = failure.unwrap_or_else(panicked);
        let (world, health, channel) = asking(|builder| builder.call_credentials(name.clone()));
        let status = who(&channel).await.unwrap_err();
        let text = format!("received health check RPC error: {failure}");
        assert!(status.message().ends_with(&text), "{status}");
        assert_eq!(
            (health.watchers(), name.asked.load(Ordering::Relaxed)),
            (0, 1)
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(channel.state(), ConnectivityState::TransientFailure);
        channel.wait_ready(Duration::from_secs(3)).await.unwrap();
        assert_eq!(health.watchers(), 1);
        assert_eq!(who(&channel).await.unwrap(), A);
        nothing_is_left(world, channel).await;
    }
}

/// Makes sure that nobody changes what travels; anybody can read it.
#[derive(Debug)]
struct Sealed;

impl ChannelCredentials for Sealed {
    fn handshake<'a>(&'a self, io: BoxIo, _: &'a str) -> BoxFuture<'a, std::io::Result<Secured>> {
        let auth_info = AuthInfo::new("sealed", SecurityLevel::IntegrityOnly);
        Box::pin(async move { Ok(Secured { io, auth_info }) })
    }
}

#[tokio::test(start_paused = true)]
async fn a17_a_health_check_takes_no_secret_where_others_can_read_it_and_says_so() {
    let (world, health, channel) = asking(|builder| {
        let secret = BearerToken::new("secret").expect("a token");
        builder.credentials(Sealed).call_credentials(secret)
    });
    let status = who(&channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: pickfirst: health check failure: connection active but received health check \
         RPC error: UNAUTHENTICATED: transport: cannot send secure credentials on an insecure connection"
    );
    settle().await;
    assert_eq!(health.watchers(), 0);
    nothing_is_left(world, channel).await;
}
