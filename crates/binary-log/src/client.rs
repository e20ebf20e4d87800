//! The log of a channel's calls.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use highball_channel::explanation::Seen;
use highball_channel::{
    Address, AnyMessage, AnyStreaming, ClientInterceptor, GivenUp, MessageStream, MetadataMap,
    Next, Peer, Request, Response, ResponseListener, Status,
};

use crate::Shared;
use crate::call::{LoggedCall, Waiting};
use crate::entry::Head;
use crate::v1::grpc_log_entry::Logger;

/// Logs a channel's calls: see [`BinaryLog::client`](crate::BinaryLog::client).
#[derive(Clone, Debug)]
pub struct ClientLog(pub(crate) Arc<Shared>);

impl ClientLog {
    /// Logs the headers of a call, if it is one that is logged.
    fn begin<T>(&self, request: &Request<T>, next: &Next<'_>) -> Option<Waiting> {
        let path = next.method().path();
        let call = self.0.call(Logger::Client, path)?;
        let options = request.options();
        let head = Head {
            path,
            authority: options.authority.as_deref().unwrap_or(next.authority()),
            timeout: match (options.timeout, next.method_timeout()) {
                (Some(own), Some(of_method)) => Some(own.min(of_method)),
                (own, of_method) => own.or(of_method),
            },
        };
        call.client_header(&head, request.metadata(), None);
        Some(Waiting(Arc::new(call)))
    }
}

impl ClientInterceptor for ClientLog {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        let Some(Waiting(call)) = &self.begin(&request, &next) else {
            return next.unary(request).await;
        };
        call.client_message(request.message());
        call.half_close();
        let answered = next.unary(request).await;
        match &answered {
            Ok(response) => {
                call.server_header(response.metadata(), response.peer());
                call.server_message(response.message());
                call.trailer(Ok(response.trailers()));
            }
            Err(status) => failed(call, status),
        }
        answered
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_>,
    ) -> Result<AnyStreaming, Status> {
        let Some(waiting) = self.begin(&request, &next) else {
            return next.streaming(request).await;
        };
        let call = Arc::clone(&waiting.0);
        let request = request.map(|messages| -> MessageStream {
            Box::pin(Sent {
                messages,
                call: Some(call),
            })
        });
        match next.streaming(request).await {
            Ok(streaming) => Ok(streaming.listen(Received(waiting))),
            Err(status) => {
                failed(&waiting.0, &status);
                Err(status)
            }
        }
    }
}

/// The end of a call that did not end well: where its own client has ended it, that counts as giving it up,
/// as in grpc-go. A server may answer with the very same code and text.
fn failed(call: &LoggedCall, status: &Status) {
    match status.source().is_some_and(|source| source.is::<GivenUp>()) {
        true => call.cancel(),
        false => call.trailer_from(who_answered(status), status),
    }
}

/// The server whose answer the status is, if it is one.
fn who_answered(status: &Status) -> Option<&Address> {
    let last = status.explanation()?.attempts.last()?;
    last.server.as_ref().filter(|_| last.seen == Seen::Answered)
}

/// What the application sends.
struct Sent {
    messages: MessageStream,
    /// Gone when the last message has been sent.
    call: Option<Arc<LoggedCall>>,
}

impl Stream for Sent {
    type Item = AnyMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AnyMessage>> {
        let next = self.messages.as_mut().poll_next(cx);
        match (&next, &self.call) {
            (Poll::Ready(Some(message)), Some(call)) => call.client_message(message),
            (Poll::Ready(None), Some(call)) => {
                call.half_close();
                self.call = None;
            }
            (Poll::Pending, _) | (_, None) => (),
        }
        next
    }
}

/// What the server sends.
struct Received(Waiting);

impl ResponseListener for Received {
    fn headers(&mut self, metadata: &mut MetadataMap, peer: &Peer) {
        self.0.0.server_header(metadata, Some(peer));
    }

    fn message(&mut self, message: AnyMessage) -> Result<AnyMessage, Status> {
        self.0.0.server_message(&message);
        Ok(message)
    }

    fn close(&mut self, end: Result<MetadataMap, Status>) -> Result<MetadataMap, Status> {
        match &end {
            Ok(trailers) => self.0.0.trailer(Ok(trailers)),
            Err(status) => failed(&self.0.0, status),
        }
        end
    }
}
