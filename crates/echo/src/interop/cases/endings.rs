//! Cases of calls that end other than well.

use std::fmt;
use std::time::Duration;

use futures::{FutureExt as _, stream};
use highball_channel::{Code, Status};

use super::streaming::{REQUESTS, RESPONSES, asking_for, expect};
use super::unary::of_sizes;
use super::{Failure, Tester};
use crate::interop::testing::{EchoStatus, Empty, SimpleRequest, StreamingOutputCallRequest};

/// A call of a stream that says nothing, cancelled when it has begun.
///
/// Who cancels a call here drops it, so nothing is left that could end CANCELLED; a server would see it.
pub(super) async fn cancel_after_begin(tester: &Tester) -> Result<(), Failure> {
    let (sender, requests) = highball_channel::messages();
    let request = tester.request(requests);
    let mut call = Box::pin(tester.client.streaming_input_call(request));
    // Until the call is under way, and some more.
    let early = tokio::time::timeout(Duration::from_millis(50), &mut call).await;
    if let Ok(ended) = early {
        return Err(unexpected_end(ended.map(|_| ())));
    }
    drop(call);
    // The stream of requests hears of it.
    let closed = tokio::time::timeout(Duration::from_secs(10), sender.closed()).await;
    closed.map_err(|_| Failure::new("the call goes on although it is cancelled"))
}

/// A conversation, cancelled after its first response.
pub(super) async fn cancel_after_first_response(tester: &Tester) -> Result<(), Failure> {
    let (sender, requests) = highball_channel::messages();
    let request = tester.request(requests);
    let mut replies = tester.client.full_duplex_call(request).await?;
    let first = asking_for(REQUESTS[0], &RESPONSES[..1]);
    if sender.send(first).await.is_ok() {
        expect(&mut replies, RESPONSES[0]).await?;
    }
    if let Some(ended) = replies.message().now_or_never() {
        return Err(unexpected_end(ended.map(|_| ())));
    }
    drop(replies);
    let closed = tokio::time::timeout(Duration::from_secs(10), sender.closed()).await;
    closed.map_err(|_| Failure::new("the call goes on although it is cancelled"))
}

fn unexpected_end(ended: Result<(), Status>) -> Failure {
    match ended {
        Ok(()) => Failure::new("the call ended well before it was cancelled"),
        Err(status) => status.into(),
    }
}

pub(super) async fn timeout_on_sleeping_server(tester: &Tester) -> Result<(), Failure> {
    let (sender, requests) = highball_channel::messages();
    let mut request = tester.request(requests);
    request.options_mut().timeout = Some(Duration::from_millis(1));
    let ended = match tester.client.full_duplex_call(request).await {
        Ok(mut replies) => {
            // The call may be over before it is sent.
            let _ = sender.send(asking_for(REQUESTS[0], &[])).await;
            replies.message().await
        }
        Err(status) => Err(status),
    };
    expect_status(ended, Code::DeadlineExceeded, None)
}

pub(super) async fn status_code_and_message(tester: &Tester) -> Result<(), Failure> {
    const TEXT: &str = "test status message";
    expect_echo(tester, TEXT).await?;
    let request = StreamingOutputCallRequest {
        response_status: Some(status(TEXT)),
        ..StreamingOutputCallRequest::default()
    };
    let request = tester.request(stream::iter([request]));
    let mut replies = tester.client.full_duplex_call(request).await?;
    expect_status(replies.message().await, Code::Unknown, Some(TEXT))
}

pub(super) async fn special_status_message(tester: &Tester) -> Result<(), Failure> {
    let text = "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";
    expect_echo(tester, text).await
}

pub(super) async fn unimplemented_method(tester: &Tester) -> Result<(), Failure> {
    let request = tester.request(Empty {});
    let ended = tester.client.unimplemented_call(request).await;
    expect_status(ended, Code::Unimplemented, None)
}

pub(super) async fn unimplemented_service(tester: &Tester) -> Result<(), Failure> {
    let request = tester.request(Empty {});
    let ended = tester.unimplemented.unimplemented_call(request).await;
    expect_status(ended, Code::Unimplemented, None)
}

/// Has a unary call end UNKNOWN with this text.
async fn expect_echo(tester: &Tester, text: &str) -> Result<(), Failure> {
    let request = tester.request(SimpleRequest {
        response_status: Some(status(text)),
        ..of_sizes(0, 0)
    });
    let ended = tester.client.unary_call(request).await;
    expect_status(ended, Code::Unknown, Some(text))
}

fn status(text: &str) -> EchoStatus {
    EchoStatus {
        code: Code::Unknown.number(),
        message: text.to_owned(),
    }
}

fn expect_status<T: fmt::Debug>(
    ended: Result<T, Status>,
    code: Code,
    text: Option<&str>,
) -> Result<(), Failure> {
    match ended {
        Ok(reply) => Err(Failure::new(format!("want {code}, got {reply:?}"))),
        Err(status) => {
            Failure::unless_equal("code", &status.code(), &code)
                .map_err(|_| Failure::new(format!("want {code}, got {status}")))?;
            let text = text.unwrap_or(status.message());
            Failure::unless_equal("message", &status.message(), &text)
        }
    }
}
