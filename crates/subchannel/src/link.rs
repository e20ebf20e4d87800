//! What calls and a subchannel share: the connection, while there is one.

use arc_swap::ArcSwapOption;
use highball_transport::client::Connection;

/// The data-path half of a subchannel: has its connection while it is READY.
///
/// Reading takes no lock. The connection is there before READY is reported and gone before IDLE is, so
/// that a picker never knows of a READY subchannel before a call can use it.
#[derive(Debug, Default)]
pub struct Link(ArcSwapOption<Connection>);

impl Link {
    /// The connection, if the subchannel is READY.
    pub fn connection(&self) -> Option<Connection> {
        self.0.load().as_deref().cloned()
    }

    pub(crate) fn connect(&self, connection: Connection) {
        self.0.store(Some(connection.into()));
    }

    pub(crate) fn disconnect(&self) {
        self.0.store(None);
    }
}
