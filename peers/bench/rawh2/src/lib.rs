//! gRPC by hand on h2, as little of it as echoes a message: no resolver, no balancer, no routing, no
//! deadline, no limit. The practical floor for a gRPC stack on h2, and so the yardstick.

mod client;
mod framing;
mod server;
mod settings;

pub use client::Client;
pub use server::serve;
