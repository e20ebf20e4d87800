//! The claim on a subchannel.

use std::fmt;

use highball_core::{Address, Letterbox};

use crate::{Command, SubchannelId};

/// A policy's claim on the connection to one address, which comes and goes. The address is fixed for life (gRFC A61).
///
/// Dropping it shuts the subchannel down, and nothing is heard of it again. Nothing here blocks; what
/// comes of a request arrives as an [`Event`](crate::Event).
pub struct Subchannel {
    id: SubchannelId,
    address: Address,
    commands: Letterbox<Command>,
}

impl Subchannel {
    pub(crate) fn new(id: SubchannelId, address: Address, commands: Letterbox<Command>) -> Self {
        Self {
            id,
            address,
            commands,
        }
    }

    /// Its name, as events and pickers use it.
    pub fn id(&self) -> SubchannelId {
        self.id
    }

    /// What it connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Connects if it is IDLE; in any other state nothing happens.
    pub fn connect(&self) {
        self.send(Command::Connect(self.id));
    }

    /// Asks for [`Event::Health`](crate::Event::Health) for as long as it stays READY. Once it has left
    /// READY this must be asked again. Where health checking is not configured, READY arrives once.
    pub fn watch_health(&self) {
        self.send(Command::WatchHealth(self.id));
    }

    /// Wants to hear no more of its health.
    pub fn unwatch_health(&self) {
        self.send(Command::UnwatchHealth(self.id));
    }

    /// A tree that is gone has nobody left to ask.
    fn send(&self, command: Command) {
        self.commands.post(command);
    }
}

impl Drop for Subchannel {
    fn drop(&mut self) {
        self.send(Command::Shutdown(self.id));
    }
}

impl fmt::Debug for Subchannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.id, self.address)
    }
}
