//! The subchannels of a channel: whose they are, and the links that lead to them.

use std::collections::HashMap;
use std::sync::Arc;

use highball_balancer::{Path, SubchannelId};
use highball_core::{Address, Letterbox, Status};
use highball_subchannel::{Link, Options, State, Subchannel};
use highball_transport::client::{Closer, Connection};

use super::{Message, Period};
use crate::picker_slot::Links;

/// All subchannels that the policy tree holds.
#[derive(Debug)]
pub(crate) struct Subchannels {
    period: Period,
    options: Arc<Options>,
    messages: Letterbox<Message>,
    rng: fastrand::Rng,
    table: HashMap<SubchannelId, Entry>,
    /// What calls see; made anew when a subchannel has come or gone.
    links: Option<Links>,
    /// Every connection that there was a READY for and that may still be there: also those that drain,
    /// which no subchannel holds any more.
    connections: Vec<Closer>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    subchannel: Subchannel,
    /// Whom to tell of its state.
    pub(crate) owner: Path,
}

impl Entry {
    /// Where its connection is, while there is one.
    pub(crate) fn link(&self) -> &Arc<Link> {
        self.subchannel.link()
    }
}

impl Subchannels {
    pub(crate) fn new(
        period: Period,
        options: Arc<Options>,
        messages: Letterbox<Message>,
        seed: u64,
    ) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            period,
            options,
            messages,
            rng,
            table: HashMap::new(),
            links: None,
            connections: Vec::new(),
        }
    }

    pub(crate) fn create(&mut self, id: SubchannelId, owner: Path, address: Address) {
        let (messages, period) = (self.messages.clone(), self.period);
        let report = move |state: State| {
            // A driver that is gone needs no reports.
            messages.post(Message::Subchannel { period, id, state });
        };
        let options = self.options.clone();
        let subchannel = Subchannel::spawn(address, options, self.rng.u64(..), report);
        self.table.insert(id, Entry { subchannel, owner });
        self.links = None;
    }

    pub(crate) fn connect(&self, id: SubchannelId) {
        if let Some(entry) = self.table.get(&id) {
            entry.subchannel.connect();
        }
    }

    pub(crate) fn reset_backoff(&self) {
        self.table
            .values()
            .for_each(|entry| entry.subchannel.reset_backoff());
    }

    /// Lets go of a subchannel: calls on it finish.
    pub(crate) fn shut_down(&mut self, id: SubchannelId) {
        if self.table.remove(&id).is_some() {
            self.links = None;
        }
        if self.table.capacity() > 64 && self.table.capacity() / 8 > self.table.len() {
            self.table.shrink_to_fit();
        }
    }

    /// Where a subchannel is connected to, if it is.
    pub(crate) fn connection(&self, id: SubchannelId) -> Option<Connection> {
        self.table.get(&id)?.link().connection()
    }

    /// A subchannel has turned READY: its connection is to be closed with the channel, whatever becomes
    /// of the subchannel.
    pub(crate) fn connected(&mut self, id: SubchannelId) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if self.connections.len() == self.connections.capacity() {
            self.connections.retain(|closer| !closer.is_gone());
        }
        self.connections.push(connection.closer());
    }

    /// Closes every connection hard: calls on them end with `status`. Returns when the subchannels have
    /// shut down.
    pub(crate) fn close(&mut self, status: &Status) -> impl Future<Output = ()> + use<> {
        self.links = None;
        for connection in self.connections.drain(..) {
            connection.close(status.clone());
        }
        let closing: Vec<_> = self
            .table
            .drain()
            .map(|(_, entry)| entry.subchannel.close(status.clone()))
            .collect();
        async move {
            for closed in closing {
                closed.await;
            }
        }
    }

    /// The entry of a subchannel that has reported; `None` if nobody holds it any more.
    pub(crate) fn entry(&mut self, id: SubchannelId) -> Option<&mut Entry> {
        self.table.get_mut(&id)
    }

    /// The way to each subchannel's connection.
    pub(crate) fn links(&mut self) -> Links {
        let table = &self.table;
        let links = self.links.get_or_insert_with(|| {
            Arc::new(
                table
                    .iter()
                    .map(|(id, entry)| (*id, entry.link().clone()))
                    .collect(),
            )
        });
        links.clone()
    }
}
