//! What calls and a subchannel share: the connections, while there are some, and what was last wrong.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use highball_core::{Address, Status, explanation};
use highball_transport::client::{Connection, Slot};

use crate::queue::Queue;

/// The data-path half of a subchannel: has its connection while it is READY.
///
/// Reading takes no lock. The connection is there before READY is reported and gone before another state is, so
/// that a picker never knows of a READY subchannel before a call can use it.
///
/// Calls try the oldest connection first ([`connection`](Self::connection), and its
/// [`free_slot`](Connection::free_slot)). Only those that find no free stream on it ask for one
/// [here](Self::slot): where there is one connection at most, nothing else is paid for the others (gRFC A105).
#[derive(Debug)]
pub struct Link {
    address: Address,
    /// The oldest, if there are several.
    connection: ArcSwapOption<Connection>,
    /// Read by calls that have failed. Held to copy it in or out.
    last_error: Mutex<Option<Status>>,
    /// From the moment on in which there may be several. Boxed: few subchannels have one.
    queue: OnceLock<Box<Queue>>,
}

impl Link {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            connection: ArcSwapOption::empty(),
            last_error: Mutex::default(),
            queue: OnceLock::new(),
        }
    }

    /// Where the subchannel connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, if the subchannel is READY: the oldest, if there are several.
    pub fn connection(&self) -> Option<Connection> {
        self.connection.load().as_deref().cloned()
    }

    /// All connections, oldest first.
    pub fn connections(&self) -> Vec<Connection> {
        match self.queue.get() {
            Some(queue) => queue.connections(),
            None => self.connection().into_iter().collect(),
        }
    }

    /// How many calls wait for a stream on whichever connection has one first.
    pub fn waiting(&self) -> usize {
        self.queue.get().map_or(0, |queue| queue.len())
    }

    /// Waits for the right to open a stream on `connection`, which was the oldest and had none free; where there may
    /// be several, on the oldest that has one. First come, first served. Cancel-safe.
    ///
    /// `None` when there is no connection any more. Nothing has left this machine: the call may be tried anywhere else.
    pub async fn slot(&self, connection: &Connection) -> Option<(Connection, Slot)> {
        if self.queue.get().is_none() {
            let mut slot = pin!(connection.slot());
            let only = poll_fn(|cx| match slot.as_mut().poll(cx) {
                // There may be several from here on: the queue is the better place.
                Poll::Pending if self.queue.get().is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(slot) => Poll::Ready(Some(slot)),
            });
            if let Some(slot) = only.await {
                return Some((connection.clone(), slot.ok()?));
            }
        }
        self.queue.get()?.wait().await
    }

    /// The subchannel as a call that has failed tells of it.
    pub fn explain(&self) -> explanation::Subchannel {
        let is_connected = self.connection.load().is_some();
        let mut subchannel = explanation::Subchannel::new(self.address.clone(), is_connected);
        subchannel.last_error = self.last_error().clone();
        subchannel
    }

    /// There may be several connections from here on.
    pub(crate) fn scale(&self) {
        self.queue.get_or_init(|| Box::new(Queue::new()));
    }

    /// These are the connections, oldest first. `growable`: if calls wait, another one is made.
    pub(crate) fn update<'a>(
        &self,
        mut connections: impl Iterator<Item = &'a Connection> + Clone,
        growable: bool,
    ) {
        let queued = connections.clone();
        let oldest = connections.next();
        let current = self.connection.load();
        let is_current = match (current.as_deref(), oldest) {
            (Some(current), Some(oldest)) => current.is(oldest),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_current {
            self.connection.store(oldest.cloned().map(Into::into));
        }
        if let Some(queue) = self.queue.get() {
            queue.update(queued, growable);
        }
    }

    /// For the subchannel's task: ready when calls wait and no connection has a stream for them. To be asked again
    /// after each [`scale`](Self::scale).
    pub(crate) fn poll_crowded(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.queue.get() {
            Some(queue) => queue.poll_crowded(cx),
            None => Poll::Pending,
        }
    }

    /// The subchannel could not connect, or has lost its connection.
    pub(crate) fn failed(&self, error: Status) {
        *self.last_error() = Some(error);
    }

    fn last_error(&self) -> MutexGuard<'_, Option<Status>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
