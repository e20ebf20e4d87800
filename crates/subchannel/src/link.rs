//! What calls and a subchannel share: the connection, while there is one, and what was last wrong.

use arc_swap::ArcSwapOption;
use highball_core::{Address, Status, explanation};
use highball_transport::client::Connection;

/// The data-path half of a subchannel: has its connection while it is READY.
///
/// Reading takes no lock. The connection is there before READY is reported and gone before IDLE is, so
/// that a picker never knows of a READY subchannel before a call can use it.
#[derive(Debug)]
pub struct Link {
    address: Address,
    connection: ArcSwapOption<Connection>,
    /// Read by calls that have failed.
    last_error: ArcSwapOption<Status>,
}

impl Link {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            connection: ArcSwapOption::empty(),
            last_error: ArcSwapOption::empty(),
        }
    }

    /// Where the subchannel connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, if the subchannel is READY.
    pub fn connection(&self) -> Option<Connection> {
        self.connection.load().as_deref().cloned()
    }

    /// The subchannel as a call that has failed tells of it.
    pub fn explain(&self) -> explanation::Subchannel {
        let is_connected = self.connection.load().is_some();
        let mut subchannel = explanation::Subchannel::new(self.address.clone(), is_connected);
        subchannel.last_error = self.last_error.load().as_deref().cloned();
        subchannel
    }

    pub(crate) fn connect(&self, connection: Connection) {
        self.connection.store(Some(connection.into()));
    }

    pub(crate) fn disconnect(&self) {
        self.connection.store(None);
    }

    /// The subchannel could not connect, or has lost its connection.
    pub(crate) fn failed(&self, error: Status) {
        self.last_error.store(Some(error.into()));
    }
}
