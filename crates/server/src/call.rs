//! One call, from the router to the end of its reply.
//!
//! ```text
//!   IncomingCall ── start ──► attend(handler) ──► reply ──► conclude: status, or nothing if the
//!                                │                           client is gone
//!                                ├─ stream reset, connection lost, deadline: CallEnd, then dropped
//!                                ├─ panic: INTERNAL
//!                                └─ bad message from the client: its status, at once
//! ```
//!
//! All of it in a task of its own. Where there is one thread only, a call with one message to read begins in
//! the connection's task and gets its own when it has to wait: most need not, and then a task and the turns it
//! takes would cost a good part of the call.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use highball_core::{MetadataMap, Peer, Status};
use highball_transport::Compression;
use highball_transport::server::{CallHead, Gone, Incoming, Permit, Receiver, Responder};
use tokio::task::coop::cooperative;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::cancellation::CallEnd;
use crate::compression::CallCompression;
use crate::interceptor::Interceptors;
use crate::limits::Terms;

/// A call on its way to its handler. Dropping it unanswered resets its stream.
#[derive(Debug)]
pub struct IncomingCall {
    pub(crate) incoming: Box<Incoming>,
    pub(crate) terms: Terms,
    pub(crate) connection: Arc<ConnectionContext>,
}

/// What the calls of one connection share.
#[derive(Debug, Default)]
pub(crate) struct ConnectionContext {
    pub(crate) peer: Option<Peer>,
    pub(crate) interceptors: Option<Interceptors>,
    /// The server stops, gracefully or at once.
    pub(crate) drain: CancellationToken,
    /// The server stops at once: nothing runs on, whatever it asked for.
    pub(crate) stop: CancellationToken,
    /// No other thread could take the calls meanwhile, so they begin in the connection's task.
    pub(crate) calls_begin_here: bool,
}

/// What a call's task, its handler and its message stream share.
#[derive(Debug, Default)]
pub(crate) struct CallContext {
    pub(crate) head: CallHead,
    pub(crate) connection: Arc<ConnectionContext>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) end: CallEnd,
    pub(crate) compression: CallCompression,
}

/// What a handler is made of.
pub(crate) struct Input {
    pub(crate) context: Arc<CallContext>,
    pub(crate) metadata: MetadataMap,
    pub(crate) receiver: Receiver,
    pub(crate) limit: usize,
}

/// A reply that can be sent: one message, or a stream of them.
pub(crate) trait Reply: Send + 'static {
    /// Sends headers and messages. Gives the trailing metadata of a call that ends well.
    fn send(
        self,
        attendant: &mut Attendant<'_>,
    ) -> impl Future<Output = Result<MetadataMap, Halt>> + Send;
}

/// Why a call ends other than well.
#[derive(Debug)]
pub(crate) enum Halt {
    /// With this status.
    Status(Status),
    /// The handler panicked.
    Panicked,
    /// Nobody is there to hear of it.
    Gone(Gone),
    /// In time for nobody: the stream is reset.
    DeadlinePassed,
}

impl From<Status> for Halt {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl IncomingCall {
    /// What the client's headers say.
    pub fn head(&self) -> &CallHead {
        &self.incoming.head
    }

    /// What is around its handler, if anything is.
    pub(crate) fn interceptors(&self) -> Option<Interceptors> {
        self.connection.interceptors.clone()
    }

    /// Ends the call with a status. No handler runs.
    pub fn refuse(mut self, status: Status) {
        self.incoming.responder.finish(status);
    }

