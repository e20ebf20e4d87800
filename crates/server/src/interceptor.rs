//! Interceptors: what an application puts around the handlers of a server.
//!
//! ```text
//!   request ── first interceptor ── second ── … ── handler
//!                unary / streaming: request ─► next ─► response or status
//! ```
//!
//! Exercise: write an interceptor that ends calls RESOURCE_EXHAUSTED while a hundred handlers run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use highball_core::{AnyMessage, Response, Status};

use crate::Request;

/// Messages in one direction of a streaming call: of the client, or of the handler. Any stream of messages,
/// in a box. How one that is part of a response ends the call is said at [`ResponseStream`](crate::ResponseStream).
pub type MessageStream = Pin<Box<dyn Stream<Item = Result<AnyMessage, Status>> + Send>>;

/// Something around every handler of a server: authentication, logs, limits.
///
/// Added by [`ServerBuilder::interceptor`](crate::ServerBuilder::interceptor). The first that was added is
/// outermost. Every method is optional:
///
/// - [`before`](Self::before) sees a call before its handler does. Enough for refusing it, and for leaving
///   the handler word of who is calling; a closure will do.
/// - [`unary`](Self::unary) is around the calls with one request message and one response message.
/// - [`streaming`](Self::streaming) is around all others, also those with a stream in one direction only.
///
/// They run in the call's task, as the handler does, and are dropped with it when the call ends early. Calls
/// of methods that are not there do not come to them.
///
/// ```
/// use highball_server::{
///     AnyMessage, Next, Request, Response, Server, ServerInterceptor, Status,
/// };
///
/// #[derive(Debug, PartialEq)]
/// struct User(String);
///
/// struct Logged;
///
/// impl ServerInterceptor for Logged {
///     async fn unary(
///         &self,
///         request: Request<AnyMessage>,
///         next: Next<'_, AnyMessage>,
///     ) -> Result<Response<AnyMessage>, Status> {
///         let path = request.path().to_owned();
///         let answered = next.run(request).await;
///         println!("{path}: {answered:?}");
///         answered
///     }
/// }
///
/// let server = Server::builder()
///     .interceptor(Logged)
///     .interceptor(|request: &mut Request<()>| match request.metadata().get("user") {
///         None => Err(Status::unauthenticated("who are you?")),
///         Some(user) => {
///             let user = User(user.to_owned());
///             request.attributes_mut().insert(user);
///             Ok(())
///         }
///     });
/// ```
pub trait ServerInterceptor: Send + Sync + 'static {
    /// A call is about to reach its handler, of either kind: its metadata may be changed, and
    /// [attributes](Request::attributes) left for the handler.
    ///
    /// # Errors
    ///
    /// A status ends the call with it; the handler does not hear of it.
    fn before(&self, request: &mut Request<()>) -> impl Future<Output = Result<(), Status>> + Send {
        let _ = request;
        async { Ok(()) }
    }

    /// One request message, one response. Without an implementation: [`before`](Self::before), then `next`.
    ///
    /// # Errors
    ///
    /// The status that the client sees.
    fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_, AnyMessage>,
    ) -> impl Future<Output = Result<Response<AnyMessage>, Status>> + Send {
        async move {
            let (message, mut head) = request.split();
            self.before(&mut head).await?;
            next.run(head.map(|()| message)).await
        }
    }

    /// Any other call. Both streams may be replaced by others. A method that takes one message has a stream of
    /// one, and likewise one that gives one. Without an implementation: [`before`](Self::before), then `next`.
    ///
    /// # Errors
    ///
    /// The status that the client sees. Later failures come from the stream.
    fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> impl Future<Output = Result<Response<MessageStream>, Status>> + Send {
        async move {
            let (messages, mut head) = request.split();
            self.before(&mut head).await?;
            next.run(head.map(|()| messages)).await
        }
    }
}

/// A closure is an interceptor that sees calls before their handlers do.
impl<F> ServerInterceptor for F
where
    F: Fn(&mut Request<()>) -> Result<(), Status> + Send + Sync + 'static,
{
    async fn before(&self, request: &mut Request<()>) -> Result<(), Status> {
        self(request)
    }
}

/// A handler of any kind of call.
pub(crate) type AnyHandler<T> =
    Box<dyn FnOnce(Request<T>) -> BoxFuture<'static, Result<Response<T>, Status>> + Send>;

/// What an interceptor is around: the interceptors after it, then the handler. Of a `Request<T>` they make a
/// `Response<T>`.
pub struct Next<'a, T> {
    rest: &'a [Box<dyn Erased>],
    handler: AnyHandler<T>,
}

impl<'a, T> Next<'a, T> {
    /// All interceptors, then the handler.
    pub(crate) fn all(interceptors: &'a Interceptors, handler: AnyHandler<T>) -> Self {
        Self {
            rest: &interceptors.0,
            handler,
        }
    }
}

impl Next<'_, AnyMessage> {
    /// Has the call answered.
    ///
    /// # Errors
    ///
    /// The status that the handler ends the call with, or another interceptor.
    pub async fn run(self, request: Request<AnyMessage>) -> Result<Response<AnyMessage>, Status> {
        match self.rest.split_first() {
            Some((first, rest)) => first.unary(request, Self { rest, ..self }).await,
            None => (self.handler)(request).await,
        }
    }
}

impl Next<'_, MessageStream> {
    /// Has the call answered.
    ///
    /// # Errors
    ///
    /// The status that the handler ends the call with, or another interceptor.
    pub async fn run(
        self,
        request: Request<MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        match self.rest.split_first() {
            Some((first, rest)) => first.streaming(request, Self { rest, ..self }).await,
            None => (self.handler)(request).await,
        }
    }
}

impl<T> fmt::Debug for Next<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("interceptors", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// All interceptors of a server, the first outermost; at least one. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Interceptors(Arc<[Box<dyn Erased>]>);

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.0.len())
    }
}

/// The interceptors of a server that is being put together.
#[derive(Default)]
pub(crate) struct Chain(Vec<Box<dyn Erased>>);

impl Chain {
    pub(crate) fn push(&mut self, interceptor: impl ServerInterceptor) {
        self.0.push(Box::new(interceptor));
    }

    pub(crate) fn build(self) -> Option<Interceptors> {
        (!self.0.is_empty()).then(|| Interceptors(self.0.into()))
    }
}

/// What [`ServerInterceptor`] is behind a pointer.
trait Erased: Send + Sync {
    fn unary<'a>(
        &'a self,
        request: Request<AnyMessage>,
        next: Next<'a, AnyMessage>,
    ) -> BoxFuture<'a, Result<Response<AnyMessage>, Status>>;
    fn streaming<'a>(
        &'a self,
        request: Request<MessageStream>,
        next: Next<'a, MessageStream>,
    ) -> BoxFuture<'a, Result<Response<MessageStream>, Status>>;
}

impl<T: ServerInterceptor> Erased for T {
    fn unary<'a>(
        &'a self,
        request: Request<AnyMessage>,
        next: Next<'a, AnyMessage>,
    ) -> BoxFuture<'a, Result<Response<AnyMessage>, Status>> {
        Box::pin(ServerInterceptor::unary(self, request, next))
    }

    fn streaming<'a>(
        &'a self,
        request: Request<MessageStream>,
        next: Next<'a, MessageStream>,
    ) -> BoxFuture<'a, Result<Response<MessageStream>, Status>> {
        Box::pin(ServerInterceptor::streaming(self, request, next))
    }
}
