//! What was said last and has not been taken in yet.

use std::sync::{Mutex, PoisonError};

/// Room for one value. Whoever speaks faster than the driver listens leaves one value behind, not a queue.
#[derive(Debug)]
pub(super) struct Newest<T>(
    /// Held for one move in or out, by a call's task and by the driver.
    Mutex<Option<T>>,
);

impl<T> Newest<T> {
    /// Puts a value in; says whether there was none, so that it must be announced.
    pub(super) fn put(&self, value: T) -> bool {
        self.replace(Some(value)).is_none()
    }

    /// Takes the value out, and makes room for another.
    pub(super) fn take(&self) -> Option<T> {
        self.replace(None)
    }

    fn replace(&self, value: Option<T>) -> Option<T> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut newest, value)
    }
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}
