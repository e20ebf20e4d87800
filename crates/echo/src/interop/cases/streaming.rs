//! Cases with streams of requests, of responses, or of both.

use futures::stream;
use highball_channel::Streaming;

use super::{Failure, Tester};
use crate::interop::payload;
use crate::interop::testing::{
    ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

pub(super) const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
pub(super) const RESPONSES: [usize; 4] = [31_415, 9, 2_653, 58_979];

/// A request for responses of these sizes.
pub(super) fn asking_for(request: usize, responses: &[usize]) -> StreamingOutputCallRequest {
    let parameters = responses.iter().map(|size| ResponseParameters {
        size: i32::try_from(*size).unwrap_or(i32::MAX),
        ..ResponseParameters::default()
    });
    StreamingOutputCallRequest {
        response_parameters: parameters.collect(),
        payload: (request > 0).then(|| payload(request)),
        ..StreamingOutputCallRequest::default()
    }
}

pub(super) async fn client(tester: &Tester) -> Result<(), Failure> {
    let requests = REQUESTS.map(|size| StreamingInputCallRequest {
        payload: Some(payload(size)),
        expect_compressed: None,
    });
    let request = tester.request(stream::iter(requests));
    let reply = tester.client.streaming_input_call(request).await?;
    let size = reply.message().aggregated_payload_size;
    Failure::unless_equal("aggregated_payload_size", &size, &74_922)
}

pub(super) async fn server(tester: &Tester) -> Result<(), Failure> {
    let request = tester.request(asking_for(0, &RESPONSES));
    let mut replies = tester.client.streaming_output_call(request).await?;
    for size in RESPONSES {
        expect(&mut replies, size).await?;
    }
    expect_end(&mut replies).await
}

pub(super) async fn ping_pong(tester: &Tester) -> Result<(), Failure> {
    let (sender, requests) = highball_channel::messages();
    let request = tester.request(requests);
    let mut replies = tester.client.full_duplex_call(request).await?;
    for (request, response) in REQUESTS.into_iter().zip(RESPONSES) {
        let sent = sender.send(asking_for(request, &[response])).await;
        // What ended the call is known to the replies.
        if sent.is_err() {
            break;
        }
        expect(&mut replies, response).await?;
    }
    drop(sender);
    expect_end(&mut replies).await
}

pub(super) async fn empty(tester: &Tester) -> Result<(), Failure> {
    let request = tester.request(stream::empty());
    let mut replies = tester.client.full_duplex_call(request).await?;
    expect_end(&mut replies).await
}

pub(super) async fn half_duplex(tester: &Tester) -> Result<(), Failure> {
    let requests = REQUESTS.into_iter().zip(RESPONSES);
    let requests: Vec<_> = requests
        .map(|(request, response)| asking_for(request, &[response]))
        .collect();
    let request = tester.request(stream::iter(requests));
    let mut replies = tester.client.half_duplex_call(request).await?;
    for size in RESPONSES {
        expect(&mut replies, size).await?;
    }
    expect_end(&mut replies).await
}

/// Waits for a response with a payload of this size.
pub(super) async fn expect(
    replies: &mut Streaming<StreamingOutputCallResponse>,
    size: usize,
) -> Result<(), Failure> {
    let reply = replies.message().await?;
    let reply = reply.ok_or_else(|| Failure::new("the stream ended before its last response"))?;
    let got = reply.payload.map(|payload| payload.body.len());
    Failure::unless_equal("payload", &got, &Some(size))
}

/// Waits for a good end, without another response.
pub(super) async fn expect_end(
    replies: &mut Streaming<StreamingOutputCallResponse>,
) -> Result<(), Failure> {
    match replies.message().await? {
        None => Ok(()),
        Some(_) => Err(Failure::new("there are more responses than were asked for")),
    }
}
