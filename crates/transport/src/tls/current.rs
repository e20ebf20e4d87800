//! A value that is replaced while it is in use.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// What handshakes are made with. Those that have begun keep what they have.
pub(super) struct Current<T>(
    /// Held for one look or one replacement.
    RwLock<Arc<T>>,
);

impl<T> Current<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    pub(super) fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn store(&self, value: Arc<T>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl<T> fmt::Debug for Current<T> {
    /// Says nothing of what may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
