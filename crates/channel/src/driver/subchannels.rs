//! The subchannels of a channel: whose they are, and the links that lead to them.

use std::fmt;
use std::sync::Arc;

use highball_balancer::{Command, Path, SubchannelId};
use highball_core::{Address, Letterbox, Status};
use highball_subchannel::{Link, Options, Report, Subchannel};
use highball_transport::client::{Closer, Connection};

use super::ids::ById;
use super::{Message, Period};
use crate::picker_slot::Links;

/// All subchannels that the policy tree holds.
#[derive(Debug)]
pub(crate) struct Subchannels {
    period: Period,
    options: Arc<Options>,
    messages: Letterbox<Message>,
    rng: fastrand::Rng,
    /// How many connections each may have, as the service config says; 1 where it says nothing.
    connections_allowed: usize,
    table: ById<SubchannelId, Entry>,
    /// What calls see; made anew when a subchannel has come or is leaving.
    links: Option<Links>,
    /// Every connection that there was a READY for and that may still be there: also those that drain,
    /// which no subchannel holds any more.
    connections: Vec<Closer>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    subchannel: Subchannel,
    /// The connection that health and load are asked on, while it is READY.
    oldest: Option<Closer>,
    /// It is about to be shut down.
    is_leaving: bool,
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
            connections_allowed: 1,
            table: ById::default(),
            links: None,
            connections: Vec::new(),
        }
    }

    pub(crate) fn create(&mut self, id: SubchannelId, owner: Path, address: Address) {
        let (messages, period) = (self.messages.clone(), self.period);
        let report = move |report: Report| {
            // A driver that is gone needs no reports.
            messages.post(Message::Subchannel { period, id, report });
        };
        let options = self.options.clone();
        let subchannel = Subchannel::spawn(address, options, self.rng.u64(..), report);
        if self.connections_allowed > 1 {
            subchannel.allow_connections(self.connections_allowed);
        }
        let entry = Entry {
            subchannel,
            oldest: None,
            is_leaving: false,
            owner,
        };
        self.table.insert(id, entry);
        self.links = None;
    }

    /// The service config lets each have so many connections (gRFC A105).
    pub(crate) fn allow_connections(&mut self, connections: Option<u32>) {
        let connections = connections.map_or(1, |connections| connections as usize);
        if std::mem::replace(&mut self.connections_allowed, connections) != connections {
            for entry in self.table.values() {
                entry.subchannel.allow_connections(connections);
            }
        }
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

    /// A generation that is published before these commands are carried out leads to those who stay: it may be the
    /// current one for a long time, and would keep the links of all who have gone.
    pub(crate) fn unlink_those_shut_down_by(&mut self, commands: &[Command]) {
        for command in commands {
            if let Command::Shutdown(id) = command
                && let Some(entry) = self.table.get_mut(id)
            {
                entry.is_leaving = true;
                self.links = None;
            }
        }
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
        if let Some(entry) = self.table.get_mut(&id) {
            entry.oldest = Some(connection.closer());
        }
        self.close_with_channel(&connection);
    }

    /// Whether the oldest connection of a subchannel that is still READY is another than it was.
    pub(crate) fn has_moved(&mut self, id: SubchannelId) -> bool {
        let Some(entry) = self.table.get_mut(&id) else {
            return false;
        };
        let oldest = entry.link().connection();
        let is_same = match (&entry.oldest, &oldest) {
            (Some(before), Some(oldest)) => before.closes(oldest),
            (before, oldest) => before.is_none() && oldest.is_none(),
        };
        entry.oldest = oldest.map(|oldest| oldest.closer());
        !is_same
    }

    /// This connection is to be closed with the channel.
    pub(crate) fn close_with_channel(&mut self, connection: &Connection) {
        if self.connections.len() == self.connections.capacity() {
            self.connections.retain(|closer| !closer.is_gone());
        }
        self.connections.push(connection.closer());
    }

    /// Closes every connection hard: calls on them end with `status`. Returns when the subchannels have
    /// shut down.
    pub(crate) fn close(&mut self, status: &Status) -> impl Future<Output = ()> + use<> {
        self.links = None;
        // The subchannels first: to them, a connection that goes before they hear of the end is one that is lost.
        let closing: Vec<_> = self
            .table
            .drain()
            .map(|(_, entry)| entry.subchannel.close(status.clone()))
            .collect();
        for connection in self.connections.drain(..) {
            connection.close(status.clone());
        }
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
            let entries = table.iter().filter(|(_, entry)| !entry.is_leaving);
            entries
                .map(|(id, entry)| (*id, entry.link().clone()))
                .collect()
        });
        links.clone()
    }
}

/// The connections there are, for people to read.
impl fmt::Display for Subchannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(id, _)| **id);
        for (_, entry) in entries {
            let link = entry.link();
            let connections = link.connections();
            if connections.is_empty() {
                continue;
            }
            write!(f, "\n{}: ", link.address())?;
            for (place, connection) in connections.iter().enumerate() {
                let comma = if place == 0 { "" } else { ", " };
                match connection.max_streams() {
                    Some(max) => write!(f, "{comma}{} of {max} streams", connection.streams())?,
                    None => write!(f, "{comma}{} streams", connection.streams())?,
                }
            }
            if link.waiting() > 0 {
                write!(f, "; {} waiting", link.waiting())?;
            }
        }
        Ok(())
    }
}
