//! The handle that applications and stubs hold.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::Stream;
use highball_core::{ConnectivityState, Letterbox, Response, Status};
use highball_resolver::Target;
use highball_transport::Compression;
use http::uri::Authority;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use crate::activity::Activity;
use crate::builder::ChannelBuilder;
use crate::call::{self, Method, ReplayBudget, Request, Streaming};
use crate::call_credentials::AnyCallCredentials;
use crate::driver::{Message as ToDriver, Shared};
use crate::interceptor::AnyInterceptor;
use crate::picker_slot::PickerSlot;

/// A virtual connection to a service, over any number of real ones.
///
/// Cheap to clone; all clones are one channel. It is lazy: nothing is resolved and nothing connected before
/// the first call (or [`connect`](Self::connect)), and after 30 minutes without a call it lets go of
/// everything until the next. The channel closes when its last clone, call and stream are gone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use highball_channel::Channel;
///
/// let channel = Channel::builder("dns:///echo.example.com:50051").insecure().build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Channel(Arc<Handle>);

/// What all clones of a channel share.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    driver: Letterbox<ToDriver>,
    target: Target,
    /// How the target is written, from the first time on that somebody asks.
    canonical: OnceLock<String>,
    authority: Authority,
    defaults: CallDefaults,
    replay: Arc<ReplayBudget>,
}

/// What holds for every call of a channel.
pub(crate) struct CallDefaults {
    pub(crate) credentials: Vec<AnyCallCredentials>,
    /// The first is outermost.
    pub(crate) interceptors: Vec<AnyInterceptor>,
    /// At most so many for a call, whatever its policy says; 1 where retries are switched off.
    pub(crate) max_attempts: u32,
    /// What messages are compressed by.
    pub(crate) compression: Compression,
}

impl Channel {
    /// Starts building a channel to `target`: see [`ChannelBuilder`].
    pub fn builder(target: impl Into<String>) -> ChannelBuilder {
        ChannelBuilder::new(target.into())
    }

    /// The canonical target: `dns:///host:port`, also where the scheme was left out.
    pub fn target(&self) -> &str {
        self.0.target()
    }

    /// The `:authority` of the channel's calls.
    pub fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// Whether calls can go through. Has no side effect.
    pub fn state(&self) -> ConnectivityState {
        self.0.shared.state.current()
    }

    /// Leaves idle mode and connects, without a call. Never fails and does not wait.
    pub fn connect(&self) {
        self.0.tell(ToDriver::Connect);
    }

    /// Waits until the state is another than `from`, and returns it. Returns at once if it is.
    pub async fn changed(&self, from: ConnectivityState) -> ConnectivityState {
        self.0.shared.state.wait_for(|state| state != from).await
    }

    /// Every state that is published from the present one on, none left out however quickly they follow one
    /// another. Ends with SHUTDOWN.
    ///
    /// What a policy only passes through, while the driver takes in what has queued up, is not published:
    /// calls do not see it either.
    pub fn states(&self) -> impl Stream<Item = ConnectivityState> + Send + Unpin + use<> {
        let (subscriber, states) = mpsc::unbounded_channel();
        self.0.tell(ToDriver::Subscribe(subscriber));
        States(states)
    }

