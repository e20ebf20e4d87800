//! Load reports as clients see them.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use highball_core::LoadReport;
use highball_core::details::ProtoDuration;
use highball_server::orca::v3::OrcaLoadReportRequest;
use highball_server::orca::{CallMetrics, LoadReporting, OrcaService, ServerMetrics};
use highball_server::{
    Code, IncomingCall, MetadataMap, Request, Response, ResponseStream, Service, Status,
};
use tokio::time::Instant;

use crate::support::client::{Incoming, framed, to_path};
use crate::support::{Client, World, settle};

const OUT_OF_BAND: &str = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";

/// Asks for reports out of band.
async fn listen(client: &Client, interval: Duration) -> Incoming {
    let mut call = client
        .open(to_path(OUT_OF_BAND).body(()).unwrap(), false)
        .await;
    let asked = OrcaLoadReportRequest {
        report_interval: Some(ProtoDuration::from(interval)),
        request_cost_names: Vec::new(),
    };
    call.send.send_data(framed(&asked), true).unwrap();
    call.incoming().await
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_ends_the_reports_to_clients_that_go_on_listening() {
    let service = OrcaService::new(ServerMetrics::new());
    let world = World::with(|builder| builder.add_service(service));
    let client = world.client().await;
    let asked = framed(&OrcaLoadReportRequest::default());
    let listening = client.send_all(to_path(OUT_OF_BAND), [asked]);
    let stopping = async {
        settle().await;
        let start = Instant::now();
        world.server.graceful_stop().await;
        start.elapsed().as_secs()
    };
    let (heard, took) = tokio::join!(listening, stopping);
    assert_eq!(heard.status(), "1 Stream has ended.");
    assert_eq!((heard.messages.len(), took), (1, 1));
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn out_of_band_a_client_hears_the_load_at_once_and_then_at_its_interval_changed_or_not() {
    let metrics = ServerMetrics::new();
    let service = OrcaService::new(metrics.clone());
    let world = World::with(|builder| builder.add_service(service));
    let client = world.client().await;
    metrics.set_memory_utilization(0.5);
    let start = Instant::now();
    let mut reports = listen(&client, Duration::from_secs(40)).await;
    let mut heard = Vec::new();
    for number in 0..5 {
        let report: LoadReport = reports.message().await;
        let after = start.elapsed().as_secs();
        heard.push((after, report.mem_utilization, report.cpu_utilization));
        match number {
            1 => metrics.set_cpu_utilization(0.25),
            2 => metrics.set_memory_utilization(None),
            _ => {}
        }
    }
    let wanted = [
        (0, 0.5, 0.0),
        (40, 0.5, 0.0),
        (80, 0.5, 0.25),
        (120, 0.0, 0.25),
        (160, 0.0, 0.25),
    ];
    assert_eq!(heard, wanted);
    let start = Instant::now();
    let mut hasty = listen(&client, Duration::from_millis(1)).await;
    for after in [0, 30, 60] {
        hasty.message::<LoadReport>().await;
        assert_eq!(start.elapsed().as_secs(), after);
    }
    drop((reports, hasty, client));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn out_of_band_reports_may_come_from_a_closure() {
    let service = OrcaService::new(|| LoadReport {
        eps: 7.0,
        ..LoadReport::default()
    });
    let world = World::with(|builder| builder.add_service(service));
    let client = world.client().await;
    let report: LoadReport = listen(&client, Duration::ZERO).await.message().await;
    assert_eq!(report.eps, 7.0);
    drop(client);
    world.end().await;
}

/// Records what it is asked to: `method` says whether it records at all, and how the call ends.
struct Recorder;

impl Service for Recorder {
    fn name(&self) -> &str {
        "Recorder"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        let (records, fails) = (method.contains("record"), method.contains("fail"));
        let end = move || match fails {
            true => Err(Status::new(Code::Aborted, "as told")),
            false => Ok(()),
        };
        match method.contains("stream") {
            false => highball_server::unary(call, async move |request: Request<u32>| {
                let metrics = records.then(|| CallMetrics::of(&request)).flatten();
                record(metrics, "a");
                end().map(|()| Response::new(7u32).with_trailers(theirs()))
            }),
            true => highball_server::server_streaming(call, async move |request: Request<u32>| {
                let metrics = records.then(|| CallMetrics::of(&request)).flatten();
                let messages = stream::iter([Ok(1u32), Ok(2)]).chain(stream::once(async move {
                    // At the last moment.
                    record(metrics, "a");
                    end().map(|()| 3)
                }));
                let messages: ResponseStream<u32> = Box::pin(messages);
                Ok(Response::new(messages).with_trailers(theirs()))
            }),
        }
    }
}

fn record(metrics: Option<CallMetrics>, cost: &str) {
    if let Some(metrics) = metrics {
        metrics.set_request_cost(cost, 10.0);
        metrics.set_named_metric("n", -1.0);
        metrics.set_memory_utilization(0.5);
    }
}

/// Trailers that the handler sends anyway.
fn theirs() -> MetadataMap {
    let mut trailers = MetadataMap::new();
    trailers.insert("their", "own").unwrap();
    trailers
}

fn recorded() -> LoadReport {
    LoadReport {
        mem_utilization: 0.5,
        request_cost: [("a".to_owned(), 10.0)].into(),
        named_metrics: [("n".to_owned(), -1.0)].into(),
        ..LoadReport::default()
    }
}

/// The report that each way of answering sends, on a server like this.
async fn reports(reporting: Option<LoadReporting>) -> Vec<(String, Option<LoadReport>)> {
    let world = World::with(|builder| {
        let builder = builder.add_service(Recorder);
        match reporting {
            Some(reporting) => builder.interceptor(reporting),
            None => builder,
        }
    });
    let client = world.client().await;
    let mut reports = Vec::new();
    for method in ["unary", "unary-fail", "stream", "stream-fail"] {
        for does in ["", "-record"] {
            let method = format!("{method}{does}");
            let path = to_path(&format!("/Recorder/{method}"));
            let reply = client.send_all(path, [framed(&5u32)]).await;
            let fails = method.contains("fail");
            assert_eq!(reply.status().starts_with("10"), fails, "{method}");
            let trailers = reply.trailers.clone().unwrap_or(reply.headers.clone());
            let trailers = MetadataMap::from_wire(trailers).unwrap();
            assert!(fails || trailers.contains_key("their"), "{method}");
            let report = LoadReport::from_trailers(&trailers).unwrap();
            reports.push((method, report));
        }
    }
    drop(client);
    world.end().await;
    reports
}

#[tokio::test(start_paused = true)]
async fn a_call_that_records_reports_at_its_end_however_it_ends_and_others_send_no_trailer() {
    for (method, report) in reports(Some(LoadReporting::new())).await {
        let wanted = method.ends_with("record").then(recorded);
        assert_eq!(report, wanted, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_calls_own_metrics_go_over_the_servers_which_alone_send_no_trailer() {
    let metrics = ServerMetrics::new();
    metrics.set_memory_utilization(0.9);
    metrics.set_cpu_utilization(0.3);
    for (method, report) in reports(Some(LoadReporting::over(metrics))).await {
        let merged = || LoadReport {
            cpu_utilization: 0.3,
            ..recorded()
        };
        let wanted = method.ends_with("record").then(merged);
        assert_eq!(report, wanted, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_report_gives_its_handlers_no_recorder() {
    for (method, report) in reports(None).await {
        assert_eq!(report, None, "{method}");
    }
    assert_eq!(CallMetrics::of(&Request::new(())), None);
}
