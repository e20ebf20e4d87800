//! What the router knows of a service.

use crate::IncomingCall;

/// A gRPC service: a name, and what is to be done with the calls to its methods.
///
/// Generated for every service in a `.proto` file; the crate's documentation shows one by hand.
pub trait Service: Send + Sync + 'static {
    /// The full name, as in the path of its methods: `grpc.examples.echo.Echo`.
    fn name(&self) -> &str;

    /// Starts to work on a call of `method`, the part of the path after the service's name. Does not
    /// block: hands the call to the entry point of its kind ([`unary`](crate::unary),
    /// [`server_streaming`](crate::server_streaming), [`client_streaming`](crate::client_streaming),
    /// [`bidi_streaming`](crate::bidi_streaming)), or to [`unknown_method`](crate::unknown_method).
    fn call(&self, method: &str, call: IncomingCall);
}
