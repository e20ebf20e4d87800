//! `xds.service.orca.v3.OpenRcaService`: reports beside the calls.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use highball_core::LoadReport;
use highball_core::details::ProtoDuration;
use tokio::time::{Sleep, sleep};

use super::LoadSource;
use super::v3::OrcaLoadReportRequest;
use super::v3::open_rca_service_server::{OpenRcaService, OpenRcaServiceServer};
use crate::endless::Endless;
use crate::{IncomingCall, Request, Response, ResponseStream, Service, Status};

/// The least time from one report to the next that a server puts up with.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);

/// Tells clients that ask how loaded the server is: at once, and then at the interval that they ask for, changed
/// or not. Nobody gets reports more often than every 30 seconds.
///
/// A client listens until it has had enough; gRPC's clients have when they hear that the server stops. A graceful stop
/// ends the calls of others, CANCELLED, after a second.
#[derive(Clone)]
pub struct OrcaService {
    source: Arc<dyn LoadSource>,
    least_interval: Duration,
}

impl OrcaService {
    /// Reports what `source` knows.
    pub fn new(source: impl LoadSource) -> Self {
        Self {
            source: Arc::new(source),
            least_interval: LEAST_INTERVAL,
        }
    }

    /// The least time from one report to the next: 30 seconds, or more.
    #[must_use]
    pub fn least_interval(self, interval: Duration) -> Self {
        self.unusual_least_interval(interval.max(LEAST_INTERVAL))
    }

    /// The same, also for less than 30 seconds: for tests and demonstrations. What is gained by fresher reports
    /// is mostly less than what they cost.
    #[must_use]
    pub fn unusual_least_interval(mut self, interval: Duration) -> Self {
        self.least_interval = interval;
        self
    }

    /// What a client gets that asks for `interval`.
    fn interval(&self, asked: Option<ProtoDuration>) -> Duration {
        let asked = asked.and_then(ProtoDuration::to_std).unwrap_or_default();
        asked.max(self.least_interval)
    }
}

impl Service for OrcaService {
    fn name(&self) -> &str {
        "xds.service.orca.v3.OpenRcaService"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        OpenRcaServiceServer::new(self.clone()).call(method, call);
    }
}

impl OpenRcaService for OrcaService {
    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
    ) -> Result<Response<ResponseStream<LoadReport>>, Status> {
        let reports = Reports {
            source: self.source.clone(),
            interval: self.interval(request.message().report_interval),
            pause: None,
        };
        let stopping = request.server_stopping();
        Ok(Response::new(Box::pin(Endless::new(reports, stopping))))
    }
}

impl fmt::Debug for OrcaService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrcaService")
            .field("least_interval", &self.least_interval)
            .finish_non_exhaustive()
    }
}

/// The reports for one client. The stream never ends by itself.
struct Reports {
    source: Arc<dyn LoadSource>,
    interval: Duration,
    /// Until the next one; the first comes at once.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for Reports {
    type Item = Result<LoadReport, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = Some(Box::pin(sleep(self.interval)));
        Poll::Ready(Some(Ok(self.source.load())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orca::ServerMetrics;

    #[test]
    fn a_client_gets_the_interval_that_it_asks_for_or_the_least_there_is() {
        let seconds = Duration::from_secs;
        let asked = |interval: Duration| Some(ProtoDuration::from(interval));
        let service = OrcaService::new(ServerMetrics::new());
        assert_eq!(service.interval(None), seconds(30));
        assert_eq!(service.interval(asked(seconds(29))), seconds(30));
        assert_eq!(service.interval(asked(seconds(31))), seconds(31));
        let negative = Some(ProtoDuration {
            seconds: -60,
            nanos: 0,
        });
        assert_eq!(service.interval(negative), seconds(30));
        let hasty = service.clone().least_interval(seconds(1));
        assert_eq!(hasty.interval(None), seconds(30));
        let slow = service.clone().least_interval(seconds(60));
        assert_eq!(slow.interval(asked(seconds(31))), seconds(60));
        let unusual = service.unusual_least_interval(seconds(1));
        assert_eq!(unusual.interval(None), seconds(1));
        assert_eq!(unusual.interval(asked(seconds(2))), seconds(2));
    }
}
