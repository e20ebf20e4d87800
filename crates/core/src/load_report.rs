//! How loaded a server is, as it says itself (ORCA, gRFC A51).

use std::collections::BTreeMap;

use prost::{DecodeError, Message};

use crate::MetadataMap;

/// A server's load: what [Open Request Cost Aggregation][orca] has servers report, in the trailers of a call or
/// at intervals. As protobuf it is `xds.data.orca.v3.OrcaLoadReport`.
///
/// What a server leaves out is zero here. Nothing of it has been checked: a server may say what it likes.
///
/// ```
/// use highball_core::{LoadReport, MetadataMap};
///
/// let report = LoadReport { cpu_utilization: 0.7, rps_fractional: 120.0, ..LoadReport::default() };
/// let mut trailers = MetadataMap::new();
/// report.put_into(&mut trailers)?;
/// assert_eq!(LoadReport::from_trailers(&trailers)?, Some(report));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [orca]: https://github.com/cncf/xds/blob/main/xds/data/orca/v3/orca_load_report.proto
#[derive(Clone, PartialEq, Message)]
pub struct LoadReport {
    /// How busy the processors are that the server may use; may be more than 1 where it may borrow some.
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    /// How much of its memory is in use, from 0 to 1.
    #[prost(double, tag = "2")]
    pub mem_utilization: f64,
    /// What this call has cost, in units of the application's own.
    #[prost(btree_map = "string, double", tag = "4")]
    pub request_cost: BTreeMap<String, f64>,
    /// How much of other resources is in use, from 0 to 1 each.
    #[prost(btree_map = "string, double", tag = "5")]
    pub utilization: BTreeMap<String, f64>,
    /// Calls per second. It takes the place of `rps`, which had no fractions and is not read.
    #[prost(double, tag = "6")]
    pub rps_fractional: f64,
    /// Errors per second.
    #[prost(double, tag = "7")]
    pub eps: f64,
    /// Anything else that the application has a name for.
    #[prost(btree_map = "string, double", tag = "8")]
    pub named_metrics: BTreeMap<String, f64>,
    /// How busy the application is, by its own measure; may be more than 1.
    #[prost(double, tag = "9")]
    pub application_utilization: f64,
}

/// The trailers of a call hold no load report that can be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadLoadReport {
    /// There are several.
    #[error("multiple orca load reports found in provided metadata")]
    Several,
    /// It is no `OrcaLoadReport`.
    #[error("failed to unmarshal load report found in metadata: {0}")]
    Undecodable(#[from] DecodeError),
}

impl LoadReport {
    /// The key under which the report travels in a call's trailers.
    pub const TRAILER: &str = "endpoint-load-metrics-bin";

    /// The report in the trailers of a call; `None` if the server sent none.
    ///
    /// # Errors
    ///
    /// There are several, or what is there is none.
    pub fn from_trailers(trailers: &MetadataMap) -> Result<Option<Self>, BadLoadReport> {
        let mut reports = trailers.get_all_bin(Self::TRAILER);
        let Some(encoded) = reports.next() else {
            return Ok(None);
        };
        if reports.next().is_some() {
            return Err(BadLoadReport::Several);
        }
        Ok(Some(Self::decode(encoded)?))
    }

    /// Puts this report into the trailers of a call, in place of any that is there.
    ///
    /// # Errors
    ///
    /// There are as many trailers as there may be.
    pub fn put_into(&self, trailers: &mut MetadataMap) -> Result<(), crate::InvalidMetadata> {
        trailers.insert_bin(Self::TRAILER, &self.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> LoadReport {
        let named = |name: &str, value| BTreeMap::from([(name.to_owned(), value)]);
        LoadReport {
            cpu_utilization: 1.0,
            mem_utilization: 50.0,
            request_cost: named("queryCost", 25.0),
            utilization: named("queueSize", 0.75),
            rps_fractional: 0.5,
            eps: 2.0,
            named_metrics: named("n", 4.0),
            application_utilization: 8.0,
        }
    }

    fn trailers(values: &[&[u8]]) -> MetadataMap {
        let mut trailers = MetadataMap::new();
        for value in values {
            trailers.append_bin(LoadReport::TRAILER, value).unwrap();
        }
        trailers
    }

    #[test]
    fn trailers_without_a_report_have_none() {
        let mut trailers = MetadataMap::new();
        assert_eq!(LoadReport::from_trailers(&trailers), Ok(None));
        trailers.insert("another", "trailer").unwrap();
        assert_eq!(LoadReport::from_trailers(&trailers), Ok(None));
    }

    #[test]
    fn a_report_comes_back_as_it_was_put_in() {
        let mut sent = trailers(&[b"an earlier one"]);
        report().put_into(&mut sent).unwrap();
        assert_eq!(LoadReport::from_trailers(&sent), Ok(Some(report())));
        let received = MetadataMap::from_wire(sent.into_wire()).unwrap();
        assert_eq!(LoadReport::from_trailers(&received), Ok(Some(report())));
    }

    #[test]
    fn several_reports_are_an_error_and_so_is_one_that_cannot_be_decoded() {
        let encoded = report().encode_to_vec();
        let several = LoadReport::from_trailers(&trailers(&[&encoded, &encoded]));
        assert_eq!(
            several.unwrap_err().to_string(),
            "multiple orca load reports found in provided metadata"
        );
        let bad = LoadReport::from_trailers(&trailers(&[b"\xff\xff"])).unwrap_err();
        let text = "failed to unmarshal load report found in metadata: ";
        assert!(bad.to_string().starts_with(text), "{bad}");
    }

    #[test]
    fn it_is_sent_as_others_send_it() {
        let double = |key: u8, value: f64| [&[key], &value.to_le_bytes()[..]].concat();
        let map = |key: u8, name: &str, value| {
            let value = double(0x11, value);
            let length = |n: usize| u8::try_from(n).unwrap();
            let entry = [&[0x0a, length(name.len())], name.as_bytes(), &value].concat();
            [&[key, length(entry.len())], &entry[..]].concat()
        };
        let wire = [
            double(0x09, 1.0),
            double(0x11, 50.0),
            map(0x22, "queryCost", 25.0),
            map(0x2a, "queueSize", 0.75),
            double(0x31, 0.5),
            double(0x39, 2.0),
            map(0x42, "n", 4.0),
            double(0x49, 8.0),
        ];
        assert_eq!(report().encode_to_vec(), wire.concat());
        let with_rps = [&[0x18, 7][..], &double(0x09, 1.0)].concat();
        let only_cpu = LoadReport {
            cpu_utilization: 1.0,
            ..LoadReport::default()
        };
        assert_eq!(LoadReport::decode(&with_rps[..]), Ok(only_cpu));
    }
}
