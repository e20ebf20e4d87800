//! What a client prints.

use serde::{Deserialize, Serialize};

/// One measurement. Written as one line of JSON, by clients in any language.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// Calls, round trips or streamed messages, as the kind of work has it.
    pub calls: u64,
    /// In how long.
    pub seconds: f64,
    /// The median latency of a call or round trip, in microseconds.
    pub p50_us: Option<f64>,
    /// The latency that one in a hundred exceeds.
    pub p99_us: Option<f64>,
    /// The client's CPU time, user and system.
    pub client_cpu_s: f64,
    /// The server's CPU time, user and system.
    pub server_cpu_s: f64,
    /// The client's resident memory at the end.
    pub client_rss_kib: u64,
    /// The server's resident memory at the end.
    pub server_rss_kib: u64,
}
