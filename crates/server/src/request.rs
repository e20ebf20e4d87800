//! What a handler is given: the client's message and what is known of the call.

use std::sync::Arc;
use std::time::Duration;

use highball_core::{Attributes, MetadataMap, Peer, Status};
use highball_transport::{Compression, CompressionSwitch, Compressions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Cancellation;
use crate::call::CallContext;

/// A client's message (or [`Streaming`](crate::Streaming) of messages), and the call it came with.
#[derive(Debug)]
pub struct Request<T> {
    message: T,
    metadata: MetadataMap,
    context: Arc<CallContext>,
    attributes: Attributes,
}

impl<T> Request<T> {
    /// A request that came with no call: for testing a handler.
    pub fn new(message: T) -> Self {
        Self::of_call(message, MetadataMap::new(), Arc::default())
    }

    pub(crate) fn of_call(message: T, metadata: MetadataMap, context: Arc<CallContext>) -> Self {
        Self {
            message,
            metadata,
            context,
            attributes: Attributes::default(),
        }
    }

    pub(crate) fn context(&self) -> Arc<CallContext> {
        Arc::clone(&self.context)
    }

    /// Replaces the metadata: for testing a handler.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        self.metadata = metadata;
        self
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The message, to be changed or read from.
    pub fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message and the metadata.
    pub fn into_parts(self) -> (T, MetadataMap) {
        (self.message, self.metadata)
    }

    /// The client's metadata.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// The client's metadata, to change: what comes after an interceptor sees it changed.
    pub fn metadata_mut(&mut self) -> &mut MetadataMap {
        &mut self.metadata
    }

    /// What interceptors have left for the handler, by its type. Nothing of it came from the client.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The same, to add to.
    pub fn attributes_mut(&mut self) -> &mut Attributes {
        &mut self.attributes
    }

    /// The path of the method: `/package.Service/Method`.
    pub fn path(&self) -> &str {
        self.context.head.path()
    }

    /// Whom the client means to talk to.
    pub fn authority(&self) -> Option<&str> {
        self.context.head.authority()
    }

    /// What the client's software calls itself.
    pub fn user_agent(&self) -> Option<&str> {
        self.context.head.user_agent()
    }

    /// Who the client is: its address, and what its security handshake has shown, such as its
    /// certificates. `None` in a test without a connection.
    pub fn peer(&self) -> Option<&Peer> {
        self.context.connection.peer.as_ref()
    }

    /// Whether the message came compressed. Messages of a stream differ in that:
    /// [`Streaming::is_compressed`](crate::Streaming::is_compressed).
    pub fn is_compressed(&self) -> bool {
        self.context.compression.is_of_request()
    }

    /// What the client can read, of all that this build knows. Empty if it does not say.
    pub fn accepted_compressions(&self) -> Compressions {
        self.context.head.accepted()
    }

    /// Chooses what the reply is compressed by, those of its messages that become shorter. A client that cannot
    /// read that gets them as they are. Without a choice it is what the
    /// [service](crate::ServerBuilder::compression) has, else what the request was compressed by.
    ///
    /// # Errors
    ///
    /// INTERNAL when there was a choice before, or when the reply has begun.
    pub fn compress_reply(&self, compression: Compression) -> Result<(), Status> {
        self.context.compression.choose(compression)
    }

    /// Decides for single messages of a reply whether they are compressed, where the reply is.
    pub fn compression_switch(&self) -> CompressionSwitch {
        self.context.compression.switch()
    }

    /// When the client stops waiting. The call ends then: its handler is dropped, and the client's stream
    /// is reset.
    pub fn deadline(&self) -> Option<Instant> {
        self.context.deadline
    }

    /// How much time is left until the deadline; zero if it has passed.
    pub fn remaining_time(&self) -> Option<Duration> {
        let now = Instant::now();
        let left = |deadline: Instant| deadline.saturating_duration_since(now);
        self.deadline().map(left)
    }

    /// Tells when the call is over: for tasks that the handler starts.
    pub fn cancellation(&self) -> Cancellation {
        Cancellation::of(Arc::clone(&self.context))
    }

    /// Tells when the server is about to stop, gracefully or at once: for streams that have no end of their own. A
    /// graceful stop waits for them, until its grace is over, unless they end when they hear of it. A stop at once
    /// waits for nobody.
    ///
    /// Never fires in a test without a connection.
    ///
    /// ```
    /// use highball_server::{Request, Response, ResponseStream, Status};
    ///
    /// async fn ticks(request: Request<()>) -> Result<Response<ResponseStream<()>>, Status> {
    ///     let stopping = request.server_stopping();
    ///     let ticks = futures::stream::unfold(stopping, async |stopping| {
    ///         tokio::select! {
    ///             () = tokio::time::sleep(std::time::Duration::from_secs(1)) => Some((Ok(()), stopping)),
    ///             () = stopping.cancelled() => None,
    ///         }
    ///     });
    ///     Ok(Response::new(Box::pin(ticks)))
    /// }
    /// ```
    pub fn server_stopping(&self) -> CancellationToken {
        self.context.connection.drain.child_token()
    }

    /// From here on the handler runs to its end even if the client cancels, is lost, or waits no longer:
    /// it is not dropped, and its [`Cancellation`] tells it. Its place among the handlers of the connection
    /// stays taken. Only the server's immediate stop ends it early.
    pub fn run_to_end(&self) {
        self.context.end.run_to_end();
    }

    /// The message, and the same call without it.
    pub fn split(self) -> (T, Request<()>) {
        let head = Request {
            message: (),
            metadata: self.metadata,
            context: self.context,
            attributes: self.attributes,
        };
        (self.message, head)
    }

    /// The same call with what is made of its message, if that succeeds.
    pub(crate) fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Request<U>, E> {
        let (message, head) = self.split();
        let message = f(message)?;
        Ok(head.map(|()| message))
    }

    /// The same call with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Request<U> {
        Request {
            message: f(self.message),
            metadata: self.metadata,
            context: self.context,
            attributes: self.attributes,
        }
    }
}
