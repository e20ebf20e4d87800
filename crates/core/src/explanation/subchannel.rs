//! A subchannel as a failed call found it: where it leads, and what was last wrong with it.

use std::fmt;

use crate::{Address, Status};

/// One of a channel's subchannels when a call ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Subchannel {
    /// Where it connects to.
    pub address: Address,
    /// Whether it had a connection.
    pub is_connected: bool,
    /// The last failure to connect, or what ended its last connection, if there was any. Of a subchannel that
    /// is connected, that is history.
    pub last_error: Option<Status>,
}

impl Subchannel {
    /// A subchannel that has never had trouble.
    pub fn new(address: Address, is_connected: bool) -> Self {
        Self {
            address,
            is_connected,
            last_error: None,
        }
    }
}

impl fmt::Display for Subchannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            is_connected,
            last_error,
        } = self;
        match is_connected {
            true => write!(f, "{address} connected")?,
            false => write!(f, "{address} not connected")?,
        }
        match last_error {
            Some(error) => write!(f, ", last error: {error}"),
            None => f.write_str(", no error so far"),
        }
    }
}