    /// Runs the handler that `work` makes, in a task of its own, and sends what it gives.
    pub(crate) fn start<F, R>(self, work: impl FnOnce(Input) -> F + Send + 'static)
    where
        F: Future<Output = Result<R, Status>> + Send + 'static,
        R: Reply,
    {
        // A task is moved several times before it runs. This one is large, so it is boxed.
        tokio::spawn(Box::pin(self.run(work)));
    }

    /// The same for a handler that need not wait for its client: where there is one thread only, it begins
    /// here.
    pub(crate) fn start_here<F, R>(self, work: impl FnOnce(Input) -> F + Send + 'static)
    where
        F: Future<Output = Result<R, Status>> + Send + 'static,
        R: Reply,
    {
        if !self.connection.calls_begin_here {
            return self.start(work);
        }
        let mut call = Box::pin(self.run(work));
        if begin(call.as_mut()).is_pending() {
            tokio::spawn(call);
        }
    }

    /// `work` itself is not the user's, only the future it makes is.
    async fn run<F, R>(self, work: impl FnOnce(Input) -> F)
    where
        F: Future<Output = Result<R, Status>>,
        R: Reply,
    {
        let Self {
            incoming,
            terms,
            connection,
        } = self;
        let timeout = incoming.head.timeout();
        let deadline = timeout.and_then(|timeout| incoming.arrived.checked_add(timeout));
        let timer = pin!(None);
        let (mut attendant, input) = Attendant::of(*incoming, terms, connection, deadline, timer);
        let ending = match attendant.attend(pin!(work(input))).await {
            Ok(Ok(reply)) => reply.send(&mut attendant).await,
            Ok(Err(status)) => Err(Halt::Status(status)),
            Err(halt) => Err(halt),
        };
        attendant.conclude(ending);
    }
}

/// Polls a call for the first time, in the task of its connection. If it is pending it is to be polled again at
/// once, in a task of its own, so nobody need be woken.
///
/// Each call counts as one of the things that tokio lets a task do before it is others' turn, so a burst of calls
/// does not hold the thread for long.
fn begin(call: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = pin!(cooperative(call));
    match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))) {
        Ok(polled) => polled,
        Err(_) => {
            tracing::error!(target: "server", "call panicked");
            Poll::Ready(())
        }
    }
}

/// Attends to one call: polls what works for it, and ends that when nobody waits for it any more.
pub(crate) struct Attendant<'a> {
    responder: Responder,
    context: Arc<CallContext>,
    /// Made when there is something to wait for: most calls are answered before.
    timer: Pin<&'a mut Option<Sleep>>,
    /// Nobody waits for the call any more, but its handler has asked to run to its end. What is kept is the
    /// only thing that can end it.
    orphaned: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    terms: Terms,
    /// Given back when nothing works on the call any more.
    _permit: Permit,
}

impl<'a> Attendant<'a> {
    fn of(
        incoming: Incoming,
        terms: Terms,
        connection: Arc<ConnectionContext>,
        deadline: Option<Instant>,
        timer: Pin<&'a mut Option<Sleep>>,
    ) -> (Self, Input) {
        let Incoming {
            mut head,
            receiver,
            responder,
            permit,
            ..
        } = incoming;
        let metadata = std::mem::take(&mut head.metadata);
        let context = Arc::new(CallContext {
            head,
            connection,
            deadline,
            end: CallEnd::default(),
            compression: CallCompression::default(),
        });
        let attendant = Self {
            responder,
            context: Arc::clone(&context),
            timer,
            orphaned: None,
            terms,
            _permit: permit,
        };
        let limit = terms.limits.receive;
        let input = Input {
            context,
            metadata,
            receiver,
            limit,
        };
        (attendant, input)
    }

    /// The largest message that is sent.
    pub(crate) fn send_limit(&self) -> usize {
        self.terms.limits.send
    }

    /// Settles what the reply is compressed by.
    pub(crate) fn settle_compression(&mut self) -> Compression {
        let context = &self.context;
        let of_service = self.terms.compression;
        let compression = context.compression.settle(&context.head, of_service);
        self.responder.announce(compression);
        compression
    }

    pub(crate) fn context(&self) -> &Arc<CallContext> {
        &self.context
    }

