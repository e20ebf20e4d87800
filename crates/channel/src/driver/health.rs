//! Client-side health checking: asks each READY server whether it serves (gRFC A17).
//!
//! A policy asks for it subchannel by subchannel, and the service config says which service counts. Without a
//! service to ask for, a connection is as healthy as it is READY. The check is a call of
//! `grpc.health.v1.Health/Watch` on the subchannel's own connection, past the balancer.
//!
//! | the server says | the policy hears |
//! |---|---|
//! | nothing yet | CONNECTING |
//! | SERVING | READY |
//! | any other status | TRANSIENT_FAILURE, naming it |
//! | UNIMPLEMENTED | READY, for as long as the connection lives |
//! | any other end of the call | TRANSIENT_FAILURE, and the call is made again |
//!
//! A service config that asks for another service starts the checks anew. Of several connections (gRFC A105) the oldest
//! is asked; when it is lost, the next is.

use std::collections::BTreeMap;
use std::sync::Arc;

use highball_balancer::{HealthState, SubchannelId};
use highball_core::{Address, Letterbox, Status};
use highball_subchannel::Link;
use prost::Message as _;
use tokio::task::AbortHandle;

use super::newest::Newest;
use super::own_stream::{News, OwnStream};
use super::{Message, Period};
use crate::call_credentials::AnyCallCredentials;

/// The checks that run. Dropping this ends them.
#[derive(Debug)]
pub(super) struct HealthChecks {
    period: Period,
    messages: Letterbox<Message>,
    /// The channel's call credentials.
    credentials: Vec<AnyCallCredentials>,
    watched: BTreeMap<SubchannelId, Watch>,
    /// The number of the next watch.
    next: u64,
}

/// One watch over one READY subchannel whose server is asked. Ends its check when it is dropped.
#[derive(Debug)]
struct Watch {
    /// Tells its reports from those of earlier watches, which may still be on their way.
    number: u64,
    newest: Arc<Newest<HealthState>>,
    check: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.check.abort();
    }
}

impl HealthChecks {
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

    /// Reports the health of a READY subchannel, in place of an earlier check of it. `service` is what the
    /// service config asks for; without one nobody is asked and nothing reported: it is healthy.
    pub(super) fn watch(&mut self, id: SubchannelId, link: &Arc<Link>, service: Option<&str>) {
        self.unwatch(id);
        // A connection that is lost already is reported as a state of the subchannel.
        let (Some(service), Some(connection)) = (service, link.connection()) else {
            return;
        };
        let number = self.next;
        self.next += 1;
        let report = Report {
            period: self.period,
            id,
            watch: number,
            newest: Arc::default(),
            messages: self.messages.clone(),
        };
        let newest = report.newest.clone();
        let address = connection.address().clone();
        let check = OwnStream {
            connection,
            credentials: self.credentials.clone(),
            path: "/grpc.health.v1.Health/Watch",
            request: HealthRequest {
                service: service.to_owned(),
            },
        };
        let hear = move |news| report.hear(news, &address);
        let check = tokio::spawn(check.run(hear)).abort_handle();
        let watch = Watch {
            number,
            newest,
            check,
        };
        self.watched.insert(id, watch);
    }

    /// Ends the check of a subchannel, if there is one.
    pub(super) fn unwatch(&mut self, id: SubchannelId) {
        self.watched.remove(&id);
    }

    /// Whether there is a check of this subchannel.
    pub(super) fn is_watched(&self, id: SubchannelId) -> bool {
        self.watched.contains_key(&id)
    }

    /// What a watch has to report. One that does not hold any more has nothing.
    pub(super) fn take(&self, id: SubchannelId, watch: u64) -> Option<HealthState> {
        let current = self.watched.get(&id);
        let current = current.filter(|current| current.number == watch)?;
        current.newest.take()
    }
}

/// Where a check reports to.
struct Report {
    period: Period,
    id: SubchannelId,
    watch: u64,
    newest: Arc<Newest<HealthState>>,
    messages: Letterbox<Message>,
}

impl Report {
    fn hear(&self, news: News, address: &Address) {
        match news {
            News::Begun => self.send(HealthState::Connecting),
            News::Message(message) => {
                let response = HealthResponse::decode(message);
                match response.map_or(UNKNOWN, |response| response.status) {
                    SERVING => self.send(HealthState::Ready),
                    other => self.failing(format!(
                        "connection active but health check failed. status={}",
                        name(other)
                    )),
                }
            }
            News::Ended(status) => self.failing(format!(
                "connection active but received health check RPC error: {status}"
            )),
            News::Unimplemented => {
                tracing::error!(
                    target: "subchannel", %address,
                    "health check is unimplemented at the server, and so disabled for this connection"
                );
                self.send(HealthState::Ready);
            }
        }
    }

    fn failing(&self, text: String) {
        self.send(HealthState::TransientFailure(Status::unavailable(text)));
    }

    fn send(&self, state: HealthState) {
        if !self.newest.put(state) {
            return; // The message that announced the one before has not been read yet.
        }
        // A driver that is gone needs no reports.
        self.messages.post(Message::Health {
            period: self.period,
            id: self.id,
            watch: self.watch,
        });
    }
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const UNKNOWN: i32 = 0;
const SERVING: i32 = 1;

fn name(status: i32) -> &'static str {
    match status {
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_many_reports_one_message_and_the_newest_state_are_left() {
        let (messages, mut inbox) = highball_core::mailbox();
        let mut checks = HealthChecks::new(1, messages.clone(), Vec::new());
        let (id, newest) = (SubchannelId(7), Arc::<Newest<HealthState>>::default());
        let watch = Watch {
            number: 3,
            newest: newest.clone(),
            check: tokio::spawn(std::future::pending::<()>()).abort_handle(),
        };
        checks.watched.insert(id, watch);
        let report = Report {
            period: 1,
            id,
            watch: 3,
            newest,
            messages,
        };
        for _ in 0..1000 {
            report.send(HealthState::Ready);
            report.send(HealthState::Connecting);
        }
        assert_eq!(inbox.len(), 1);
        assert!(inbox.take().is_some());
        assert_eq!(
            checks.take(id, 2),
            None,
            "an earlier watch has nothing to report"
        );
        assert_eq!(checks.take(id, 3), Some(HealthState::Connecting));
        assert_eq!(checks.take(id, 3), None);
        report.send(HealthState::Ready);
        assert_eq!(
            inbox.len(),
            1,
            "what has been taken in makes room for another"
        );
    }
}
