//! What has been recorded: data alone, and what may be recorded at all.

use std::collections::BTreeMap;

use highball_core::LoadReport;

/// What has been recorded. What has not is not zero: a report takes it from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    cpu: Option<f64>,
    memory: Option<f64>,
    application: Option<f64>,
    calls: Option<f64>,
    errors: Option<f64>,
    utilization: BTreeMap<String, f64>,
    request_cost: BTreeMap<String, f64>,
    named: BTreeMap<String, f64>,
}

/// Names one of them.
#[derive(Debug)]
pub(super) enum Metric {
    Cpu,
    Memory,
    Application,
    Calls,
    Errors,
    Utilization(String),
    RequestCost(String),
    Named(String),
}

impl Metrics {
    /// Sets a metric, or unsets it. A value that it cannot have is ignored.
    pub(super) fn record(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(value) = value
            && !metric.allows(value)
        {
            tracing::debug!(target: "server", ?metric, value, "out of range: not recorded");
            return;
        }
        match metric {
            Metric::Cpu => self.cpu = value,
            Metric::Memory => self.memory = value,
            Metric::Application => self.application = value,
            Metric::Calls => self.calls = value,
            Metric::Errors => self.errors = value,
            Metric::Utilization(name) => put(&mut self.utilization, name, value),
            Metric::RequestCost(name) => put(&mut self.request_cost, name, value),
            Metric::Named(name) => put(&mut self.named, name, value),
        }
    }

    /// Puts what has been recorded in the place of what a report says.
    pub(super) fn put_over(self, report: &mut LoadReport) {
        for (recorded, reported) in [
            (self.cpu, &mut report.cpu_utilization),
            (self.memory, &mut report.mem_utilization),
            (self.application, &mut report.application_utilization),
            (self.calls, &mut report.rps_fractional),
            (self.errors, &mut report.eps),
        ] {
            *reported = recorded.unwrap_or(*reported);
        }
        report.utilization.extend(self.utilization);
        report.request_cost.extend(self.request_cost);
        report.named_metrics.extend(self.named);
    }
}

impl Metric {
    fn allows(&self, value: f64) -> bool {
        match self {
            Self::Cpu | Self::Application | Self::Calls | Self::Errors => value >= 0.0,
            Self::Memory | Self::Utilization(_) => (0.0..=1.0).contains(&value),
            Self::RequestCost(_) | Self::Named(_) => !value.is_nan(),
        }
    }
}

fn put(map: &mut BTreeMap<String, f64>, name: String, value: Option<f64>) {
    match value {
        Some(value) => map.insert(name, value),
        None => map.remove(&name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x() -> String {
        "x".to_owned()
    }

    /// Everything that can be recorded, each with another value.
    fn everything() -> Metrics {
        let mut metrics = Metrics::default();
        for (metric, value) in [
            (Metric::Cpu, 1.5),
            (Metric::Memory, 0.25),
            (Metric::Application, 2.5),
            (Metric::Calls, 3.5),
            (Metric::Errors, 4.5),
            (Metric::Utilization(x()), 0.5),
            (Metric::RequestCost(x()), -5.5),
            (Metric::Named(x()), -6.5),
        ] {
            metrics.record(metric, Some(value));
        }
        metrics
    }

    fn report(metrics: &Metrics) -> LoadReport {
        let mut report = LoadReport::default();
        metrics.clone().put_over(&mut report);
        report
    }

    fn each() -> [Metric; 8] {
        [
            Metric::Cpu,
            Metric::Memory,
            Metric::Application,
            Metric::Calls,
            Metric::Errors,
            Metric::Utilization(x()),
            Metric::RequestCost(x()),
            Metric::Named(x()),
        ]
    }

    #[test]
    fn what_is_recorded_is_reported_and_what_is_unset_is_not() {
        let mut metrics = everything();
        let one = |value| BTreeMap::from([(x(), value)]);
        let wanted = LoadReport {
            cpu_utilization: 1.5,
            mem_utilization: 0.25,
            application_utilization: 2.5,
            rps_fractional: 3.5,
            eps: 4.5,
            utilization: one(0.5),
            request_cost: one(-5.5),
            named_metrics: one(-6.5),
        };
        assert_eq!(report(&metrics), wanted);
        for metric in each() {
            metrics.record(metric, None);
        }
        assert_eq!(report(&metrics), LoadReport::default());
    }

    #[test]
    fn values_out_of_range_and_what_is_no_number_are_ignored() {
        let mut metrics = everything();
        let before = report(&metrics);
        for metric in each() {
            metrics.record(metric, Some(f64::NAN));
        }
        for below in [-0.01, f64::NEG_INFINITY] {
            let limited = each().into_iter().take(6);
            limited.for_each(|metric| metrics.record(metric, Some(below)));
        }
        metrics.record(Metric::Memory, Some(1.01));
        metrics.record(Metric::Utilization(x()), Some(1.01));
        assert_eq!(report(&metrics), before);
        for edge in [0.0, 1.0] {
            metrics.record(Metric::Memory, Some(edge));
            assert_eq!(report(&metrics).mem_utilization, edge);
        }
    }

    #[test]
    fn what_is_recorded_goes_over_what_is_reported_elsewhere() {
        let named = |pairs: &[(&str, f64)]| -> BTreeMap<String, f64> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect()
        };
        let mut elsewhere = LoadReport {
            cpu_utilization: 0.7,
            eps: 7.0,
            utilization: named(&[("a", 0.1), ("b", 0.2)]),
            ..LoadReport::default()
        };
        let mut metrics = Metrics::default();
        metrics.record(Metric::Cpu, Some(0.0));
        metrics.record(Metric::Utilization("b".to_owned()), Some(0.9));
        metrics.record(Metric::RequestCost("c".to_owned()), Some(0.3));
        metrics.put_over(&mut elsewhere);
        let wanted = LoadReport {
            cpu_utilization: 0.0,
            eps: 7.0,
            utilization: named(&[("a", 0.1), ("b", 0.9)]),
            request_cost: named(&[("c", 0.3)]),
            ..LoadReport::default()
        };
        assert_eq!(elsewhere, wanted);
    }
}
