//! Cases of one request and one response.

use futures::future::try_join_all;

use super::{Failure, Tester};
use crate::interop::payload;
use crate::interop::testing::{Empty, SimpleRequest, SimpleResponse};

pub(super) const REQUEST: usize = 271_828;
pub(super) const RESPONSE: usize = 314_159;

pub(super) async fn empty(tester: &Tester) -> Result<(), Failure> {
    let request = tester.request(Empty {});
    let reply = tester.client.empty_call(request).await?;
    Failure::unless_equal("reply", reply.message(), &Empty {})
}

pub(super) async fn large(tester: &Tester) -> Result<(), Failure> {
    exchange(tester, REQUEST, RESPONSE).await
}

/// As much as any server takes by default, but for the message around it.
pub(super) async fn very_large_request(tester: &Tester) -> Result<(), Failure> {
    exchange(tester, 4 * 1024 * 1024 - 100, 1).await
}

/// A thousand at a time: more than a server lets a client have open.
pub(super) async fn concurrent_large(tester: &Tester) -> Result<(), Failure> {
    try_join_all((0..1000).map(|_| large(tester))).await?;
    Ok(())
}

/// All calls go to one server.
pub(super) async fn pick_first(tester: &Tester) -> Result<(), Failure> {
    let mut first = None;
    for number in 0..100 {
        let reply = call(
            tester,
            SimpleRequest {
                fill_server_id: true,
                ..of_sizes(1, 1)
            },
        );
        let id = reply.await?.server_id;
        if id.is_empty() {
            return Err(Failure::new(format!("call {number}: no server id")));
        }
        let first = first.get_or_insert_with(|| id.clone());
        Failure::unless_equal("server id", &id, first)?;
    }
    Ok(())
}

/// Sends and receives payloads of these sizes.
pub(in crate::interop) async fn exchange(
    tester: &Tester,
    request: usize,
    response: usize,
) -> Result<(), Failure> {
    let reply = call(tester, of_sizes(request, response)).await?;
    Failure::unless_equal("payload", &reply.payload, &Some(payload(response)))
        .map_err(|_| wrong_payload(&reply, response))
}

async fn call(tester: &Tester, message: SimpleRequest) -> Result<SimpleResponse, Failure> {
    let request = tester.request(message);
    Ok(tester.client.unary_call(request).await?.into_message())
}

pub(super) fn of_sizes(request: usize, response: usize) -> SimpleRequest {
    SimpleRequest {
        response_size: i32::try_from(response).unwrap_or(i32::MAX),
        payload: Some(payload(request)),
        ..SimpleRequest::default()
    }
}

/// Without the bytes.
fn wrong_payload(reply: &SimpleResponse, wanted: usize) -> Failure {
    let got = reply.payload.as_ref().map(|payload| payload.body.len());
    Failure::new(format!(
        "want a payload of {wanted} zeros, got {got:?} bytes"
    ))
}
