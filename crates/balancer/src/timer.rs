//! The claim on a timer.

use std::fmt;

use highball_core::Letterbox;

use crate::{Command, TimerId};

/// A timer that has been set. It fires once, as [`Event::Timer`](crate::Event::Timer).
///
/// Dropping it cancels it, and nothing is heard of it again.
pub struct Timer {
    id: TimerId,
    commands: Letterbox<Command>,
}

impl Timer {
    pub(crate) fn new(id: TimerId, commands: Letterbox<Command>) -> Self {
        Self { id, commands }
    }

    /// Its name, as the event uses it.
    pub fn id(&self) -> TimerId {
        self.id
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // A tree that is gone has no timers left to cancel.
        self.commands.post(Command::CancelTimer(self.id));
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timer({})", self.id.0)
    }
}
