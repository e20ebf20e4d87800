//! Three servers that answer attempts by their index, and remember them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use highball_channel::{Channel, ChannelBuilder, Status};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, ResponseStream, Server, Streaming};
use tokio::time::{Instant, sleep};

use crate::world::{A, B, World, nothing_is_left, settle};

pub(crate) const C: &str = "c:3";
const PREVIOUS: &str = "grpc-previous-rpc-attempts";

/// Milliseconds that are longer than any test.
pub(crate) const NEVER: u64 = 36_000_000;

/// How the attempt with an index is answered: after so many milliseconds, with this.
type Answers = Arc<dyn Fn(usize) -> (u64, Result<(), Status>) + Send + Sync>;

/// What the servers have seen of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) server: String,
    pub(crate) previous: Option<String>,
    pub(crate) messages: Vec<String>,
    /// Milliseconds after the rig was set up.
    pub(crate) at: u64,
    /// When its handler was dropped before it had answered.
    pub(crate) cancelled: Option<u64>,
}

/// What all servers have seen, in order.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<(Instant, Vec<Seen>)>>);

impl Log {
    fn change<T>(&self, change: impl FnOnce(u64, &mut Vec<Seen>) -> T) -> T {
        let mut log = self.0.lock().expect("no test panics with it");
        let elapsed = log.0.elapsed().as_millis() as u64;
        change(elapsed, &mut log.1)
    }

    fn start(&self) {
        self.0.lock().expect("no test panics with it").0 = Instant::now();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.change(|_, seen| seen.clone())
    }

    /// When each attempt came.
    pub(crate) fn times(&self) -> Vec<u64> {
        self.seen().iter().map(|seen| seen.at).collect()
    }

    /// What each attempt said of those before it.
    pub(crate) fn previous(&self) -> Vec<String> {
        let said = |seen: Seen| seen.previous.unwrap_or_else(|| "-".to_owned());
        self.seen().into_iter().map(said).collect()
    }

    /// Which attempts were cancelled, and when.
    pub(crate) fn cancelled(&self) -> Vec<Option<u64>> {
        self.seen().iter().map(|seen| seen.cancelled).collect()
    }
}

/// One of the servers.
#[derive(Clone)]
struct Paced {
    name: String,
    answers: Answers,
    log: Log,
}

/// An attempt that a handler works on; says so if it is dropped first.
struct Working {
    log: Log,
    index: usize,
    is_done: bool,
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.is_done {
            let index = self.index;
            self.log
                .change(|now, seen| seen[index].cancelled = Some(now));
        }
    }
}

impl Paced {
    fn begin(&self, previous: Option<&str>) -> Working {
        let index = self.log.change(|at, seen| {
            seen.push(Seen {
                server: self.name.clone(),
                previous: previous.map(str::to_owned),
                messages: Vec::new(),
                at,
                cancelled: None,
            });
            seen.len() - 1
        });
        Working {
            log: self.log.clone(),
            index,
            is_done: false,
        }
    }

    async fn answer(&self, mut working: Working) -> Result<(), Status> {
        let (millis, result) = (self.answers)(working.index);
        sleep(Duration::from_millis(millis)).await;
        working.is_done = true;
        result
    }
}

impl Echo for Paced {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let working = self.begin(request.metadata().get(PREVIOUS));
        let (said, index) = (request.message().message.clone(), working.index);
        self.log.change(|_, seen| seen[index].messages.push(said));
        self.answer(working).await?;
        let message = format!("x (from {})", self.name);
        Ok(Response::new(EchoResponse { message }))
    }

    /// Reads while it works, goes on reading when it has answered, and says all in the end.
    async fn bidirectional_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        let working = self.begin(request.metadata().get(PREVIOUS));
        let (log, index) = (self.log.clone(), working.index);
        let mut requests = request.into_message();
        let reading = tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                log.change(|_, seen| seen[index].messages.push(request.message));
            }
        });
        self.answer(working).await?;
        let log = self.log.clone();
        let reply = async move {
            let _ = reading.await;
            let message = log.seen()[index].messages.join(" ");
            Ok(EchoResponse { message })
        };
        Ok(Response::new(Box::pin(futures::stream::once(reply))))
    }
}

/// The part of a service config that hedges all methods.
pub(crate) fn policy(attempts: u32, delay: &str, non_fatal: &str) -> String {
    format!(
        r#""methodConfig":[{{"name":[{{}}],"hedgingPolicy":{{"maxAttempts":{attempts},
           "hedgingDelay":"{delay}","nonFatalStatusCodes":[{non_fatal}]}}}}]"#
    )
}

pub(crate) const UNAVAILABLE: &str = r#""UNAVAILABLE""#;

/// Three servers, and a channel that goes to each in turn.
pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) channel: Channel,
    pub(crate) log: Log,
}

impl Rig {
    pub(crate) async fn new(
        policy: &str,
        answers: impl Fn(usize) -> (u64, Result<(), Status>) + Send + Sync + 'static,
    ) -> Self {
        Self::with(policy, answers, |builder| builder).await
    }

    pub(crate) async fn with(
        policy: &str,
        answers: impl Fn(usize) -> (u64, Result<(), Status>) + Send + Sync + 'static,
        choices: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Self {
        let (world, log) = servers(answers);
        let config = format!(r#"{{"loadBalancingConfig":[{{"round_robin":{{}}}}],{policy}}}"#);
        let builder = world.builder().default_service_config(config);
        let channel = choices(builder).build().expect("the choices make sense");
        Self::settled(world, channel, log).await
    }

    /// All servers are connected to, and the clock of the log is at zero.
    pub(crate) async fn settled(world: World, channel: Channel, log: Log) -> Self {
        let ready = channel.wait_ready(Duration::from_secs(5)).await;
        ready.expect("the servers run");
        settle().await;
        log.start();
        Self {
            world,
            channel,
            log,
        }
    }

    pub(crate) async fn end(self) {
        nothing_is_left(self.world, self.channel).await;
    }
}

/// Three servers with one log.
pub(crate) fn servers(
    answers: impl Fn(usize) -> (u64, Result<(), Status>) + Send + Sync + 'static,
) -> (World, Log) {
    let log = Log(Arc::new(Mutex::new((Instant::now(), Vec::new()))));
    let answers: Answers = Arc::new(answers);
    let mut world = World::new();
    for name in [A, B, C] {
        let paced = Paced {
            name: name.to_owned(),
            answers: answers.clone(),
            log: log.clone(),
        };
        let server = Server::builder().add_service(EchoServer::new(paced));
        world.start_with(name, server.build());
    }
    world.resolve(&[A, B, C]);
    (world, log)
}
