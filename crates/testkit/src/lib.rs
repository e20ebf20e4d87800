//! `highball-testkit`.

pub mod peer;
mod sim;
pub mod transcript;

pub use sim::Sim;
