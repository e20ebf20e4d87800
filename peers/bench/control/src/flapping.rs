//! A channel with 1 000 READY subchannels, of which one in ten loses its connection each second.
//!
//! The servers run on a thread of their own, so that their CPU time is not the channel's.

use std::thread;
use std::time::{Duration, Instant};

use bench_kit::{End, Result, thread_cpu_seconds};
use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::transport::{MemoryListener, MemoryNetwork};
use highball_channel::{Channel, Endpoint};
use tokio::runtime::{Builder, Runtime};

const SUBCHANNELS: usize = 1_000;

/// How many lose their connection, one after the other, in each second.
const FLAPPING: usize = 100;

const MEASURED: Duration = Duration::from_secs(10);

pub(crate) struct Flapping {
    /// CPU time of the channel's thread to the time that passed.
    pub(crate) cores: f64,
    /// New connections a second.
    pub(crate) per_second: f64,
}

pub(crate) fn measure() -> Result<Flapping> {
    let network = MemoryNetwork::new();
    let listeners: Vec<_> = names().map(|name| network.listen(&name)).collect();
    let servers = runtime()?;
    thread::spawn(move || {
        End::Server.begin();
        servers.block_on(async {
            for listener in listeners {
                tokio::spawn(serve(listener));
            }
            std::future::pending::<()>().await;
        });
    });
    runtime()?.block_on(flap(&network))
}

async fn flap(network: &MemoryNetwork) -> Result<Flapping> {
    let resolver = ManualResolver::new("bench");
    let endpoints = names().map(|name| Endpoint::from(name.as_str()));
    resolver.update(Resolution::new(endpoints));
    let channel = Channel::builder("bench:///echo")
        .insecure()
        .resolver(resolver)
        .connector(network.clone())
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .build()?;
    channel.wait_ready(Duration::from_secs(10)).await?;
    while made(network) < SUBCHANNELS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (started, cpu, before) = (Instant::now(), thread_cpu_seconds()?, made(network));
    let mut tick = tokio::time::interval(Duration::from_secs(1) / FLAPPING as u32);
    for flapping in names().take(FLAPPING).cycle() {
        tick.tick().await;
        if started.elapsed() >= MEASURED {
            break;
        }
        network.cut(&flapping);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Flapping {
        cores: (thread_cpu_seconds()? - cpu) / seconds,
        per_second: (made(network) - before) as f64 / seconds,
    })
}

/// How many connections were ever made.
fn made(network: &MemoryNetwork) -> usize {
    names().map(|name| network.connections(&name)).sum()
}

fn names() -> impl Iterator<Item = String> + Clone {
    (0..SUBCHANNELS).map(|n| format!("10.0.{}.{}:1", n / 250, n % 250))
}

/// Takes connections on which no call ever comes.
async fn serve(mut listener: MemoryListener) {
    while let Ok(io) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut connection) = h2::server::handshake(io).await {
                while let Some(Ok(_)) = connection.accept().await {}
            }
        });
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
