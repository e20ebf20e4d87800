//! What policies, pickers and resolvers may do to calls, and what they may not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highball_channel::policy::{
    ConfigError, Cx, Event, Outcome, Pick, Policy, Registry, Selection, Update,
};
use highball_channel::resolver::{
    BoxFuture, Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates,
};
use highball_channel::transport::BoxIo;
use highball_channel::{
    Address, AuthInfo, Channel, ChannelCredentials, Code, ConnectivityState, MetadataMap, Rejected,
    Request, Secured, Status,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, Server};

use crate::hooked::{TURN, hook, hooked, hooked_builder, hooked_with, unhook};
use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

#[tokio::test(start_paused = true)]
async fn a54_a_drop_fails_even_calls_that_wait_for_ready_and_illegal_codes_become_internal() {
    let _turn = TURN.lock().await;
    let world = World::with_two_servers();
    let channel = hooked(&world);
    for (dropped, expected) in [
        (Status::unavailable("dropped"), "UNAVAILABLE: dropped"),
        (
            Status::not_found("nobody"),
            "INTERNAL: received picker error with illegal status: NOT_FOUND: nobody",
        ),
    ] {
        hook(move |_, _| Pick::Drop(dropped.clone()));
        for wait in [false, true] {
            let request = Request::new(message("x")).with_wait_for_ready(wait);
            assert_eq!(
                who_with(&channel, request).await.unwrap_err().to_string(),
                expected
            );
        }
    }
    unhook();
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_pickers_failure_is_unavailable_with_its_text() {
    let _turn = TURN.lock().await;
    let world = World::with_two_servers();
    let channel = hooked(&world);
    hook(|_, _| Pick::Fail(Status::not_found("no backend")));
    assert_eq!(
        who(&channel).await.unwrap_err().to_string(),
        "UNAVAILABLE: no backend"
    );
    unhook();
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_picker_that_panics_fails_its_call_and_no_other() {
    let _turn = TURN.lock().await;
    let world = World::with_two_servers();
    let channel = hooked(&world);
    hook(|_, _| panic!("oh no"));
    let status = who(&channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "INTERNAL: load balancing policy panicked: oh no"
    );
    unhook();
    assert!(who(&channel).await.is_ok());
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_completion_hook_runs_once_whatever_becomes_of_the_call() {
    let _turn = TURN.lock().await;
    let mut world = World::with_two_servers();
    let channel = hooked(&world);
    who(&channel).await.unwrap();
    let (sender, outcomes) = std::sync::mpsc::channel();
    hook(move |picker, call| match picker.pick(call) {
        Pick::Use(selection) => {
            let sender = sender.clone();
            let report = move |outcome: &Outcome| drop(sender.send(outcome.clone()));
            Pick::Use(selection.on_done(report))
        }
        other => other,
    });
    let next = || outcomes.try_recv().expect("the hook has run");
    who(&channel).await.unwrap();
    let outcome = next();
    assert_eq!(
        (outcome.result, outcome.bytes_sent, outcome.bytes_received),
        (Some(Ok(())), true, true)
    );

    let echo = EchoClient::new(channel.clone());
    let stream = echo
        .bidirectional_streaming_echo(Request::new(futures::stream::pending()))
        .await;
    settle().await;
    drop(stream);
    assert_eq!(next().result, None, "the call was dropped");

    let requests = Request::new(futures::stream::pending::<EchoRequest>());
    let failing = tokio::spawn(async move { echo.client_streaming_echo(requests).await });
    settle().await;
    world.kill(A).await;
    world.kill(B).await;
    assert!(failing.await.unwrap().is_err());
    assert!(next().is_failure());
    assert!(outcomes.try_recv().is_err(), "once each");
    unhook();
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_completion_hook_that_panics_harms_nobody() {
    let _turn = TURN.lock().await;
    let world = World::with_two_servers();
    let channel = hooked(&world);
    hook(|picker, call| match picker.pick(call) {
        Pick::Use(selection) => Pick::Use(selection.on_done(|_| panic!("oh no"))),
        other => other,
    });
    who(&channel).await.expect("its call goes on");
    let echo = EchoClient::new(channel.clone());
    let requests = Request::new(futures::stream::pending());
    let stream = echo.bidirectional_streaming_echo(requests).await.unwrap();
    // A hook that runs while its call's task unwinds would end the process.
    let unwinding = tokio::spawn(async move {
        let _stream = stream;
        panic!("the application's own");
    });
    assert!(unwinding.await.unwrap_err().is_panic());
    who(&channel).await.expect("others go on");
    unhook();
    drop(echo);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_subchannel_that_is_not_ready_any_more_is_not_asked_for_again_until_the_next_picker() {
    let _turn = TURN.lock().await;
    let mut world = World::with_two_servers();
    let channel = hooked(&world);
    let chosen: Arc<Mutex<Option<Selection>>> = Arc::default();
    let picks = Arc::new(AtomicUsize::new(0));
    who(&channel).await.unwrap();
    // Remembers the subchannel of one server, whatever becomes of it.
    let (remembered, counted) = (chosen.clone(), picks.clone());
    hook(move |picker, call| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut remembered = remembered.lock().expect("no test panics with it");
        if let (None, Pick::Use(selection)) = (&*remembered, picker.pick(call)) {
            *remembered = Some(selection);
        }
        match &*remembered {
            Some(selection) => Pick::Use(Selection::new(selection.subchannel)),
            None => Pick::Wait,
        }
    });
    who(&channel).await.unwrap();
    world.kill(A).await;
    world.kill(B).await;
    settle().await;
    picks.store(0, Ordering::Relaxed);
    let call = Request::new(message("x")).with_timeout(Duration::from_secs(60));
    assert_eq!(
        who_with(&channel, call).await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    let asked = picks.load(Ordering::Relaxed);
    assert!((1..50).contains(&asked), "asked {asked} times in a minute");
    unhook();
    nothing_is_left(world, channel).await;
}

/// Replies with all values of the key `k`, in order.
struct Values;

impl Echo for Values {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let values: Vec<_> = request.metadata().get_all("k").collect();
        let mut metadata = MetadataMap::new();
        metadata.insert("before", "headers")?;
        let mut trailers = MetadataMap::new();
        trailers.insert_bin("after-bin", b"\0trailers")?;
        let reply = Response::new(EchoResponse {
            message: values.join(" "),
        });
        Ok(reply.with_metadata(metadata).with_trailers(trailers))
    }
}

fn pair(key: &str, value: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.append(key, value).expect("it is a legal key");
    metadata
}

#[tokio::test(start_paused = true)]
async fn the_server_sees_the_applications_metadata_then_the_pickers_then_its_addresses() {
    let _turn = TURN.lock().await;
    let mut world = World::new();
    world.start_with(
        A,
        Server::builder()
            .add_service(EchoServer::new(Values))
            .build(),
    );
    let address = Address::from(A).with_metadata(pair("k", "addressed"));
    world.resolver.update(Resolution::new([address]));
    let channel = hooked(&world);
    hook(|picker, call| match picker.pick(call) {
        Pick::Use(selection) => Pick::Use(selection.with_metadata(pair("k", "picked"))),
        other => other,
    });
    let request = Request::new(message("x")).with_metadata("k", "1").unwrap();
    let request = request.with_metadata("k", "2").unwrap();
    let reply = EchoClient::new(channel.clone())
        .unary_echo(request)
        .await
        .unwrap();
    assert_eq!(reply.message().message, "1 2 picked addressed");
    assert_eq!(reply.metadata().get("before"), Some("headers"));
    assert_eq!(
        reply.trailers().get_bin("after-bin").as_deref(),
        Some(&b"\0trailers"[..])
    );
    unhook();
    nothing_is_left(world, channel).await;
}

/// Panics as soon as it is told anything.
#[derive(Debug)]
struct Panicking;

impl Policy for Panicking {
    const NAME: &'static str = "panicking";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self
    }

    fn update(&mut self, _: Update<()>, _: &mut Cx<'_>) -> Result<(), Rejected> {
        panic!("no endpoints, please")
    }

    fn event(&mut self, _: Event, _: &mut Cx<'_>) {}
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_fails_its_channel_loudly_and_no_other() {
    let world = World::with_two_servers();
    let json = r#"{"loadBalancingConfig":[{"panicking":{}}]}"#;
    let builder = world
        .builder()
        .policy::<Panicking>()
        .default_service_config(json);
    let channel = builder.build().unwrap();
    let other = world.channel(r#"{"pick_first":{}}"#);
    for wait in [false, true] {
        let request = Request::new(message("x")).with_wait_for_ready(wait);
        let status = who_with(&channel, request).await.unwrap_err();
        assert_eq!(
            status.to_string(),
            "INTERNAL: load balancing policy panicked: no endpoints, please"
        );
    }
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    assert!(who(&other).await.is_ok());
    channel.close().await;
    nothing_is_left(world, other).await;
}

/// A resolver that panics once it runs.
struct Doomed;

impl ResolverFactory for Doomed {
    fn scheme(&self) -> &str {
        "doomed"
    }

    fn build(
        &self,
        _: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, highball_channel::resolver::BadTarget> {
        Ok(Box::new(Self))
    }
}

impl Resolver for Doomed {
    fn run(self: Box<Self>, _: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async { panic!("lost the map") })
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_fails_its_calls_with_what_it_said() {
    let world = World::new();
    let channel = Channel::builder("doomed:///x")
        .insecure()
        .resolver(Doomed)
        .build()
        .unwrap();
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("resolver panicked: lost the map"),
        "{status}"
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_resolver_error_keeps_the_servers_that_are_known() {
    let world = World::with_two_servers();
    let channel = world.channel(r#"{"round_robin":{}}"#);
    who(&channel).await.unwrap();
    world.resolver.update(Resolution::error(Status::unavailable(
        "the name service is down",
    )));
    assert!(world.resolver.verdict().await.is_err());
    for _ in 0..4 {
        who(&channel).await.unwrap();
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_resolver_error_at_first_fails_calls_with_its_text_and_heals() {
    let mut world = World::new();
    world.start(A);
    world.resolver.update(Resolution::error(Status::unavailable(
        "the name service is down",
    )));
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.to_string(), "UNAVAILABLE: the name service is down");
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    world.resolve(&[A]);
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    assert!(who(&channel).await.is_ok());
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn servers_that_swap_lose_no_call() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    assert_eq!(who(&channel).await.unwrap(), A);
    world.start(B);
    world.resolve(&[B]);
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(who(&channel).await.expect("no call fails"));
        tokio::task::yield_now().await;
    }
    assert_eq!(answers.last().map(String::as_str), Some(B));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_switched_without_losing_a_call() {
    let world = World::with_two_servers();
    let config = |policy: &str| {
        let json = format!(r#"{{"loadBalancingConfig":[{{"{policy}":{{}}}}]}}"#);
        world
            .resolver
            .update(Resolution::new([A, B]).with_service_config(json));
    };
    config("pick_first");
    let channel = world.builder().build().unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    config("round_robin");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        seen.insert(who(&channel).await.expect("no call fails"));
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.len(), 2, "both servers are used now");
    nothing_is_left(world, channel).await;
}

/// Replies with the `:authority` of the call.
struct Authority;

impl Echo for Authority {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let message = request.authority().unwrap_or_default().to_owned();
        Ok(Response::new(EchoResponse { message }))
    }
}

/// Asks who a server was asked for.
async fn asked_for(channel: &Channel, own: Option<&str>) -> Result<String, Status> {
    let mut request = Request::new(message("x"));
    request.options_mut().authority = own.map(str::to_owned);
    let reply = EchoClient::new(channel.clone()).unary_echo(request).await;
    reply.map(|reply| reply.into_message().message)
}

#[tokio::test(start_paused = true)]
async fn a81_the_pickers_authority_goes_before_all_but_the_calls_own() {
    let _turn = TURN.lock().await;
    let mut world = World::new();
    let server = Server::builder().add_service(EchoServer::new(Authority));
    world.start_with(A, server.build());
    let address = Address::tcp(A).with_server_name("named");
    world.resolver.update(Resolution::new([address]));
    let channel = hooked(&world);
    assert_eq!(asked_for(&channel, None).await.unwrap(), "named");
    hook(|picker, call| match picker.pick(call) {
        Pick::Use(selection) => Pick::Use(selection.with_authority("picked.test:7")),
        other => other,
    });
    assert_eq!(asked_for(&channel, None).await.unwrap(), "picked.test:7");
    let own = asked_for(&channel, Some("own.test")).await;
    assert_eq!(own.unwrap(), "own.test");
    hook(|picker, call| match picker.pick(call) {
        Pick::Use(selection) => Pick::Use(selection.with_authority("no authority/")),
        other => other,
    });
    assert_eq!(
        asked_for(&channel, None).await.unwrap_err().to_string(),
        "INTERNAL: \"no authority/\" is no authority for a call"
    );
    unhook();
    assert_eq!(asked_for(&channel, None).await.unwrap(), "named");
    nothing_is_left(world, channel).await;
}

/// Is down for the first who asks, and remembers whom all have asked for.
#[derive(Clone, Default)]
struct DownAtFirst(Arc<Mutex<Vec<String>>>);

impl Echo for DownAtFirst {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let mut asked = self.0.lock().expect("no test panics with it");
        asked.push(request.authority().unwrap_or_default().to_owned());
        match asked.len() {
            1 => Err(Status::unavailable("down")),
            _ => Ok(Response::new(EchoResponse::default())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a81_an_attempt_does_not_have_the_authority_that_the_one_before_was_given() {
    let _turn = TURN.lock().await;
    let mut world = World::new();
    let service = DownAtFirst::default();
    let server = Server::builder().add_service(EchoServer::new(service.clone()));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let policy = r#","methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":2,"initialBackoff":"1s",
        "maxBackoff":"1s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]"#;
    let channel = hooked_with(&world, policy);
    let picks = AtomicUsize::new(0);
    hook(move |picker, call| match picker.pick(call) {
        Pick::Use(selection) if picks.fetch_add(1, Ordering::Relaxed) == 0 => {
            Pick::Use(selection.with_authority("picked.test"))
        }
        other => other,
    });
    asked_for(&channel, None).await.unwrap();
    unhook();
    let asked = service.0.lock().unwrap().clone();
    assert_eq!(asked, ["picked.test", "servers"]);
    nothing_is_left(world, channel).await;
}

/// Cannot tell what a connection is good for.
#[derive(Debug)]
struct Blind;

impl ChannelCredentials for Blind {
    fn handshake<'a>(&'a self, io: BoxIo, _: &'a str) -> BoxFuture<'a, std::io::Result<Secured>> {
        let auth_info = AuthInfo::insecure();
        Box::pin(async move { Ok(Secured { io, auth_info }) })
    }
}

#[tokio::test(start_paused = true)]
async fn a81_a_connection_must_be_good_for_the_pickers_authority() {
    let _turn = TURN.lock().await;
    let mut world = World::new();
    let server = Server::builder().add_service(EchoServer::new(Authority));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let builder = hooked_builder(&world, "").credentials(Blind);
    let channel = builder.build().unwrap();
    assert_eq!(asked_for(&channel, None).await.unwrap(), "servers");
    hook(|picker, call| match picker.pick(call) {
        Pick::Use(selection) => Pick::Use(selection.with_authority("picked.test")),
        other => other,
    });
    let status = asked_for(&channel, None).await.unwrap_err();
    let refused = "UNAVAILABLE: failed to validate authority \"picked.test\": ";
    assert!(status.to_string().starts_with(refused), "{status}");
    unhook();
    assert_eq!(asked_for(&channel, None).await.unwrap(), "servers");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_the_calls_before_the_users_before_the_servers_before_the_targets() {
    let mut world = World::new();
    world.start_with(
        A,
        Server::builder()
            .add_service(EchoServer::new(Authority))
            .build(),
    );
    let address = Address::tcp(A);
    for (server_name, channels, own, expected) in [
        (None, None, None, "servers"),
        (None, Some("chosen:1"), None, "chosen:1"),
        (Some("named"), None, None, "named"),
        (Some("named"), Some("chosen:1"), None, "chosen:1"),
        (Some("named"), Some("chosen:1"), Some("own:2"), "own:2"),
    ] {
        let address = match server_name {
            Some(name) => address.clone().with_server_name(name),
            None => address.clone(),
        };
        world.resolver.update(Resolution::new([address]));
        let mut builder = world.builder();
        if let Some(authority) = channels {
            builder = builder.authority(authority);
        }
        let channel = builder.build().unwrap();
        assert_eq!(asked_for(&channel, own).await.unwrap(), expected);
        let status = asked_for(&channel, Some("no authority/"))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        channel.close().await;
    }
    let channel = world.channel(r#"{"pick_first":{}}"#);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_dump_shows_the_policies_and_their_addresses() {
    let world = World::with_two_servers();
    let channel = world.settled(r#"{"round_robin":{}}"#).await;
    let dump = channel.dump().await;
    assert!(
        dump.contains("RoundRobin") && dump.contains(A) && dump.contains(B),
        "{dump}"
    );
    channel.close().await;
    assert_eq!(channel.dump().await, "closed");
    nothing_is_left(world, channel).await;
}

/// A policy that panics over its config.
#[derive(Debug)]
struct Unreadable;

impl Policy for Unreadable {
    const NAME: &'static str = "unreadable";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        panic!("no idea what this means")
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self
    }

    fn update(&mut self, _: Update<()>, _: &mut Cx<'_>) -> Result<(), Rejected> {
        Ok(())
    }

    fn event(&mut self, _: Event, _: &mut Cx<'_>) {}
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_over_its_config_has_refused_it() {
    let world = World::with_two_servers();
    let channel = world.builder().policy::<Unreadable>().build().unwrap();
    let bad = r#"{"loadBalancingConfig":[{"unreadable":{}}]}"#;
    world
        .resolver
        .update(Resolution::new([A]).with_service_config(bad));
    let call = Request::new(message("x")).with_timeout(Duration::from_secs(60));
    assert_eq!(
        who_with(&channel, call).await.unwrap_err().to_string(),
        "UNAVAILABLE: error parsing service config: \
         load balancing policy panicked: no idea what this means"
    );
    world.resolve(&[A]);
    world.resolver.verdict().await.unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    nothing_is_left(world, channel).await;
}
