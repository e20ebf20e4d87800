//! The answers to one `Watch`: the status of a service, whenever it is another than was said last.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::statuses::Statuses;
use super::v1::HealthCheckResponse;
use super::{ServingStatus, answer};
use crate::Status;

/// A stream that never ends by itself. A client that takes its time is told the newest status alone.
pub(super) struct Watching {
    next: ReusableBoxFuture<'static, Option<(ServingStatus, Watcher)>>,
}

/// Somebody who wants to know of one service.
struct Watcher {
    service: String,
    statuses: watch::Receiver<Statuses>,
    /// What was said last.
    said: Option<ServingStatus>,
}

impl Watching {
    pub(super) fn new(service: String, statuses: watch::Receiver<Statuses>) -> Self {
        let watcher = Watcher {
            service,
            statuses,
            said: None,
        };
        Self {
            next: ReusableBoxFuture::new(watcher.next()),
        }
    }
}

impl Watcher {
    /// Waits for something to say. `None` when nobody is left who could change it.
    async fn next(mut self) -> Option<(ServingStatus, Self)> {
        loop {
            let status = self.statuses.borrow_and_update().of(&self.service);
            let status = status.unwrap_or(ServingStatus::ServiceUnknown);
            if self.said.replace(status) != Some(status) {
                return Some((status, self));
            }
            self.statuses.changed().await.ok()?;
        }
    }
}

impl Stream for Watching {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(match ready!(self.next.poll(cx)) {
            Some((status, watcher)) => {
                self.next.set(watcher.next());
                Ok(answer(status))
            }
            None => Err(Status::cancelled("Stream has ended.")),
        }))
    }
}
