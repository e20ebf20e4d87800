//! Attempts that fail are made again as the service config says (gRFC A6): how often, when, and up to where.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highball_channel::policy::Pick;
use highball_channel::{Channel, ChannelBuilder, Code, Request, Status};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, ResponseStream, Server, Streaming};
use tokio::time::Instant;

use crate::hooked::{TURN, hook, hooked_with, unhook};
use crate::world::{A, World, message, nothing_is_left, who, who_with};

/// The policy of most tests: four attempts, and only UNAVAILABLE is retried.
const POLICY: &str = r#""retryPolicy":{"maxAttempts":4,"initialBackoff":"0.1s","maxBackoff":"1s",
    "backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}"#;

/// What a server makes of the request with this index.
type Answers = Arc<dyn Fn(usize) -> Result<(), Status> + Send + Sync>;

/// What a server has seen of an attempt.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    previous: Option<String>,
    messages: Vec<String>,
    at: Instant,
}

/// Answers requests by their index, and remembers them.
#[derive(Clone)]
struct Flaky {
    answers: Answers,
    requests: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many messages of a stream it reads before it answers, and how many more in each further attempt.
    reads: usize,
    reads_more: usize,
    /// Breaks a stream off once it has answered all that it has read.
    breaks_off: bool,
}

impl Flaky {
    fn new(answers: impl Fn(usize) -> Result<(), Status> + Send + Sync + 'static) -> Self {
        Self {
            answers: Arc::new(answers),
            requests: Arc::default(),
            seen: Arc::default(),
            reads: 0,
            reads_more: 0,
            breaks_off: false,
        }
    }

    fn down_before(success: usize) -> Self {
        Self::new(move |index| match index < success {
            true => Err(Status::unavailable("down")),
            false => Ok(()),
        })
    }

    fn reading(mut self, messages: usize) -> Self {
        self.reads = messages;
        self
    }

    fn reading_more_each_time(mut self, messages: usize) -> Self {
        self.reads_more = messages;
        self
    }

    fn breaking_off(mut self) -> Self {
        self.breaks_off = true;
        self
    }

    fn answer(&self, previous: Option<&str>, messages: Vec<String>) -> Result<(), Status> {
        let seen = Seen {
            previous: previous.map(str::to_owned),
            messages,
            at: Instant::now(),
        };
        self.seen.lock().expect("no test panics with it").push(seen);
        (self.answers)(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }

    fn attempts(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

const PREVIOUS: &str = "grpc-previous-rpc-attempts";

impl Echo for Flaky {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let said = vec![request.message().message.clone()];
        self.answer(request.metadata().get(PREVIOUS), said)?;
        let message = format!("x (from {A})");
        Ok(Response::new(EchoResponse { message }))
    }

    async fn bidirectional_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        let previous = request.metadata().get(PREVIOUS).map(str::to_owned);
        let mut requests = request.into_message();
        let mut said = Vec::new();
        let reads = self.reads + self.attempts() * self.reads_more;
        while said.len() < reads
            && let Some(request) = requests.message().await?
        {
            said.push(request.message);
        }
        self.answer(previous.as_deref(), said.clone())?;
        let replies = said
            .into_iter()
            .map(|message| Ok(EchoResponse { message }))
            .chain(self.breaks_off.then(|| Err(Status::unavailable("gone"))))
            .collect::<Vec<_>>();
        Ok(Response::new(Box::pin(futures::stream::iter(replies))))
    }
}

/// A channel to a flaky server, with a service config.
struct Rig {
    world: World,
    channel: Channel,
}

impl Rig {
    fn new(flaky: &Flaky) -> Self {
        Self::with(flaky, "", |builder| builder)
    }

