//! Restarts and kills under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use highball_channel::{Channel, Code, Request, Status};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer, EchoWithAddress};
use highball_server::{Response, Server};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::world::{A, B, World, message, nothing_is_left, settle, who_with};

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#;

/// Takes a while to say where it is from: whenever a server goes, there are calls that it has not answered.
pub(crate) struct Slow {
    after: Duration,
    echo: EchoWithAddress,
}

impl Echo for Slow {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        tokio::time::sleep(self.after).await;
        self.echo.unary_echo(request).await
    }
}

/// The service at `name`, which takes 20 ms.
pub(crate) fn slow(name: &str) -> EchoServer<Slow> {
    EchoServer::new(Slow {
        after: Duration::from_millis(20),
        echo: EchoWithAddress::new(name),
    })
}

/// Calls that are made whatever becomes of those before them.
pub(crate) struct Load {
    in_flight: Arc<AtomicUsize>,
    answers: JoinHandle<Vec<Result<String, Status>>>,
}

impl Load {
    /// So many calls, one in each `interval`.
    pub(crate) fn start(
        channel: &Channel,
        calls: usize,
        interval: Duration,
        waits_for_ready: bool,
    ) -> Self {
        let channel = channel.clone();
        let in_flight = Arc::<AtomicUsize>::default();
        let counted = in_flight.clone();
        let answers = tokio::spawn(async move {
            let mut running = JoinSet::new();
            for _ in 0..calls {
                let (channel, in_flight) = (channel.clone(), in_flight.clone());
                running.spawn(async move {
                    in_flight.fetch_add(1, Ordering::Relaxed);
                    let request = Request::new(message("x")).with_timeout(Duration::from_secs(20));
                    let request = request.with_wait_for_ready(waits_for_ready);
                    let answer = who_with(&channel, request).await;
                    in_flight.fetch_sub(1, Ordering::Relaxed);
                    answer
                });
                tokio::time::sleep(interval).await;
            }
            running.join_all().await
        });
        Self {
            in_flight: counted,
            answers,
        }
    }

    /// How many calls are under way.
    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Who answered, and how the others failed. Every call has ended when its deadline has.
    pub(crate) async fn ended(self) -> (Vec<String>, Vec<Status>) {
        let ended = timeout(Duration::from_secs(3600), self.answers).await;
        let answers = ended.expect("no call hangs").expect("no call panics");
        let (mut answered, mut failed) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(name) => answered.push(name),
                Err(status) => failed.push(status),
            }
        }
        (answered, failed)
    }
}

/// Two slow servers, and a channel to both.
async fn two_servers(service_config: &str) -> (World, Channel) {
    let mut world = World::new();
    for name in [A, B] {
        world.start_with(name, Server::builder().add_service(slow(name)).build());
    }
    world.resolve(&[A, B]);
    let builder = world.builder().default_service_config(service_config);
    let channel = builder.build().expect("the test's choices make sense");
    let ready = channel.wait_ready(Duration::from_secs(5)).await;
    ready.expect("a server runs");
    settle().await;
    (world, channel)
}

/// How often there is a call.
const INTERVAL: Duration = Duration::from_millis(2);

#[tokio::test(start_paused = true)]
async fn f61_rolling_restart_graceful_fails_no_call() {
    let (mut world, channel) = two_servers(ROUND_ROBIN).await;
    let load = Load::start(&channel, 10_000, INTERVAL, false);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        world.stop_gracefully(B).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.start_with(B, Server::builder().add_service(slow(B)).build());
    }
    let (answered, failed) = load.ended().await;
    assert_eq!((answered.len(), failed), (10_000, vec![]));
    let to_b = answered.iter().filter(|name| *name == B).count();
    assert!(
        to_b > 1000,
        "the restarted server is used again: {to_b} calls"
    );
    nothing_is_left(world, channel).await;
}

/// Ten kills, of each server in turn, and one of both: for a second nobody is there. How many calls were under way at
/// them.
async fn kill_in_turn(world: &mut World, load: &Load) -> usize {
    let mut in_flight = 0;
    for name in [A, B].into_iter().cycle().take(10) {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        in_flight += load.in_flight();
        world.kill(name).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.start_with(name, Server::builder().add_service(slow(name)).build());
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    in_flight += load.in_flight();
    for name in [A, B] {
        world.kill(name).await;
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    for name in [A, B] {
        world.start_with(name, Server::builder().add_service(slow(name)).build());
    }
    in_flight
}

#[tokio::test(start_paused = true)]
async fn f61_rolling_kill_9_fails_calls_in_flight_and_no_others() {
    let (mut world, channel) = two_servers(ROUND_ROBIN).await;
    let load = Load::start(&channel, 9_000, INTERVAL, true);
    let in_flight = kill_in_turn(&mut world, &load).await;
    let (answered, failed) = load.ended().await;
    let is_lost = |status: &Status| status.code() == Code::Unavailable;
    assert!(failed.iter().all(is_lost), "{failed:?}");
    assert_eq!(answered.len() + failed.len(), 9_000);
    // Of those under way, every other one was with the server that was killed.
    let lost = failed.len();
    assert!(
        (in_flight / 3..=in_flight).contains(&lost),
        "{lost} of {in_flight} that were under way"
    );
    for name in [A, B] {
        let to_it = answered.iter().filter(|other| *other == name).count();
        assert!(to_it > 1000, "{name} is used again: {to_it} calls");
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f61_rolling_kill_9_fails_no_call_that_may_be_made_again() {
    let policy = r#"{"loadBalancingConfig":[{"round_robin":{}}],"methodConfig":[{"name":[{}],
        "retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"1s","backoffMultiplier":2,
        "retryableStatusCodes":["UNAVAILABLE"]}}]}"#;
    let (mut world, channel) = two_servers(policy).await;
    let load = Load::start(&channel, 9_000, INTERVAL, true);
    let in_flight = kill_in_turn(&mut world, &load).await;
    assert!(in_flight > 0, "there was something to lose");
    let (answered, failed) = load.ended().await;
    assert_eq!((answered.len(), failed), (9_000, vec![]));
    nothing_is_left(world, channel).await;
}
