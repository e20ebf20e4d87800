//! The kit for tests: of this workspace, and of policies written outside it.
//!
//! | to test | take |
//! |---|---|
//! | a policy | [`Sim`], which stands where a channel's driver stands, and [`transcript`]s of what it does |
//! | one end of a connection | [`peer`], which says and hears frame by frame |
//! | TLS | `certificates`, behind the feature `certificates` |
//! | channels and servers under faults | `SimulatedNetwork`, behind the feature `simulated-network` |
//! | that nothing stays behind | [`LeakCheck`] |
//!
//! The house rules of the repository are tests of this crate (`tests/tidy`), and its program `readme` runs
//! the commands of a page and compares what they print.
//!
//! Deliberately absent: mocks. A test has the real thing on at least one side.

#[cfg(feature = "certificates")]
pub mod certificates;
mod leak;
pub mod peer;
mod sim;
#[cfg(feature = "simulated-network")]
mod simulated_network;
pub mod transcript;

pub use leak::{LeakCheck, alive_tasks};
pub use sim::Sim;
#[cfg(feature = "simulated-network")]
pub use simulated_network::{SimulatedListener, SimulatedNetwork};
