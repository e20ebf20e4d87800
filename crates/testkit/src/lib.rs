//! `highball-testkit`.

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