    fn with(
        flaky: &Flaky,
        more: &str,
        choices: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Self {
        Self::configured(
            flaky,
            &format!(r#"{{"methodConfig":[{{"name":[{{}}],{POLICY}}}]{more}}}"#),
            choices,
        )
    }

    fn configured(
        flaky: &Flaky,
        config: &str,
        choices: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Self {
        let mut world = World::new();
        let server = Server::builder().add_service(EchoServer::new(flaky.clone()));
        world.start_with(A, server.build());
        world.resolve(&[A]);
        let builder = world.builder().default_service_config(config);
        let channel = choices(builder).build().expect("the choices make sense");
        Self { world, channel }
    }

    async fn end(self) {
        nothing_is_left(self.world, self.channel).await;
    }
}

fn pushed_back(value: &str) -> Status {
    let mut trailers = highball_channel::MetadataMap::new();
    trailers
        .append("grpc-retry-pushback-ms", value)
        .expect("it may be set");
    Status::unavailable("busy").with_metadata(trailers)
}

#[tokio::test(start_paused = true)]
async fn a6_the_reference_run_of_unary_calls() {
    let flaky = Flaky::new(|index| match index {
        0 | 2 | 5 => Ok(()),
        6 | 8 | 11 => Err(Status::internal("fatal")),
        _ => Err(Status::new(Code::AlreadyExists, "again")),
    });
    let config = format!(r#"{{"methodConfig":[{{"name":[{{}}],{POLICY}}}]}}"#);
    let rig = Rig::configured(
        &flaky,
        &config.replace("UNAVAILABLE", "ALREADY_EXISTS"),
        |builder| builder,
    );
    let expected = [
        (Code::Ok, 0),
        (Code::Ok, 2),
        (Code::Ok, 5),
        (Code::Internal, 6),
        (Code::Internal, 8),
        (Code::Internal, 11),
        (Code::AlreadyExists, 15),
    ];
    for (code, last) in expected {
        let result = who(&rig.channel).await;
        let ended = result.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!((ended, flaky.attempts() - 1), (code, last));
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_retried_attempts_say_how_many_came_before_and_the_first_says_nothing() {
    let flaky = Flaky::down_before(9);
    let rig = Rig::new(&flaky);
    let status = who(&rig.channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: max retries exhausted: failed after 4 attempts: down"
    );
    let previous: Vec<_> = flaky.seen().into_iter().map(|seen| seen.previous).collect();
    let said = |n: &str| Some(n.to_owned());
    assert_eq!(previous, [None, said("1"), said("2"), said("3")]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_channel_caps_the_attempts_of_every_policy() {
    for (policy, cap, expected) in [(9, 4, 4), (9, 7, 7), (3, 10, 3), (8, 1, 5), (3, 0, 3)] {
        let flaky = Flaky::down_before(99);
        let config = format!(r#"{{"methodConfig":[{{"name":[{{}}],{POLICY}}}]}}"#);
        let config = config.replace(r#""maxAttempts":4"#, &format!(r#""maxAttempts":{policy}"#));
        let rig = Rig::configured(&flaky, &config, |builder| builder.max_call_attempts(cap));
        who(&rig.channel).await.unwrap_err();
        assert_eq!(flaky.attempts(), expected, "{policy} {cap}");
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a6_without_a_policy_or_with_retries_switched_off_a_failure_is_final() {
    let policy = format!(r#"{{"methodConfig":[{{"name":[{{}}],{POLICY}}}]}}"#);
    let flaky = Flaky::down_before(9);
    for (config, retries) in [("{}", true), (policy.as_str(), false)] {
        let rig = Rig::configured(&flaky, config, |builder| match retries {
            true => builder,
            false => builder.disable_retries(),
        });
        let status = who(&rig.channel).await.unwrap_err();
        assert_eq!(status.to_string(), "UNAVAILABLE: down");
        rig.end().await;
    }
    assert_eq!(flaky.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a6_the_servers_pushback_is_waited_for_or_obeyed() {
    let flaky = Flaky::new(|index| match index {
        0 => Err(pushed_back("1500")),
        1 => Ok(()),
        2 => Err(pushed_back("-1")),
        3 => Err(pushed_back("xxx")),
        _ => unreachable!("neither is retried"),
    });
    let rig = Rig::new(&flaky);
    who(&rig.channel).await.unwrap();
    let seen = flaky.seen();
    let waited = seen[1].at - seen[0].at;
    assert!(
        waited >= Duration::from_millis(1500) && waited < Duration::from_millis(1510),
        "{waited:?}"
    );
    for _ in 0..2 {
        let status = who(&rig.channel).await.unwrap_err();
        assert_eq!(status.to_string(), "UNAVAILABLE: busy");
    }
    assert_eq!(flaky.attempts(), 4);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_deadline_spans_all_attempts_and_the_waits_between_them() {
    let flaky = Flaky::new(|_| Err(pushed_back("60000")));
    let rig = Rig::new(&flaky);
    let started = Instant::now();
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(5));
    let status = who_with(&rig.channel, request).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while waiting to try again"
    );
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!(flaky.attempts(), 1);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_channel_that_closes_does_not_wait_for_the_next_attempt() {
    let flaky = Flaky::new(|_| Err(pushed_back("3600000")));
    let rig = Rig::new(&flaky);
    let channel = rig.channel.clone();
    let call = tokio::spawn(async move { who(&channel).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.channel.close().await;
    let started = Instant::now();
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(1));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_reference_run_of_the_throttle_through_a_channel() {
    let succeeds = [0, 3, 6, 10, 11, 12, 13, 14, 16, 18];
    let flaky = Flaky::new(move |index| match succeeds.contains(&index) {
        true => Ok(()),
        false => Err(Status::unavailable("down")),
    });
    let throttling = r#","retryThrottling":{"maxTokens":10,"tokenRatio":0.5}"#;
    let rig = Rig::with(&flaky, throttling, |builder| builder);
    let last_indexes = [0, 3, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17];
    for last in last_indexes {
        let result = who(&rig.channel).await;
        assert_eq!(result.is_ok(), succeeds.contains(&last), "{last}");
        assert_eq!(flaky.attempts() - 1, last);
        // A resolution that brings the same limits leaves the tokens where they are.
        rig.world.resolve(&[A]);
        rig.world.resolver.verdict().await.unwrap();
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_picker_without_a_connection_fails_attempts_that_the_policy_retries() {
    let flaky = Flaky::down_before(0);
    let mut rig = Rig::new(&flaky);
    rig.world.kill(A).await;
    let status = who(&rig.channel).await.unwrap_err();
    let text = status.message();
    assert!(
        text.starts_with("max retries exhausted: failed after 4 attempts: "),
        "{status}"
    );
    assert_eq!(flaky.attempts(), 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_an_attempt_of_a_call_that_waits_for_ready_waits_again_and_counts_once() {
    let flaky = Flaky::down_before(2);
    let mut rig = Rig::new(&flaky);
    let calls = [true, false].map(|wait| {
        let channel = rig.channel.clone();
        let request = Request::new(message("x")).with_wait_for_ready(wait);
        tokio::spawn(async move { who_with(&channel, request).await })
    });
    // Both have failed once when their server goes away.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(flaky.attempts(), 2);
    rig.world.kill(A).await;
    let [patient, hasty] = calls;
    let status = hasty.await.unwrap().unwrap_err();
    let expected = "max retries exhausted: failed after 4 attempts: connection error";
    assert!(status.message().starts_with(expected), "{status}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!patient.is_finished());
    let server = Server::builder().add_service(EchoServer::new(flaky.clone()));
    rig.world.start_with(A, server.build());
    assert_eq!(patient.await.unwrap().unwrap(), A);
    let previous: Vec<_> = flaky.seen().into_iter().map(|seen| seen.previous).collect();
    assert_eq!(previous, [None, None, Some("1".to_owned())]);
    rig.end().await;
}

async fn stream(channel: &Channel, texts: &[String]) -> Result<Vec<String>, Status> {
    let requests: Vec<_> = texts.iter().map(|text| message(text)).collect();
    stream_with(channel, Request::new(futures::stream::iter(requests))).await
}

async fn stream_with<S>(channel: &Channel, request: Request<S>) -> Result<Vec<String>, Status>
where
    S: futures::Stream<Item = EchoRequest> + Send + 'static,
{
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.bidirectional_streaming_echo(request).await?;
    let mut said = Vec::new();
    while let Some(reply) = replies.message().await? {
        said.push(reply.message);
    }
    Ok(said)
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("message {n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a6_every_attempt_at_a_stream_is_sent_the_same_messages() {
    let flaky = Flaky::down_before(3).reading(3);
    let rig = Rig::new(&flaky);
    let said = texts(3);
    assert_eq!(stream(&rig.channel, &said).await.unwrap(), said);
    let seen = flaky.seen();
    let previous: Vec<_> = seen
        .iter()
        .map(|seen| seen.previous.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(previous, ["-", "1", "2", "3"]);
    assert!(seen.iter().all(|seen| seen.messages == said), "{seen:?}");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_end_of_the_requests_is_sent_again_too() {
    // Reads on until there is no more.
    let flaky = Flaky::down_before(2).reading(usize::MAX);
    let rig = Rig::new(&flaky);
    assert_eq!(stream(&rig.channel, &texts(2)).await.unwrap(), texts(2));
    assert_eq!(stream(&rig.channel, &[]).await.unwrap(), texts(0));
    assert_eq!(flaky.attempts(), 4);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_stream_that_fails_too_often_ends_with_how_often() {
    let flaky = Flaky::down_before(9).reading(1);
    let rig = Rig::new(&flaky);
    let status = stream(&rig.channel, &texts(1)).await.unwrap_err();
    assert_eq!(
        status.message(),
        "max retries exhausted: failed after 4 attempts: down"
    );
    assert_eq!(flaky.attempts(), 4);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_request_larger_than_what_is_kept_commits_its_call() {
    let large = vec!["x".repeat(500)];
    for (limit, attempts) in [(200, 1), (1000, 4)] {
        let flaky = Flaky::down_before(9).reading(1);
        let rig = Rig::new(&flaky);
        let requests: Vec<_> = large.iter().map(|text| message(text)).collect();
        let mut request = Request::new(futures::stream::iter(requests));
        request.options_mut().max_replay_bytes = Some(limit);
        stream_with(&rig.channel, request).await.unwrap_err();
        assert_eq!(flaky.attempts(), attempts, "{limit}");
        assert_eq!(flaky.seen()[0].messages, large, "it is sent all the same");
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a6_a_call_is_not_retried_once_its_response_has_begun() {
    let flaky = Flaky::down_before(0).reading(2).breaking_off();
    let rig = Rig::new(&flaky);
    let status = stream(&rig.channel, &texts(2)).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "gone")
    );
    assert_eq!(flaky.attempts(), 1);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_an_attempt_is_sent_what_was_sent_before_and_then_what_comes_while_it_lasts() {
    let flaky = Flaky::down_before(2).reading(1).reading_more_each_time(1);
    let rig = Rig::new(&flaky);
    // Each comes a second after the one before, and an attempt that fails after a second is made again at once.
    let requests = futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (n < 3).then(|| (message(&format!("message {n}")), n + 1))
    });
    let request = Request::new(Box::pin(requests));
    assert_eq!(stream_with(&rig.channel, request).await.unwrap(), texts(3));
    let seen: Vec<_> = flaky.seen().into_iter().map(|seen| seen.messages).collect();
    assert_eq!(seen, [texts(1), texts(2), texts(3)]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_unary_call_is_retried_whatever_its_size() {
    let flaky = Flaky::down_before(2);
    let rig = Rig::new(&flaky);
    let large = "x".repeat(300 * 1024);
    let echo = EchoClient::new(rig.channel.clone());
    echo.unary_echo(message(&large)).await.unwrap();
    assert_eq!(flaky.attempts(), 3);
    assert!(flaky.seen().iter().all(|seen| seen.messages[0] == large));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_drop_by_the_picker_is_never_retried_whatever_came_before() {
    let _turn = TURN.lock().await;
    let mut rng = fastrand::Rng::with_seed(6);
    for _ in 0..20 {
        let world = World::with_two_servers();
        let channel = hooked_with(
            &world,
            &format!(r#","methodConfig":[{{"name":[{{}}],{POLICY}}}]"#),
        );
        let failures = rng.usize(0..6);
        let picks = Arc::new(AtomicUsize::new(0));
        let counted = picks.clone();
        hook(
            move |_, _| match counted.fetch_add(1, Ordering::Relaxed) < failures {
                true => Pick::Fail(Status::unavailable("no backend")),
                false => Pick::Drop(Status::unavailable("dropped")),
            },
        );
        let request = Request::new(message("x")).with_timeout(Duration::from_secs(60));
        let status = who_with(&channel, request).await.unwrap_err();
        unhook();
        // The policy allows four attempts.
        let expected = match failures < 4 {
            true => "UNAVAILABLE: dropped",
            false => "UNAVAILABLE: max retries exhausted: failed after 4 attempts: no backend",
        };
        assert_eq!(status.to_string(), expected);
        assert_eq!(picks.load(Ordering::Relaxed), 4.min(failures + 1));
        nothing_is_left(world, channel).await;
    }
}
