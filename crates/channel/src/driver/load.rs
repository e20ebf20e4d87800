//! Out-of-band load reports: asks READY servers how loaded they are, for policies that want to know (ORCA, gRFC
//! A51).
//!
//! ```text
//!   policy ── watch every 40 s ──┐
//!                                ├─► one call of StreamCoreMetrics, every 30 s ─► reports, to each of them
//!   policy ── watch every 30 s ──┘
//! ```
//!
//! The call is made on the subchannel's own connection, past the balancer, whenever the subchannel turns READY,
//! and anew when the smallest interval is another. A server that does not know the method is left alone until
//! there is another connection to it. Of several connections (gRFC A105) the oldest is asked; when it is lost, the next is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highball_balancer::{LoadWatchId, Path, SubchannelId};
use highball_core::details::ProtoDuration;
use highball_core::{Code, Letterbox, LoadReport};
use highball_transport::client::Connection;
use prost::Message as _;
use tokio::task::AbortHandle;

use super::newest::Newest;
use super::own_stream::{News, OwnStream};
use super::{Message, Period};
use crate::call_credentials::AnyCallCredentials;

/// Whose load is watched, and the calls that tell. Dropping this ends them.
#[derive(Debug)]
pub(super) struct LoadReports {
    period: Period,
    messages: Letterbox<Message>,
    /// The channel's call credentials.
    credentials: Vec<AnyCallCredentials>,
    watched: BTreeMap<SubchannelId, Watched>,
    /// The number of the next call.
    next: u64,
}

/// A subchannel that somebody watches.
#[derive(Debug, Default)]
struct Watched {
    watches: BTreeMap<LoadWatchId, LoadWatcher>,
    /// While there is a connection.
    reporting: Option<Reporting>,
}

/// Somebody who watches.
#[derive(Debug)]
pub(super) struct LoadWatcher {
    pub(super) owner: Path,
    pub(super) interval: Duration,
}

/// The call that tells. Ends when it is dropped.
#[derive(Debug)]
struct Reporting {
    /// Tells its reports from those of earlier calls, which may still be on their way.
    number: u64,
    interval: Duration,
    newest: Arc<Newest<LoadReport>>,
    call: AbortHandle,
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.call.abort();
    }
}

impl LoadReports {
    pub(super) fn new(
        period: Period,
        messages: Letterbox<Message>,
        credentials: Vec<AnyCallCredentials>,
    ) -> Self {
        Self {
            period,
            messages,
            credentials,
            watched: BTreeMap::new(),
            next: 0,
        }
    }

    /// Reports the load of a subchannel to one more; `connection` is where it is connected to, if it is.
    pub(super) fn watch(
        &mut self,
        id: SubchannelId,
        watch: LoadWatchId,
        watcher: LoadWatcher,
        connection: Option<Connection>,
    ) {
        let watched = self.watched.entry(id).or_default();
        watched.watches.insert(watch, watcher);
        self.align(id, connection);
    }

    /// Stops reporting to one of them.
    pub(super) fn unwatch(
        &mut self,
        id: SubchannelId,
        watch: LoadWatchId,
        connection: Option<Connection>,
    ) {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.watches.remove(&watch);
            self.align(id, connection);
        }
    }

    /// A subchannel has turned READY.
    pub(super) fn connected(&mut self, id: SubchannelId, connection: Option<Connection>) {
        self.align(id, connection);
    }

    /// A subchannel is not READY any more.
    pub(super) fn lost(&mut self, id: SubchannelId) {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.reporting = None;
        }
    }

    /// A subchannel is gone, and who watched it hears no more of it.
    pub(super) fn forget(&mut self, id: SubchannelId) {
        self.watched.remove(&id);
    }

    /// What a call has to report. One that does not hold any more has nothing.
    pub(super) fn take(&self, id: SubchannelId, call: u64) -> Option<Arc<LoadReport>> {
        let reporting = self.watched.get(&id)?.reporting.as_ref();
        let current = reporting.filter(|reporting| reporting.number == call)?;
        current.newest.take().map(Arc::new)
    }

    /// Whom to tell.
    pub(super) fn watches(&self, id: SubchannelId) -> Vec<(LoadWatchId, Path)> {
        let watches = self.watched.get(&id).map(|watched| &watched.watches);
        let watches = watches.into_iter().flatten();
        watches
            .map(|(watch, watcher)| (*watch, watcher.owner.clone()))
            .collect()
    }

    /// Sees to it that there is the call that there should be.
    fn align(&mut self, id: SubchannelId, connection: Option<Connection>) {
        let Some(watched) = self.watched.get(&id) else {
            return;
        };
        let intervals = watched.watches.values().map(|watcher| watcher.interval);
        let Some(interval) = intervals.min() else {
            self.watched.remove(&id);
            return;
        };
        if watched
            .reporting
            .as_ref()
            .is_some_and(|it| it.serves(interval))
        {
            return;
        }
        let reporting = connection.map(|connection| self.start(id, connection, interval));
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.reporting = reporting;
        }
    }

    fn start(&mut self, id: SubchannelId, connection: Connection, interval: Duration) -> Reporting {
        let number = self.next;
        self.next += 1;
        let report = Report {
            period: self.period,
            id,
            call: number,
            newest: Arc::default(),
            messages: self.messages.clone(),
        };
        let newest = report.newest.clone();
        let address = connection.address().clone();
        let stream = OwnStream {
            connection,
            credentials: self.credentials.clone(),
            path: "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics",
            request: OrcaLoadReportRequest {
                report_interval: Some(interval.into()),
            },
        };
        let hear = move |news| report.hear(news, &address);
        Reporting {
            number,
            interval,
            newest,
            call: tokio::spawn(stream.run(hear)).abort_handle(),
        }
    }
}

impl Reporting {
    /// Whether another call would tell no more: this one has the same interval, or has found that the server
    /// tells nothing.
    fn serves(&self, interval: Duration) -> bool {
        self.interval == interval || self.call.is_finished()
    }
}

/// Where a call reports to.
struct Report {
    period: Period,
    id: SubchannelId,
    call: u64,
    newest: Arc<Newest<LoadReport>>,
    messages: Letterbox<Message>,
}

impl Report {
    fn hear(&self, news: News, address: &highball_core::Address) {
        match news {
            News::Begun => {}
            News::Message(message) => match LoadReport::decode(message) {
                Ok(report) => self.send(report),
                Err(error) => {
                    tracing::debug!(target: "subchannel", %address, %error, "load report ignored");
                }
            },
            News::Unimplemented => tracing::error!(
                target: "subchannel", %address,
                "the server does not report its load out of band: not listening on this connection"
            ),
            News::Ended(status) => match status.code() {
                Code::Unavailable | Code::Cancelled => {}
                _ => tracing::debug!(target: "subchannel", %address, %status, "load reports ended"),
            },
        }
    }

    fn send(&self, report: LoadReport) {
        if self.newest.put(report) {
            // A driver that is gone needs no reports.
            self.messages.post(Message::Load {
                period: self.period,
                id: self.id,
                call: self.call,
            });
        }
    }
}

/// `xds.service.orca.v3.OrcaLoadReportRequest`, which may also name the costs that are of interest.
#[derive(Clone, PartialEq, prost::Message)]
struct OrcaLoadReportRequest {
    #[prost(message, optional, tag = "1")]
    report_interval: Option<ProtoDuration>,
}