    /// Connects, and waits until the channel is READY.
    ///
    /// # Errors
    ///
    /// DEADLINE_EXCEEDED after `timeout`, naming the state the channel was in; CANCELLED if it is closed.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<(), Status> {
        self.connect();
        let settled = self.0.shared.state.wait_for(|state| {
            matches!(
                state,
                ConnectivityState::Ready | ConnectivityState::Shutdown
            )
        });
        match tokio::time::timeout(timeout, settled).await {
            Ok(ConnectivityState::Ready) => Ok(()),
            Ok(_) => Err(crate::driver::closing()),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the channel to {} was not READY after {timeout:?}: it is {}",
                self.target(),
                self.state()
            ))),
        }
    }

    /// Forgets failed attempts to connect: whatever waits out a backoff tries again now.
    pub fn reset_backoff(&self) {
        self.0.tell(ToDriver::ResetBackoff);
    }

    /// What the balancing policies hold, for people to read: each policy with its children, their states
    /// and addresses, and then every connection with its streams. Its form may change at any time.
    pub async fn dump(&self) -> String {
        let (reader, dump) = oneshot::channel();
        self.0.tell(ToDriver::Dump(reader));
        dump.await.unwrap_or_else(|_| "closed".to_owned())
    }

    /// Closes the channel, for all its clones: calls under way and to come end CANCELLED. Returns when its
    /// connections have been told to close and its tasks have ended. Closing again changes nothing.
    pub async fn close(&self) {
        self.0.tell(ToDriver::Close);
        self.0.closed().await;
    }

    /// One request, one reply.
    ///
    /// # Errors
    ///
    /// The call's status, if it is not OK.
    pub async fn unary<Req, Resp>(
        &self,
        method: &Method,
        request: Request<Req>,
    ) -> Result<Response<Resp>, Status>
    where
        Req: Message + 'static,
        Resp: Message + Default + 'static,
    {
        call::unary(&self.0, method, request).await
    }

    /// One request, a stream of responses. Returns as soon as the call has found a connection.
    ///
    /// # Errors
    ///
    /// The status of a call that found none. Later failures come from the stream.
    pub async fn server_streaming<Req, Resp>(
        &self,
        method: &Method,
        request: Request<Req>,
    ) -> Result<Streaming<Resp>, Status>
    where
        Req: Message + 'static,
        Resp: Message + Default + 'static,
    {
        call::server_streaming(&self.0, method, request).await
    }

    /// A stream of requests, one reply. The stream is sent by a task of its own.
    ///
    /// # Errors
    ///
    /// The call's status, if it is not OK. A server may give it before it has read every request.
    pub async fn client_streaming<S, Resp>(
        &self,
        method: &Method,
        request: Request<S>,
    ) -> Result<Response<Resp>, Status>
    where
        S: Stream<Item: Message + 'static> + Send + 'static,
        Resp: Message + Default + 'static,
    {
        call::client_streaming(&self.0, method, request).await
    }

    /// A stream of requests and a stream of responses, independent of one another. The requests are sent
    /// by a task of their own. Returns as soon as the call has found a connection.
    ///
    /// # Errors
    ///
    /// The status of a call that found none. Later failures come from the stream.
    pub async fn bidi_streaming<S, Resp>(
        &self,
        method: &Method,
        request: Request<S>,
    ) -> Result<Streaming<Resp>, Status>
    where
        S: Stream<Item: Message + 'static> + Send + 'static,
        Resp: Message + Default + 'static,
    {
        call::bidi_streaming(&self.0, method, request).await
    }

    pub(crate) fn new(handle: Handle) -> Self {
        Self(Arc::new(handle))
    }
}

impl Handle {
    pub(crate) fn new(
        shared: Arc<Shared>,
        driver: Letterbox<ToDriver>,
        target: Target,
        authority: Authority,
        defaults: CallDefaults,
    ) -> Self {
        Self {
            shared,
            driver,
            target,
            canonical: OnceLock::new(),
            authority,
            defaults,
            replay: Arc::default(),
        }
    }

    pub(crate) fn slot(&self) -> &PickerSlot {
        &self.shared.slot
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.shared.activity
    }

    pub(crate) fn call_credentials(&self) -> &[AnyCallCredentials] {
        &self.defaults.credentials
    }

    pub(crate) fn interceptors(&self) -> &[AnyInterceptor] {
        &self.defaults.interceptors
    }

    pub(crate) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(crate) fn allows_retries(&self) -> bool {
        self.defaults.max_attempts > 1
    }

    pub(crate) fn max_attempts(&self) -> u32 {
        self.defaults.max_attempts
    }

    pub(crate) fn compression(&self) -> Compression {
        self.defaults.compression
    }

    pub(crate) fn replay_budget(&self) -> &Arc<ReplayBudget> {
        &self.replay
    }

    /// Returns when the channel is closed.
    pub(crate) async fn closed(&self) {
        let closed = |state| state == ConnectivityState::Shutdown;
        self.shared.state.wait_for(closed).await;
    }

    pub(crate) fn target(&self) -> &str {
        self.canonical.get_or_init(|| self.target.to_string())
    }

    /// A call has begun on an idle channel.
    pub(crate) fn call_began(&self) {
        self.tell(ToDriver::CallBegan);
    }

    /// A driver that is gone has closed: there is nothing left to tell it.
    fn tell(&self, message: ToDriver) {
        self.driver.post(message);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tell(ToDriver::Close);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.current();
        f.debug_struct("Channel")
            .field("target", &self.target())
            .field("state", &state)
            .finish()
    }
}

/// A subscription to a channel's states.
struct States(mpsc::UnboundedReceiver<ConnectivityState>);

impl Stream for States {
    type Item = ConnectivityState;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<ConnectivityState>> {
        self.0.poll_recv(cx)
    }
}
