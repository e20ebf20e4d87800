//! A client program: connects, works, measures, prints.

use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::kept::{Kept, Thing};
use crate::process::Usage;
use crate::{ClientOptions, Ends, Kind, Meter, Peer, Report, Result, load};

/// The `main` of a stack's client.
pub fn client<P: Peer>() -> ExitCode {
    let options = ClientOptions::parse();
    let result = options
        .runtime
        .build()
        .map_err(Into::into)
        .and_then(|runtime| {
            let line = runtime.block_on(run::<P>(options));
            runtime.shutdown_background();
            line
        });
    match result {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run<P: Peer>(options: ClientOptions) -> Result<String> {
    if let Some(calls) = options.calls {
        count::<P>(calls, &options).await?;
        return Ok(format!("{{\"calls\":{calls}}}"));
    }
    if let Some(thing) = options.keep {
        return Ok(serde_json::to_string(&keep::<P>(thing, &options).await?)?);
    }
    let mut peers = Vec::new();
    for _ in 0..options.connections {
        peers.push(P::connect(options.port).await?);
    }
    let meter = Arc::new(Meter::new());
    let mut tasks = FuturesUnordered::new();
    for peer in peers.iter().cycle().take(options.calls_in_flight) {
        let load = load::forever(peer.clone(), options.clone(), Arc::clone(&meter));
        tasks.push(tokio::spawn(load));
    }
    let failed = async {
        match tasks.next().await {
            Some(Ok(Err(failure))) => failure,
            other => format!("a task ended: {other:?}").into(),
        }
    };
    measure(&options, &meter, failed).await
}

/// Makes `calls` calls and nothing else: one after the other, or as many at a time as the options say; each on
/// a new channel if they are to be cold.
async fn count<P: Peer>(calls: u64, options: &ClientOptions) -> Result<()> {
    let request = load::request(options);
    if options.kind == Kind::Cold {
        return load::cold_sequence::<P>(options.port, &request, calls).await;
    }
    let peer = P::connect(options.port).await?;
    let at_a_time = options.calls_in_flight as u64;
    if at_a_time == 1 {
        return load::sequence(&peer, &request, calls).await;
    }
    let mut tasks = FuturesUnordered::new();
    for _ in 0..at_a_time {
        let (peer, request) = (peer.clone(), request.clone());
        let sequence = async move { load::sequence(&peer, &request, calls / at_a_time).await };
        tasks.push(tokio::spawn(sequence));
    }
    while let Some(ended) = tasks.next().await {
        ended??;
    }
    Ok(())
}

/// By how much the resident memory of both ends grows with each thing that is kept.
async fn keep<P: Peer>(thing: Thing, options: &ClientOptions) -> Result<Ends> {
    let rss = || [None, options.server_pid].map(|pid| Usage::now(pid).rss_kib as f64);
    let mut kept = Kept::<P>::start(thing, options.port).await?;
    let before = rss();
    let added = kept.grow().await? as f64;
    let after = rss();
    Ok(Ends {
        client: (after[0] - before[0]) * 1024.0 / added,
        server: (after[1] - before[1]) * 1024.0 / added,
    })
}

async fn measure(
    options: &ClientOptions,
    meter: &Meter,
    failed: impl Future<Output = crate::Failure>,
) -> Result<String> {
    let mut failed = pin!(failed);
    let mut work = async |seconds: f64| {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => Ok(()),
            failure = &mut failed => Err(failure),
        }
    };
    work(options.warmup).await?;
    let usage = || (Usage::now(None), Usage::now(options.server_pid));
    meter.record(true);
    let (started, done, before) = (Instant::now(), meter.done(), usage());
    work(options.seconds).await?;
    let (seconds, done, after) = (started.elapsed(), meter.done() - done, usage());
    meter.record(false);
    let report = Report {
        calls: done,
        seconds: seconds.as_secs_f64(),
        p50_us: meter.quantile(0.50),
        p99_us: meter.quantile(0.99),
        client_cpu_s: after.0.cpu_seconds - before.0.cpu_seconds,
        server_cpu_s: after.1.cpu_seconds - before.1.cpu_seconds,
        client_rss_kib: after.0.rss_kib,
        server_rss_kib: after.1.rss_kib,
    };
    Ok(serde_json::to_string(&report)?)
}
