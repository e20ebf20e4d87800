//! Cases of messages that are compressed, and of messages that are not, in one call.
//!
//! Not every server can tell the ones from the others. The probe asks it first.

use futures::{StreamExt as _, stream};
use highball_channel::{Code, Compression, CompressionSwitch, Method, Status, Stream};

use super::streaming::asking_for;
use super::unary::{REQUEST, RESPONSE, of_sizes};
use super::{Failure, Tester};
use crate::interop::payload;
use crate::interop::testing::{
    BoolValue, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
};

/// The method of the stub, called as if it gave a stream: that is the same on the wire, and a stream tells how
/// its messages came.
static UNARY_CALL: Method = Method::new("/grpc.testing.TestService/UnaryCall");

pub(super) async fn client_unary(tester: &Tester, probe: bool) -> Result<(), Failure> {
    if probe {
        let ended = tester.client.unary_call(tester.request(expecting(true)));
        expect_refused(ended.await.map(|_| ()))?;
    }
    let compressed = tester.request(expecting(true));
    let compressed = compressed.with_compression(Compression::Gzip);
    for request in [compressed, tester.request(expecting(false))] {
        let reply = tester.client.unary_call(request).await?.into_message();
        expect_payload(reply)?;
    }
    Ok(())
}

pub(super) async fn server_unary(tester: &Tester) -> Result<(), Failure> {
    for wanted in [true, false] {
        let message = SimpleRequest {
            response_compressed: flag(wanted),
            ..of_sizes(REQUEST, RESPONSE)
        };
        let request = tester.request(message);
        let call = tester.channel.server_streaming(&UNARY_CALL, request);
        let mut replies = call.await?;
        let reply = replies.message().await?;
        Failure::unless_equal("is compressed", &replies.is_compressed(), &wanted)?;
        expect_payload(reply.unwrap_or_default())?;
        Failure::unless_equal("a second reply", &replies.message().await?, &None)?;
    }
    Ok(())
}

const SENT: [(usize, bool); 2] = [(27_182, true), (45_904, false)];

pub(super) async fn client_streaming(tester: &Tester, probe: bool) -> Result<(), Failure> {
    if probe {
        let lie = tester.request(stream::iter([input(SENT[0])]));
        let ended = tester.client.streaming_input_call(lie);
        expect_refused(ended.await.map(|_| ()))?;
    }
    let switch = CompressionSwitch::new();
    let mut request = tester.request(inputs(switch.clone()));
    request.options_mut().compression = Some(Compression::Gzip);
    request.options_mut().compression_switch = Some(switch);
    let reply = tester.client.streaming_input_call(request).await?;
    let size = reply.message().aggregated_payload_size;
    Failure::unless_equal("size", &size, &73_086)
}

fn inputs(switch: CompressionSwitch) -> impl Stream<Item = StreamingInputCallRequest> {
    stream::iter(SENT).map(move |(size, compressed)| {
        switch.set(compressed);
        input((size, compressed))
    })
}

const RECEIVED: [(usize, bool); 2] = [(31_415, true), (92_653, false)];

pub(super) async fn server_streaming(tester: &Tester) -> Result<(), Failure> {
    let mut message = asking_for(0, &RECEIVED.map(|(size, _)| size));
    for (parameters, (_, compressed)) in message.response_parameters.iter_mut().zip(RECEIVED) {
        parameters.compressed = flag(compressed);
    }
    let call = tester.client.streaming_output_call(tester.request(message));
    let mut replies = call.await?;
    for expected in RECEIVED {
        let payload = replies.message().await?.and_then(|reply| reply.payload);
        let size = payload.map_or(0, |payload| payload.body.len());
        let got = (size, replies.is_compressed());
        Failure::unless_equal("size, and whether it is compressed", &got, &expected)?;
    }
    Failure::unless_equal("a reply too many", &replies.message().await?, &None)
}

fn flag(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

fn expecting(compressed: bool) -> SimpleRequest {
    SimpleRequest {
        expect_compressed: flag(compressed),
        ..of_sizes(REQUEST, RESPONSE)
    }
}

fn input((size, compressed): (usize, bool)) -> StreamingInputCallRequest {
    StreamingInputCallRequest {
        payload: Some(payload(size)),
        expect_compressed: flag(compressed),
    }
}

fn expect_payload(reply: SimpleResponse) -> Result<(), Failure> {
    let size = reply.payload.map_or(0, |payload| payload.body.len());
    Failure::unless_equal("size of the reply", &size, &RESPONSE)
}

/// What is not compressed, although it says so, is refused.
fn expect_refused(ended: Result<(), Status>) -> Result<(), Failure> {
    let code = ended.err().map(|status| status.code());
    Failure::unless_equal("status of the probe", &code, &Some(Code::InvalidArgument))
}
