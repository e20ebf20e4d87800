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

/// What the control plane costs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ControlReport {
    /// Nanoseconds of a pick among 100 READY subchannels, from one thread.
    pub pick_ns: f64,
    /// The same on each of two threads that pick at once.
    pub pick_ns_two_threads: f64,
    /// Allocations of a pick.
    pub pick_allocations: f64,
    /// Milliseconds from an update of 10 000 endpoints to its acknowledgement.
    pub update_ms: f64,
    /// Generations that were published meanwhile.
    pub update_generations: u64,
    /// Bytes that the channel holds with one endpoint.
    pub bytes_with_one: i64,
    /// With 10 000.
    pub bytes_with_many: i64,
    /// With one again.
    pub bytes_after_shrinking: i64,
    /// The share of a core that 1 000 subchannels cost of which one in ten goes away and comes back each second.
    pub flapping_cores: f64,
    /// Connections that came back meanwhile, a second.
    pub flaps_per_second: f64,
}
