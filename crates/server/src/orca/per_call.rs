//! The interceptor that sends what handlers record.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use highball_core::{AnyMessage, MetadataMap, Response, Status};

use super::{CallMetrics, LoadSource};
use crate::{MessageStream, Next, Request, ServerInterceptor};

/// Gives each handler its [`CallMetrics`], and sends a report in the trailers of calls whose handlers have asked
/// for it, whichever way they end. The trailers of other calls stay as they are.
///
/// It should be the first interceptor of its server, so that what others record of a call is sent, too.
#[derive(Default)]
pub struct LoadReporting {
    source: Option<Arc<dyn LoadSource>>,
}

impl LoadReporting {
    /// Reports what handlers record, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports what handlers record over what `source` knows of the server as a whole.
    pub fn over(source: impl LoadSource) -> Self {
        let source = Some(Arc::new(source) as _);
        Self { source }
    }

    /// Leaves the request a recorder.
    fn record<T>(&self, request: &mut Request<T>) -> Recording {
        let metrics = CallMetrics::default();
        request.attributes_mut().insert(metrics.clone());
        Recording {
            metrics,
            source: self.source.clone(),
        }
    }
}

impl ServerInterceptor for LoadReporting {
    async fn unary(
        &self,
        mut request: Request<AnyMessage>,
        next: Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        let recording = self.record(&mut request);
        match next.run(request).await {
            Ok(mut response) => {
                recording.put_into(response.trailers_mut());
                Ok(response)
            }
            Err(status) => Err(recording.put_with(status)),
        }
    }

    async fn streaming(
        &self,
        mut request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        let recording = self.record(&mut request);
        match next.run(request).await {
            Ok(response) => Ok(response.map(|messages| -> MessageStream {
                let recording = Some(recording);
                Box::pin(Recorded {
                    messages,
                    recording,
                })
            })),
            Err(status) => Err(recording.put_with(status)),
        }
    }
}

impl fmt::Debug for LoadReporting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadReporting")
            .field("has_source", &self.source.is_some())
            .finish()
    }
}

/// One call's report to be.
struct Recording {
    metrics: CallMetrics,
    source: Option<Arc<dyn LoadSource>>,
}

impl Recording {
    /// Adds the report to the trailers of the call, if its handler wanted one.
    fn put_into(self, trailers: &mut MetadataMap) {
        let Some(recorded) = self.metrics.recorded() else {
            return;
        };
        let mut report = self.source.map(|source| source.load()).unwrap_or_default();
        recorded.put_over(&mut report);
        if let Err(error) = report.put_into(trailers) {
            tracing::debug!(target: "server", %error, "load report not sent");
        }
    }

    fn put_with(self, mut status: Status) -> Status {
        self.put_into(status.metadata_mut());
        status
    }
}

/// The messages of a response whose report goes behind the last.
struct Recorded {
    messages: MessageStream,
    /// `None` when the stream has ended.
    recording: Option<Recording>,
}

impl Stream for Recorded {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let end = match ready!(self.messages.as_mut().poll_next(cx)) {
            Some(Ok(message)) => return Poll::Ready(Some(Ok(message))),
            Some(Err(status)) => Some(status),
            None => None,
        };
        let Some(recording) = self.recording.take() else {
            return Poll::Ready(end.map(Err));
        };
        // A good end with trailers is an error that says OK.
        let status = recording.put_with(end.clone().unwrap_or_else(Status::ok));
        let has_something_to_say = end.is_some() || !status.metadata().is_empty();
        Poll::Ready(has_something_to_say.then_some(Err(status)))
    }
}
