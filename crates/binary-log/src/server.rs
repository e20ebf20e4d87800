//! The log of a server's calls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use highball_server::{
    AnyMessage, Code, MessageStream, MetadataMap, Next, Request, Response, ServerInterceptor,
    Status,
};

use crate::Shared;
use crate::call::{LoggedCall, Waiting};
use crate::entry::Head;
use crate::v1::grpc_log_entry::Logger;

/// Logs a server's calls: see [`BinaryLog::server`](crate::BinaryLog::server).
#[derive(Clone, Debug)]
pub struct ServerLog(pub(crate) Arc<Shared>);

impl ServerLog {
    /// Logs the headers of a call, if it is one that is logged.
    fn begin<T>(&self, request: &Request<T>) -> Option<Waiting> {
        let call = self.0.call(Logger::Server, request.path())?;
        let head = Head {
            path: request.path(),
            authority: request.authority().unwrap_or_default(),
            timeout: request.remaining_time(),
        };
        call.client_header(&head, request.metadata(), request.peer());
        Some(Waiting(Arc::new(call)))
    }
}

impl ServerInterceptor for ServerLog {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        let Some(Waiting(call)) = &self.begin(&request) else {
            return next.run(request).await;
        };
        call.client_message(request.message());
        call.half_close();
        let answered = next.run(request).await;
        match &answered {
            Ok(response) => {
                call.server_header(response.metadata(), None);
                call.server_message(response.message());
                call.trailer(Ok(response.trailers()));
            }
            Err(status) => call.trailer(Err(status)),
        }
        answered
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        let Some(waiting) = self.begin(&request) else {
            return next.run(request).await;
        };
        let call = Arc::clone(&waiting.0);
        let request = request.map(|messages| -> MessageStream {
            Box::pin(Received {
                messages,
                call: Some(call),
            })
        });
        match next.run(request).await {
            Ok(response) => {
                waiting.0.server_header(response.metadata(), None);
                let trailers = response.trailers().clone();
                Ok(response.map(|messages| -> MessageStream {
                    Box::pin(Sent {
                        messages,
                        trailers,
                        waiting,
                    })
                }))
            }
            Err(status) => {
                waiting.0.trailer(Err(&status));
                Err(status)
            }
        }
    }
}

/// What the client sends.
struct Received {
    messages: MessageStream,
    /// Gone when there is nothing more to come.
    call: Option<Arc<LoggedCall>>,
}

impl Stream for Received {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.messages.as_mut().poll_next(cx);
        match (&next, &self.call) {
            (Poll::Ready(Some(Ok(message))), Some(call)) => call.client_message(message),
            (Poll::Ready(Some(Err(_))), Some(_)) => self.call = None,
            (Poll::Ready(None), Some(call)) => {
                call.half_close();
                self.call = None;
            }
            (Poll::Pending, _) | (_, None) => (),
        }
        next
    }
}

/// What the handler sends. Dropped before its end, it is of a call that was given up.
struct Sent {
    messages: MessageStream,
    /// Those that were known before the last message.
    trailers: MetadataMap,
    waiting: Waiting,
}

impl Stream for Sent {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.messages.as_mut().poll_next(cx);
        let Waiting(call) = &self.waiting;
        match &next {
            Poll::Pending => (),
            Poll::Ready(Some(Ok(message))) => call.server_message(message),
            Poll::Ready(None) => call.trailer(Ok(&self.trailers)),
            Poll::Ready(Some(Err(status))) if status.code() == Code::Ok => {
                let mut trailers = self.trailers.clone();
                trailers.merge(status.metadata().clone());
                call.trailer(Ok(&trailers));
            }
            Poll::Ready(Some(Err(status))) => call.trailer(Err(status)),
        }
        next
    }
}
