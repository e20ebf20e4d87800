//! From an address to a connection that is ready for calls.

use std::io;

use highball_core::{Address, Status};

use super::{ClientOptions, Connection, ConnectionEnd};
use crate::Connector;

/// Connects to `address` and waits until the server has sent its SETTINGS: only then does an HTTP/2
/// server stand behind the port.
///
/// Spawns one task for the connection, on the runtime it is called on. Not bounded in time: the caller
/// is. Dropping the future closes the socket at once.
///
/// # Errors
///
/// [`ConnectError`] when dialling fails or when what answers does not speak HTTP/2.
pub async fn connect(
    connector: &dyn Connector,
    address: &Address,
    options: &ClientOptions,
) -> Result<(Connection, ConnectionEnd), ConnectError> {
    let _ = (connector, address, options);
    #[expect(clippy::todo, reason = "signature first")]
    {
        todo!()
    }
}

/// How far an attempt to connect came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectStage {
    /// Making the byte stream.
    Dialing,
    /// Waiting for the server's SETTINGS.
    Preface,
}

/// An attempt to connect failed.
#[derive(Debug, thiserror::Error)]
#[error("connection error: desc = \"{text}\"")]
pub struct ConnectError {
    /// Where to.
    pub address: Address,
    /// At which stage.
    pub stage: ConnectStage,
    text: String,
    #[source]
    source: io::Error,
}

impl ConnectError {
    pub(super) fn dialing(address: Address, source: io::Error) -> Self {
        Self {
            text: format!("transport: Error while dialing: {address}: {source}"),
            address,
            stage: ConnectStage::Dialing,
            source,
        }
    }
}

impl From<ConnectError> for Status {
    /// `UNAVAILABLE`, with the error for its source.
    fn from(error: ConnectError) -> Self {
        Self::unavailable(error.to_string()).with_source(error)
    }
}
