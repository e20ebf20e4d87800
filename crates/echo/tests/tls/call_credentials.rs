//! Secrets that calls carry: where they travel, where they do not, and what becomes of calls without.

use std::time::Duration;

use highball_channel::{
    BearerToken, BuildError, CallCredentials, CallCredentialsError, Channel, Code,
    LocalCredentials, MetadataMap, Request, RequestInfo, Response, Status,
};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer};
use highball_server::Server;

use crate::rig::{Rig, call, call_with};

/// Replies with the credentials that have come.
struct Shown;

impl Echo for Shown {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let values = |key| {
            request
                .metadata()
                .get_all(key)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let message = format!("{} for {}", values("authorization"), values("x-for"));
        Ok(Response::new(EchoResponse { message }))
    }
}

fn rig() -> Rig {
    let mut rig = Rig::without_server();
    let server = Server::builder().credentials(rig.server_credentials());
    rig.serve_with(server.add_service(EchoServer::new(Shown)).build());
    rig
}

fn builder(rig: &Rig) -> highball_channel::ChannelBuilder {
    rig.builder(rig.trusting().build().expect("good credentials"))
}

fn token(text: &str) -> BearerToken {
    BearerToken::new(text).expect("a token")
}

fn request() -> Request<EchoRequest> {
    Request::new(EchoRequest::default())
}

/// Takes its time, then says for whom it is.
#[derive(Debug)]
struct For {
    after: Duration,
}

impl CallCredentials for For {
    async fn metadata(&self, call: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        tokio::time::sleep(self.after).await;
        let mut metadata = MetadataMap::new();
        let names = call.peer().auth_info().names().join("+");
        let text = format!("{} {} {names}", call.audience(), call.path());
        metadata.insert("x-for", &text)?;
        Ok(metadata)
    }

    fn requires_security(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Failing(fn() -> CallCredentialsError);

impl CallCredentials for Failing {
    async fn metadata(&self, _: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        Err((self.0)())
    }
}

#[tokio::test(start_paused = true)]
async fn those_of_the_channel_come_before_those_of_the_call() {
    let rig = rig();
    let after = Duration::from_secs(1);
    let channel = builder(&rig).call_credentials(token("channel"));
    let channel = channel.call_credentials(For { after }).build().unwrap();
    let own = request().with_credentials(token("call"));
    let reply = call_with(&channel, own).await.unwrap();
    assert_eq!(
        reply.into_message().message,
        "Bearer channel, Bearer call for \
         https://server.test/grpc.examples.echo.Echo /grpc.examples.echo.Echo/UnaryEcho server.test"
    );
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_does_not_travel_in_plaintext() {
    let mut rig = Rig::without_server();
    rig.serve_with(
        Server::builder()
            .add_service(EchoServer::new(Shown))
            .build(),
    );
    let plain = || {
        Channel::builder("passthrough:///server.test:443")
            .insecure()
            .connector(rig.network.clone())
    };
    let refused = plain().call_credentials(token("secret")).build();
    assert!(matches!(refused, Err(BuildError::InsecureCallCredentials)));
    let channel = plain().build().unwrap();
    let own = request()
        .with_credentials(token("secret"))
        .with_wait_for_ready(true);
    let status = call_with(&channel, own).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAUTHENTICATED: transport: cannot send secure credentials on an insecure connection"
    );
    channel.close().await;
    // What is no secret may go anywhere.
    let after = Duration::ZERO;
    let channel = plain().call_credentials(For { after }).build().unwrap();
    let reply = call(&channel).await.unwrap().into_message();
    assert!(reply.message.contains("https://server.test/"), "{reply:?}");
    rig.nothing_is_left(channel).await;
}

#[tokio::test]
async fn a_secret_travels_within_the_machine() {
    let listener = highball_server::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().to_string();
    let server = Server::builder()
        .add_service(EchoServer::new(Shown))
        .build();
    tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(target)
        .credentials(LocalCredentials)
        .call_credentials(token("secret"))
        .build()
        .unwrap();
    let reply = call(&channel).await.unwrap().into_message();
    assert_eq!(reply.message, "Bearer secret for ");
    channel.close().await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_its_credentials_is_not_made() {
    let rig = rig();
    let channel = builder(&rig).build().unwrap();
    for (error, expected) in [
        (
            (|| "no key".into()) as fn() -> CallCredentialsError,
            "UNAUTHENTICATED: transport: per-RPC creds failed due to error: no key",
        ),
        (
            || Status::unavailable("no token server").into(),
            "UNAVAILABLE: no token server",
        ),
        (
            || Status::not_found("key").into(),
            "INTERNAL: transport: received per-RPC creds error with illegal status: NOT_FOUND: key",
        ),
    ] {
        let own = request().with_credentials(Failing(error));
        let status = call_with(&channel, own.with_wait_for_ready(true)).await;
        assert_eq!(status.unwrap_err().to_string(), expected);
    }
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_credentials_are_waited_for_and_says_so() {
    let rig = rig();
    let after = Duration::from_secs(3600);
    let channel = builder(&rig)
        .call_credentials(For { after })
        .build()
        .unwrap();
    let started = tokio::time::Instant::now();
    let timeout = Duration::from_secs(2);
    let status = call_with(&channel, request().with_timeout(timeout)).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().contains("waiting for call credentials"),
        "{status}"
    );
    assert_eq!(started.elapsed(), timeout);
    rig.nothing_is_left(channel).await;
}
