//! Where a server's load is known.

use highball_core::LoadReport;

use super::ServerMetrics;

/// Knows the load of the server as a whole. [`ServerMetrics`] does, and so may a closure that measures it.
pub trait LoadSource: Send + Sync + 'static {
    /// The load as it is now. Called for every report, from any task: it must not block.
    fn load(&self) -> LoadReport;
}

impl LoadSource for ServerMetrics {
    fn load(&self) -> LoadReport {
        self.report()
    }
}

impl<F: Fn() -> LoadReport + Send + Sync + 'static> LoadSource for F {
    fn load(&self) -> LoadReport {
        self()
    }
}
