//! What a handler records of its call.

use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::{Metric, Metrics};
use crate::Request;

/// What one call has cost, and the load of the server as its handler sees it: sent with the call's trailers.
///
/// It takes the [`LoadReporting`](super::LoadReporting) interceptor. What is recorded until the call ends counts,
/// whether it ends well or not. Values are checked as those of [`ServerMetrics`](super::ServerMetrics) are, and
/// go over what the server as a whole reports. Clones are the same recorder.
///
/// ```
/// use highball_server::orca::CallMetrics;
/// use highball_server::{Request, Response, Status};
///
/// async fn query(request: Request<()>) -> Result<Response<()>, Status> {
///     if let Some(metrics) = CallMetrics::of(&request) {
///         metrics.set_request_cost("db_queries", 10.0);
///     }
///     Ok(Response::new(()))
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallMetrics(Arc<Recorder>);

/// `None` until the handler asks for its recorder.
#[derive(Debug, Default)]
struct Recorder(
    /// Held for the change or the copy of what is recorded.
    Mutex<Option<Metrics>>,
);

impl CallMetrics {
    /// The recorder of this call; `None` where the server does not report load. Whether anything is recorded or
    /// not, a call whose handler has asked for its recorder sends a report.
    pub fn of<T>(request: &Request<T>) -> Option<Self> {
        let metrics: &Self = request.attributes().get()?;
        metrics.change(|_| ());
        Some(metrics.clone())
    }

    /// What a call of this kind has cost, by the application's own measure.
    pub fn set_request_cost(&self, name: impl Into<String>, value: impl Into<Option<f64>>) {
        self.record(Metric::RequestCost(name.into()), value.into());
    }

    /// Anything else that the application has a name for.
    pub fn set_named_metric(&self, name: impl Into<String>, value: impl Into<Option<f64>>) {
        self.record(Metric::Named(name.into()), value.into());
    }

    /// How busy the processors are: 0 or more, and more than 1 where some may be borrowed.
    pub fn set_cpu_utilization(&self, value: impl Into<Option<f64>>) {
        self.record(Metric::Cpu, value.into());
    }

    /// How much of the memory is in use: from 0 to 1.
    pub fn set_memory_utilization(&self, value: impl Into<Option<f64>>) {
        self.record(Metric::Memory, value.into());
    }

    /// How busy the application is by its own measure: 0 or more.
    pub fn set_application_utilization(&self, value: impl Into<Option<f64>>) {
        self.record(Metric::Application, value.into());
    }

    /// Calls per second: 0 or more.
    pub fn set_qps(&self, value: impl Into<Option<f64>>) {
        self.record(Metric::Calls, value.into());
    }

    /// Errors per second: 0 or more.
    pub fn set_eps(&self, value: impl Into<Option<f64>>) {
        self.record(Metric::Errors, value.into());
    }

    /// How much of another resource is in use: from 0 to 1.
    pub fn set_utilization(&self, resource: impl Into<String>, value: impl Into<Option<f64>>) {
        self.record(Metric::Utilization(resource.into()), value.into());
    }

    /// What has been recorded, if anybody wanted to.
    pub(super) fn recorded(&self) -> Option<Metrics> {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn record(&self, metric: Metric, value: Option<f64>) {
        self.change(|metrics| metrics.record(metric, value));
    }

    fn change(&self, change: impl FnOnce(&mut Metrics)) {
        let mut recorded = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(recorded.get_or_insert_default());
    }
}

/// Equal are those that are the same recorder.
impl PartialEq for CallMetrics {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
