//! What applications put around their calls, at both ends.

mod attempts;
mod client;
mod server;

use std::sync::{Arc, Mutex};

/// What happened, in order.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn push(&self, event: impl Into<String>) {
        let mut events = self.0.lock().expect("nobody panics holding it");
        events.push(event.into());
    }

    fn take(&self) -> Vec<String> {
        let mut events = self.0.lock().expect("nobody panics holding it");
        std::mem::take(&mut events)
    }
}
