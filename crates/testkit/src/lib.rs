//! `highball-testkit`.

mod sim;
pub mod transcript;

pub use sim::Sim;
