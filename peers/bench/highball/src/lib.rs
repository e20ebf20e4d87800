//! Highball as users get it: a resolver, `round_robin`, a deadline on every call, its status read; every
//! limit and setting at its default.

mod client;
mod server;

pub use client::Client;
pub use server::serve;
