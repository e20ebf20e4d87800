//! The claim on a subchannel's load reports.

use std::fmt;

use highball_core::Letterbox;

use crate::{Command, LoadWatchId, SubchannelId};

/// A policy's wish to be told how loaded the server of a subchannel is, out of band (gRFC A51): see
/// [`Cx::watch_load`](crate::Cx::watch_load). What is said arrives as [`Event::Load`](crate::Event::Load).
///
/// Dropping it ends the wish, and nothing is heard of it again.
pub struct LoadWatch {
    id: LoadWatchId,
    subchannel: SubchannelId,
    commands: Letterbox<Command>,
}

impl LoadWatch {
    pub(crate) fn new(
        id: LoadWatchId,
        subchannel: SubchannelId,
        commands: Letterbox<Command>,
    ) -> Self {
        Self {
            id,
            subchannel,
            commands,
        }
    }

    /// Its name, as the event uses it.
    pub fn id(&self) -> LoadWatchId {
        self.id
    }
}

impl Drop for LoadWatch {
    fn drop(&mut self) {
        // A tree that is gone has no watches left to end.
        self.commands.post(Command::UnwatchLoad {
            id: self.id,
            subchannel: self.subchannel,
        });
    }
}

impl fmt::Debug for LoadWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadWatch({} of {})", self.id.0, self.subchannel)
    }
}
