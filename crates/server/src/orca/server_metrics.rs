//! What an application records of its server as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use highball_core::LoadReport;

use super::metrics::{Metric, Metrics};

/// The load of the server as a whole, as the application records it. Clones are the same recorder.
///
/// Every metric stays as it was recorded last; `None` unsets it. A value out of its range, and one that is not a
/// number, is ignored. All methods may be called from anywhere at any time, and none blocks for longer than
/// another one takes.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics(
    /// Held for the change or the copy of one metric or report: none is lost between two that record at once.
    Arc<Mutex<Metrics>>,
);

impl ServerMetrics {
    /// A recorder in which nothing is recorded.
    pub fn new() -> Self {
        Self::default()
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

    /// All that is recorded. What is not is zero.
    pub fn report(&self) -> LoadReport {
        let mut report = LoadReport::default();
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.clone().put_over(&mut report);
        report
    }

    fn record(&self, metric: Metric, value: Option<f64>) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.record(metric, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_two_that_record_at_once() {
        let metrics = ServerMetrics::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let metrics = metrics.clone();
                scope.spawn(move || {
                    for number in 0..100 {
                        metrics.set_utilization(format!("{thread}/{number}"), 0.5);
                    }
                });
            }
        });
        assert_eq!(metrics.report().utilization.len(), 400);
    }

    #[test]
    fn every_metric_of_a_server_can_be_set_and_unset() {
        let metrics = ServerMetrics::new();
        metrics.set_cpu_utilization(1.5);
        metrics.set_memory_utilization(0.5);
        metrics.set_application_utilization(2.5);
        metrics.set_qps(3.5);
        metrics.set_eps(4.5);
        metrics.set_utilization("disk", 0.25);
        let report = metrics.report();
        let scalars = [
            report.cpu_utilization,
            report.mem_utilization,
            report.application_utilization,
            report.rps_fractional,
            report.eps,
            report.utilization["disk"],
        ];
        assert_eq!(scalars, [1.5, 0.5, 2.5, 3.5, 4.5, 0.25]);
        metrics.set_cpu_utilization(None);
        metrics.set_memory_utilization(None);
        metrics.set_application_utilization(None);
        metrics.set_qps(None);
        metrics.set_eps(None);
        metrics.set_utilization("disk", None);
        assert_eq!(metrics.report(), LoadReport::default());
    }
}
