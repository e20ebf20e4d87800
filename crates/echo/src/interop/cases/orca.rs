//! Cases of load that a server reports. The policy that tells of it is chosen by the service config.

use std::collections::HashMap;
use std::time::Duration;

use highball_channel::{LoadReport, Streaming};

use super::streaming::{asking_for, expect};
use super::{Failure, Tester};
use crate::interop::backend_metrics::reported;
use crate::interop::testing::{
    SimpleRequest, StreamingOutputCallRequest, StreamingOutputCallResponse, TestOrcaReport,
};

/// How often the load is looked at, a second apart.
const LOOKS: usize = 30;

/// A load that a server is to report.
fn load(cpu: f64, memory: f64, utilization: f64) -> TestOrcaReport {
    TestOrcaReport {
        cpu_utilization: cpu,
        memory_utilization: memory,
        request_cost: HashMap::new(),
        utilization: HashMap::from([("util".to_owned(), utilization)]),
    }
}

/// The report of it.
fn report_of(load: &TestOrcaReport) -> LoadReport {
    LoadReport {
        cpu_utilization: load.cpu_utilization,
        mem_utilization: load.memory_utilization,
        request_cost: load.request_cost.clone().into_iter().collect(),
        utilization: load.utilization.clone().into_iter().collect(),
        ..LoadReport::default()
    }
}

pub(super) async fn per_rpc(tester: &Tester) -> Result<(), Failure> {
    let mut load = load(0.8210, 0.5847, 0.30499);
    load.request_cost.insert("cost".to_owned(), 3456.32);
    let got = reported_with(tester, Some(load.clone())).await?;
    Failure::unless_equal("load report", &got, &Some(report_of(&load)))
}

pub(super) async fn out_of_band(tester: &Tester) -> Result<(), Failure> {
    let (sender, requests) = highball_channel::messages();
    let call = tester.client.full_duplex_call(tester.request(requests));
    let mut replies = call.await?;
    for load in [load(0.8210, 0.5847, 0.30499), load(0.29309, 0.2, 0.2039)] {
        let wanted = report_of(&load);
        let request = StreamingOutputCallRequest {
            orca_oob_report: Some(load),
            ..asking_for(0, &[1])
        };
        // What ended the call is known to the replies.
        let _ = sender.send(request).await;
        expect_report(tester, &mut replies, &wanted).await?;
    }
    Ok(())
}

/// Waits until the server has heard of its load, and then until it reports it.
async fn expect_report(
    tester: &Tester,
    replies: &mut Streaming<StreamingOutputCallResponse>,
    wanted: &LoadReport,
) -> Result<(), Failure> {
    expect(replies, 1).await?;
    let mut got = None;
    for _ in 0..LOOKS {
        got = reported_with(tester, None).await?;
        if got.as_ref() == Some(wanted) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Failure::unless_equal("load report", &got.as_ref(), &Some(wanted))
}

/// Makes a call that has the server report this load; gives what is reported.
async fn reported_with(
    tester: &Tester,
    load: Option<TestOrcaReport>,
) -> Result<Option<LoadReport>, Failure> {
    let message = SimpleRequest {
        orca_per_query_report: load,
        ..SimpleRequest::default()
    };
    let call = tester.client.unary_call(tester.request(message));
    let (reply, report) = reported(call).await;
    reply?;
    Ok(report.map(|report| LoadReport::clone(&report)))
}
