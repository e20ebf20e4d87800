//! Chaos on a simulated network, then peace: partitions, held packets and crashes, from a seed.
//!
//! Two servers and a channel. For twenty simulated seconds something breaks every now and then; then the
//! network heals and both servers are restarted. From there on every call must be answered.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Channel, Request, Status};
use highball_echo::{EchoClient, EchoRequest, EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_testkit::{SimulatedListener, SimulatedNetwork};
use turmoil::Sim;

const SERVERS: [&str; 2] = ["a", "b"];
const CALLS: usize = 150;
const CHAOS: Duration = Duration::from_secs(20);

/// What happened, line by line. The same for the same seed.
type Log = Rc<RefCell<Vec<String>>>;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Partition,
    Hold,
    Crash,
}

#[test]
fn after_chaos_every_call_that_waits_for_ready_is_answered() {
    for seed in 0..24 {
        let log = run(seed);
        let answered = log.iter().filter(|line| line.contains("answered")).count();
        assert_eq!(answered, CALLS, "seed {seed}:\n{}", log.join("\n"));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(5), run(5));
}

fn run(seed: u64) -> Vec<String> {
    let log = Log::default();
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(120))
        .tick_duration(Duration::from_millis(2))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(4096)
        .build();
    for name in SERVERS {
        sim.host(name, move || serve(name));
    }
    sim.client("client", calls(seed, log.clone()));
    chaos(&mut sim, seed, &log);
    sim.run()
        .expect("every call is answered before the simulation ends");
    drop(sim);
    Rc::into_inner(log)
        .expect("the simulation is over")
        .into_inner()
}

async fn serve(name: &'static str) -> turmoil::Result {
    let service = EchoServer::new(EchoWithAddress::new(name));
    Server::builder()
        .add_service(service)
        .serve(SimulatedListener::bind(50051).await?)
        .await?;
    Ok(())
}

async fn calls(seed: u64, log: Log) -> turmoil::Result {
    let servers = ManualResolver::new("sim");
    servers.update(Resolution::new(
        SERVERS
            .map(|name| format!("{name}:50051"))
            .iter()
            .map(|a| a.as_str()),
    ));
    let channel = Channel::builder("sim:///servers")
        .insecure()
        .resolver(servers)
        .connector(SimulatedNetwork)
        .default_service_config(r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#)
        .seed(seed)
        .build()?;
    let echo = EchoClient::new(channel.clone());
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let (echo, log) = (echo.clone(), log.clone());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(170) * number as u32).await;
                let tries = until_answered(&echo, number).await;
                let now = turmoil::elapsed().as_millis();
                log.borrow_mut()
                    .push(format!("{now} ms: call {number} answered at try {tries}"));
            })
        })
        .collect();
    for call in calls {
        call.await?;
    }
    channel.close().await;
    Ok(())
}

/// Calls until a server answers: what an application does with calls that may be made again. A connection
/// that a partition has silenced ends a try at its deadline, a crash ends it at once.
async fn until_answered(echo: &EchoClient, number: usize) -> usize {
    let text = format!("call {number}");
    for tries in 1.. {
        let request = Request::new(EchoRequest {
            message: text.clone(),
        })
        .with_wait_for_ready(true)
        .with_timeout(Duration::from_secs(3));
        match echo.unary_echo(request).await {
            Ok(reply) => {
                assert!(
                    reply.message().message.starts_with(&text),
                    "it is the answer to this call"
                );
                return tries;
            }
            Err(status) => expected(&status),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("there is always another try")
}

/// A broken network makes calls late or lost, never wrong.
fn expected(status: &Status) {
    use highball_channel::Code::{DeadlineExceeded, Unavailable};
    assert!(
        matches!(status.code(), DeadlineExceeded | Unavailable),
        "{status}"
    );
}

/// Breaks something, mends it, and so on; at the end everything is mended and both servers restarted.
fn chaos(sim: &mut Sim<'_>, seed: u64, log: &Log) {
    let mut rng = fastrand::Rng::with_seed(seed);
    while sim.elapsed() < CHAOS {
        step_for(sim, Duration::from_millis(rng.u64(100..1500)));
        let server = SERVERS[rng.usize(..2)];
        let fault = [Fault::Partition, Fault::Hold, Fault::Crash][rng.usize(..3)];
        log.borrow_mut().push(format!(
            "{} ms: {fault:?} {server}",
            sim.elapsed().as_millis()
        ));
        match fault {
            Fault::Partition => sim.partition("client", server),
            Fault::Hold => sim.hold("client", server),
            Fault::Crash => sim.crash(server),
        }
        step_for(sim, Duration::from_millis(rng.u64(100..2500)));
        match fault {
            Fault::Partition => sim.repair("client", server),
            Fault::Hold => sim.release("client", server),
            Fault::Crash => sim.bounce(server),
        }
    }
    for server in SERVERS {
        sim.bounce(server);
    }
}

fn step_for(sim: &mut Sim<'_>, time: Duration) {
    let until = sim.elapsed() + time;
    while sim.elapsed() < until {
        sim.step().expect("nothing panics");
    }
}