    /// Polls `work`, which is the user's, until it is done or the call is.
    pub(crate) async fn attend<F: Future>(
        &mut self,
        mut work: Pin<&mut F>,
    ) -> Result<F::Output, Halt> {
        poll_fn(|cx| {
            // Nothing is seen of a future again that has panicked.
            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
            let Ok(polled) = polled else {
                return Poll::Ready(Err(Halt::Panicked));
            };
            if let Some(status) = self.context.end.failure() {
                return Poll::Ready(Err(Halt::Status(status.clone())));
            }
            match polled {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => self.poll_halt(cx).map(Err),
            }
        })
        .await
    }

    /// Sends the headers; does nothing if they are sent.
    pub(crate) fn start(&mut self, metadata: MetadataMap) {
        self.responder.start(metadata);
    }

    /// Whether the headers are sent.
    pub(crate) fn is_started(&self) -> bool {
        self.responder.is_started()
    }

    /// Sends one or more framed messages, as fast as the client takes them.
    pub(crate) async fn send(&mut self, mut framed: Bytes) -> Result<(), Halt> {
        if self.orphaned.is_some() {
            // Nobody takes the messages, so nobody holds the stream back: others get their turn.
            tokio::task::yield_now().await;
        }
        poll_fn(|cx| {
            if self.orphaned.is_some() {
                return match self.poll_halt(cx) {
                    Poll::Ready(halt) => Poll::Ready(Err(halt)),
                    Poll::Pending => Poll::Ready(Ok(())),
                };
            }
            match self.responder.poll_send(&mut framed, cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(gone)) => match self.halt(Halt::Gone(gone)) {
                    Some(halt) => Poll::Ready(Err(halt)),
                    None => Poll::Ready(Ok(())),
                },
                Poll::Pending => self.poll_halt(cx).map(Err),
            }
        })
        .await
    }

    /// Ready when nobody waits for the call any more.
    fn poll_halt(&mut self, cx: &mut Context<'_>) -> Poll<Halt> {
        if self.orphaned.is_none() {
            let halt = if let Poll::Ready(gone) = self.responder.poll_gone(cx) {
                Halt::Gone(gone)
            } else if self.poll_deadline(cx).is_ready() {
                Halt::DeadlinePassed
            } else {
                return Poll::Pending;
            };
            if let Some(halt) = self.halt(halt) {
                return Poll::Ready(halt);
            }
        }
        match &mut self.orphaned {
            Some(stop) => stop.as_mut().poll(cx).map(|()| Halt::Gone(Gone::Lost)),
            None => Poll::Pending,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            let timer = self.context.deadline.map(tokio::time::sleep_until);
            self.timer.set(timer);
        }
        match self.timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(cx),
            None => Poll::Pending,
        }
    }

    /// Tells everyone that the call is over. Gives nothing if the handler goes on all the same.
    fn halt(&mut self, halt: Halt) -> Option<Halt> {
        if matches!(halt, Halt::DeadlinePassed) {
            self.responder.cancel();
        }
        self.context.end.declare();
        if !self.context.end.runs_to_end() {
            return Some(halt);
        }
        let stop = self.context.connection.stop.clone();
        self.orphaned = Some(Box::pin(stop.cancelled_owned()));
        None
    }

    /// Says how the call ended, to the client if it listens.
    fn conclude(&mut self, ending: Result<MetadataMap, Halt>) {
        let path = self.context.head.path();
        match ending {
            Ok(trailers) => {
                self.responder.finish_ok(trailers);
                tracing::trace!(target: "server", path, "call ended: OK");
            }
            Err(Halt::Status(status)) => {
                tracing::debug!(target: "server", path, %status, "call ended");
                self.responder.finish(status);
            }
            Err(Halt::Panicked) => {
                tracing::error!(target: "server", path, "handler panicked");
                self.responder
                    .finish(Status::internal("the handler panicked"));
            }
            Err(Halt::Gone(gone)) => {
                tracing::debug!(target: "server", path, %gone, "call cancelled")
            }
            Err(Halt::DeadlinePassed) => tracing::debug!(target: "server", path, "deadline passed"),
        }
    }
}

impl Drop for Attendant<'_> {
    fn drop(&mut self) {
        self.context.end.declare();
    }
}
