//! Load reports: what clients' balancing policies go by (ORCA, gRFC A51).
//!
//! ```text
//!   handler ── CallMetrics ───┐
//!                             ├─► LoadReporting ──► trailers of the call
//!   application ── ServerMetrics ──► OrcaService ──► StreamCoreMetrics: at once, then at intervals
//! ```
//!
//! A server says how loaded it is in two ways. [`LoadReporting`], an interceptor, sends a report with each call
//! whose handler has something to say of it: what this call has cost, and how the server is. [`OrcaService`]
//! reports *out of band*, beside the calls, to clients that ask for it. Either may have a [`LoadSource`] for
//! what is known of the server as a whole, such as [`ServerMetrics`].
//!
//! ```
//! use highball_server::Server;
//! use highball_server::orca::{LoadReporting, OrcaService, ServerMetrics};
//!
//! let metrics = ServerMetrics::new();
//! let server = Server::builder()
//!     .interceptor(LoadReporting::over(metrics.clone()))
//!     .add_service(OrcaService::new(metrics.clone()))
//!     .build();
//! // From time to time:
//! metrics.set_cpu_utilization(0.4);
//! # drop(server);
//! ```

/// The package `xds.service.orca.v3`, generated from `proto/xds/service/orca/v3/orca.proto`.
#[rustfmt::skip] // The generator has a style of its own.
#[path = "../generated/xds.service.orca.v3.rs"]
pub mod v3;

mod metrics;
mod server_metrics;
mod source;

mod call_metrics;
mod per_call;

mod out_of_band;

pub use call_metrics::CallMetrics;
pub use highball_core::LoadReport;
pub use out_of_band::OrcaService;
pub use per_call::LoadReporting;
pub use server_metrics::ServerMetrics;
pub use source::LoadSource;
