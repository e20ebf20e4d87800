//! Interceptors: what an application puts around the calls of a channel.
//!
//! ```text
//!   stub ── first interceptor ── second ── … ── the call: attempts, retries, transport
//!             unary / streaming: request ─► next ─► response, trailers, status
//! ```
//!
//! Exercise: write an interceptor that answers a unary call from a cache, and find out what it may keep.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use highball_core::{AnyMessage, Response, Status};

use crate::call::{AnyStreaming, InterceptedCall, Method, Request};

/// The request of a streaming call, message by message. Any stream of messages, in a box.
pub type MessageStream = Pin<Box<dyn Stream<Item = AnyMessage> + Send>>;

/// Something around every call of a channel: authentication, logs, retries of its own, a cache.
///
/// Added by [`ChannelBuilder::interceptor`](crate::ChannelBuilder::interceptor). The first that was added is
/// outermost. All have something to do with every call, so every method is optional:
///
/// - [`before`](Self::before) sees a call before it is made. Enough for adding metadata, and a closure will do.
/// - [`unary`](Self::unary) is around the calls with one request message and one response message.
/// - [`streaming`](Self::streaming) is around all others, also those with a stream in one direction only.
///
/// Interceptors are around calls, not around the attempts at them: retries by policy, call credentials and the
/// waiting for a connection are further in. One that wants to hear of the attempts asks for it:
/// [`Request::observe_attempts`]. Which there were at a call that has failed is in its
/// [`explanation`](Status::explanation) as well. They run in the task of whoever makes the call, several at a time. The time
/// they take counts for the call's time-out; what still runs when it is over is dropped, as it is when the
/// application drops the call.
///
/// ```
/// use std::time::Instant;
/// use highball_channel::{AnyMessage, Channel, ClientInterceptor, Next, Request, Response, Status};
///
/// struct Timed;
///
/// impl ClientInterceptor for Timed {
///     async fn unary(
///         &self,
///         request: Request<AnyMessage>,
///         next: Next<'_>,
///     ) -> Result<Response<AnyMessage>, Status> {
///         let started = Instant::now();
///         let answered = next.unary(request).await;
///         println!("{} took {:?}", next.method().path(), started.elapsed());
///         answered
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), highball_channel::BuildError> {
/// let channel = Channel::builder("dns:///echo.example.com:50051")
///     .insecure()
///     .interceptor(Timed)
///     .interceptor(|_: &_, request: &mut Request<()>| {
///         request.metadata_mut().append("trace-id", "7")?;
///         Ok(())
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait ClientInterceptor: Send + Sync + 'static {
    /// A call is about to be made, of either kind: its metadata and options may be changed.
    ///
    /// # Errors
    ///
    /// A status ends the call with it, unmade.
    fn before(
        &self,
        method: &Method,
        request: &mut Request<()>,
    ) -> impl Future<Output = Result<(), Status>> + Send {
        let _ = (method, request);
        async { Ok(()) }
    }

    /// One request message, one response. `next` makes the call, and may be asked to several times, or not
    /// at all. Without an implementation: [`before`](Self::before), then `next`.
    ///
    /// # Errors
    ///
    /// The status that the application sees.
    fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<Response<AnyMessage>, Status>> + Send {
        async move {
            let (message, mut head) = request.split();
            self.before(next.method(), &mut head).await?;
            next.unary(head.map(|()| message)).await
        }
    }

    /// Any other call. The request may be replaced by another stream, and what comes of the response can be
    /// [listened to](AnyStreaming::listen) and changed. Without an implementation: [`before`](Self::before),
    /// then `next`.
    ///
    /// Returns as soon as the call has found a connection. A call that takes one message has a stream of one;
    /// likewise for one that gives one.
    ///
    /// # Errors
    ///
    /// The status that the application sees.
    fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<AnyStreaming, Status>> + Send {
        async move {
            let (messages, mut head) = request.split();
            self.before(next.method(), &mut head).await?;
            next.streaming(head.map(|()| messages)).await
        }
    }
}

/// A closure is an interceptor that sees calls before they are made.
impl<F> ClientInterceptor for F
where
    F: Fn(&Method, &mut Request<()>) -> Result<(), Status> + Send + Sync + 'static,
{
    async fn before(&self, method: &Method, request: &mut Request<()>) -> Result<(), Status> {
        self(method, request)
    }
}

/// What an interceptor is around: the interceptors after it, then the call itself.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    rest: &'a [AnyInterceptor],
    call: &'a InterceptedCall<'a>,
}

impl<'a> Next<'a> {
    /// All interceptors, then the call.
    pub(crate) fn all(interceptors: &'a [AnyInterceptor], call: &'a InterceptedCall<'a>) -> Self {
        Self {
            rest: interceptors,
            call,
        }
    }

    /// Makes the call. Each time it is asked to, another call reaches the server.
    ///
    /// # Errors
    ///
    /// The call's status, if it is not OK.
    pub async fn unary(self, request: Request<AnyMessage>) -> Result<Response<AnyMessage>, Status> {
        match self.rest.split_first() {
            Some((first, rest)) => first.0.unary(request, Self { rest, ..self }).await,
            None => Box::pin(self.call.unary(request)).await,
        }
    }

    /// Makes the call. Each time it is asked to, another call reaches the server.
    ///
    /// # Errors
    ///
    /// The status of a call that has found no connection. Later failures come from the stream.
    pub async fn streaming(self, request: Request<MessageStream>) -> Result<AnyStreaming, Status> {
        match self.rest.split_first() {
            Some((first, rest)) => first.0.streaming(request, Self { rest, ..self }).await,
            None => Box::pin(self.call.streaming(request)).await,
        }
    }

    /// The method that is called.
    pub fn method(&self) -> &'a Method {
        self.call.method()
    }

    /// How long a call of the method may take at most, as the service config says. A call's own options may say
    /// less. `None` if it sets no limit, or is not known: before the first resolution.
    pub fn method_timeout(&self) -> Option<Duration> {
        self.call.method_timeout()
    }

    /// The `:authority` of the channel's calls. A call's own options may name another.
    pub fn authority(&self) -> &'a str {
        self.call.authority()
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("method", &self.method().path())
            .field("interceptors", &self.rest.len())
            .finish()
    }
}

/// An interceptor of any kind.
pub(crate) struct AnyInterceptor(Box<dyn Erased>);

impl AnyInterceptor {
    pub(crate) fn new(interceptor: impl ClientInterceptor) -> Self {
        Self(Box::new(interceptor))
    }
}

/// What [`ClientInterceptor`] is behind a pointer.
trait Erased: Send + Sync {
    fn unary<'a>(
        &'a self,
        request: Request<AnyMessage>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Response<AnyMessage>, Status>>;
    fn streaming<'a>(
        &'a self,
        request: Request<MessageStream>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<AnyStreaming, Status>>;
}

impl<T: ClientInterceptor> Erased for T {
    fn unary<'a>(
        &'a self,
        request: Request<AnyMessage>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Response<AnyMessage>, Status>> {
        Box::pin(ClientInterceptor::unary(self, request, next))
    }

    fn streaming<'a>(
        &'a self,
        request: Request<MessageStream>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<AnyStreaming, Status>> {
        Box::pin(ClientInterceptor::streaming(self, request, next))
    }
}
