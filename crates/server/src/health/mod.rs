//! `grpc.health.v1.Health`: a server says which of its services take calls.
//!
//! ```text
//!   application ── set, shut_down, resume ──► Statuses ── changed ──► Watch streams (SERVING, NOT_SERVING, …)
//!                                                └──────────────────► Check, List
//! ```
//!
//! Follows [health-checking.md](https://github.com/grpc/grpc/blob/master/doc/health-checking.md), and gRFC A90
//! for `List`. What clients make of it is gRFC A17.

/// The package `grpc.health.v1`, generated from `proto/grpc/health/v1/health.proto`.
#[rustfmt::skip] // The generator has a style of its own.
#[path = "../generated/grpc.health.v1.rs"]
pub mod v1;

mod statuses;
mod watching;

use std::sync::Arc;

use tokio::sync::watch;

use crate::endless::Endless;
use crate::{IncomingCall, Request, Response, ResponseStream, Service, Status};
use statuses::Statuses;
use v1::health_server::{Health, HealthServer};
use v1::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use watching::Watching;

pub use v1::health_check_response::ServingStatus;

/// The most services that one answer to `List` names (gRFC A90).
const MOST_LISTED: usize = 100;

/// The health service, and the handle to say what it says. Clones are the same service.
///
/// The server as a whole, which is called `""`, is [serving](ServingStatus::Serving) from the start. Other
/// services are not known until they are [set](Self::set). All methods may be called from anywhere, at any
/// time; none blocks.
///
/// A `Watch` lasts until its client ends it, which gRPC's clients do when they hear that the server stops. A
/// graceful stop ends the others, CANCELLED, after a second.
///
/// ```
/// use highball_server::Server;
/// use highball_server::health::{HealthService, ServingStatus};
///
/// let health = HealthService::new();
/// health.set("grpc.examples.echo.Echo", ServingStatus::Serving);
/// let server = Server::builder().add_service(health.clone()).build();
/// // Clients that watch go elsewhere; then the calls that run are waited for.
/// health.shut_down();
/// # drop(server);
/// ```
#[derive(Clone, Debug, Default)]
pub struct HealthService {
    registry: Arc<Registry>,
}

/// What is known, and who waits for it to change.
#[derive(Debug, Default)]
struct Registry {
    statuses: watch::Sender<Statuses>,
}

impl HealthService {
    /// A health service that knows of the server as a whole, which serves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how `service` does: its full name, or `""` for the server as a whole. Whoever watches it is told
    /// if that is news; of several changes in quick succession, perhaps of the last alone.
    ///
    /// Does nothing between [`shut_down`](Self::shut_down) and [`resume`](Self::resume).
    /// [`ServingStatus::ServiceUnknown`] is what a service is that was [removed](Self::remove).
    pub fn set(&self, service: impl Into<String>, status: ServingStatus) {
        let service = service.into();
        let change = |statuses: &mut Statuses| statuses.set(service, status);
        self.registry.statuses.send_if_modified(change);
    }

    /// Forgets `service`: `Check` does not find it any more, and whoever watches it is told
    /// [`ServingStatus::ServiceUnknown`]. Does nothing after [`shut_down`](Self::shut_down).
    pub fn remove(&self, service: &str) {
        self.set(service, ServingStatus::ServiceUnknown);
    }

    /// How `service` does; `None` if it is not known.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.registry.statuses.borrow().of(service)
    }

    /// How many calls of `Watch` are open.
    pub fn watchers(&self) -> usize {
        self.registry.statuses.receiver_count()
    }

    /// Says that no service serves any more, whatever is set until [`resume`](Self::resume): for a server that
    /// is about to stop, so that clients leave before it does.
    pub fn shut_down(&self) {
        self.registry.statuses.send_modify(Statuses::shut_down);
    }

    /// Says that all services serve, and takes changes again.
    pub fn resume(&self) {
        self.registry.statuses.send_modify(Statuses::resume);
    }
}

impl Service for HealthService {
    fn name(&self) -> &str {
        "grpc.health.v1.Health"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        HealthServer::from_shared(Arc::clone(&self.registry)).call(method, call);
    }
}

impl Health for Registry {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.statuses.borrow().of(&request.message().service);
        let status = status.ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(Response::new(answer(status)))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let known = self.statuses.borrow();
        if known.len() > MOST_LISTED {
            return Err(Status::resource_exhausted(format!(
                "server health list exceeds maximum capacity: {MOST_LISTED}"
            )));
        }
        let statuses = known
            .iter()
            .map(|(name, status)| (name.to_owned(), answer(status)));
        let statuses = statuses.collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<ResponseStream<HealthCheckResponse>>, Status> {
        let stopping = request.server_stopping();
        let service = request.into_message().service;
        let watching = Watching::new(service, self.statuses.subscribe());
        Ok(Response::new(Box::pin(Endless::new(watching, stopping))))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
