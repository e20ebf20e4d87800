//! What a stack's client can do.

use std::future::Future;
use std::sync::Arc;

use crate::{Echo, Meter};

/// Why a run is no measurement: any failure at all.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What may fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A client of `bench.Echo` with one channel or connection.
pub trait Peer: Clone + Send + Sync + 'static {
    /// An open call of the method `Bidi`.
    type PingPong: PingPong;

    /// A client of the server at 127.0.0.1; it may connect later.
    fn connect(port: u16) -> impl Future<Output = Result<Self>> + Send;

    /// Calls `Unary`.
    fn unary(&self, request: Echo) -> impl Future<Output = Result<Echo>> + Send;

    /// Calls `ServerStream` and reads to the end, counting messages.
    fn server_stream(
        &self,
        request: Echo,
        meter: &Meter,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Calls `ClientStream` with [`requests`](crate::requests).
    fn client_stream(
        &self,
        request: Echo,
        messages: u32,
        meter: &Arc<Meter>,
    ) -> impl Future<Output = Result<Echo>> + Send;

    /// Calls `Bidi`.
    fn ping_pong(&self) -> impl Future<Output = Result<Self::PingPong>> + Send;
}

/// A call in which one side speaks, then the other.
pub trait PingPong: Send {
    /// Sends a message and waits for the one that comes back.
    fn round(&mut self, message: Echo) -> impl Future<Output = Result<Echo>> + Send;
}
