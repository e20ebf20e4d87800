//! What a connection's handles, its streams and its task have in common.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use highball_core::{Address, Peer, Status};
use http::Request;
use http::uri::{Authority, Scheme};

use super::end::Loss;
use super::same_headers::SameHeaders;
use super::{Closed, Lost, NotOpened, OpenError};
use crate::credentials::ChannelCredentials;
use crate::gate::StreamGate;
use crate::tap::Facts;

pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) peer: Peer,
    /// Whom the server is asked for.
    pub(super) authority: Authority,
    pub(super) scheme: Scheme,
    pub(super) same_headers: SameHeaders,
    pub(super) credentials: Arc<dyn ChannelCredentials>,
    /// The largest header list that is accepted.
    pub(super) max_header_list_size: u32,
    pub(super) gate: StreamGate,
    pub(super) facts: Arc<Facts>,
    /// Cloned for each stream: a clone that is kept would hold on to the stream it opened.
    sender: SendRequest<Bytes>,
    /// The first stream id that is not used for another stream.
    last_stream_id: u32,
    /// Told to the owner, once.
    loss: Arc<Loss>,
    /// Set before streams hear of the end.
    closed: OnceLock<Closed>,
    /// No new streams; set before the task is woken. The task closes when no slot is held.
    draining: AtomicBool,
    /// The wish to close at once; set before the task is woken.
    wish: OnceLock<Status>,
    /// The task, once it runs. Held to store and to clone it.
    task: Mutex<Option<Waker>>,
}

/// What a connection is made of.
pub(super) struct Parts {
    pub(super) address: Address,
    pub(super) peer: Peer,
    pub(super) authority: Authority,
    pub(super) scheme: Scheme,
    pub(super) same_headers: SameHeaders,
    pub(super) credentials: Arc<dyn ChannelCredentials>,
    pub(super) max_header_list_size: u32,
    pub(super) last_stream_id: u32,
    pub(super) sender: SendRequest<Bytes>,
    pub(super) facts: Arc<Facts>,
    pub(super) loss: Arc<Loss>,
}

/// A request that is with h2.
pub(super) struct Sent {
    pub(super) id: u32,
    pub(super) response: ResponseFuture,
    pub(super) stream: SendStream<Bytes>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            address: parts.address,
            peer: parts.peer,
            authority: parts.authority,
            scheme: parts.scheme,
            same_headers: parts.same_headers,
            credentials: parts.credentials,
            max_header_list_size: parts.max_header_list_size,
            gate: StreamGate::new(parts.facts.max_concurrent_streams()),
            facts: parts.facts,
            sender: parts.sender,
            last_stream_id: parts.last_stream_id,
            loss: parts.loss,
            closed: OnceLock::new(),
            draining: AtomicBool::new(false),
            wish: OnceLock::new(),
            task: Mutex::default(),
        }
    }

    /// Gives `request` to h2, which opens the stream when the task is polled next.
    pub(super) fn send_request(&self, request: Request<()>) -> Result<Sent, OpenError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(self.not_opened().into());
        }
        let (response, stream) = self
            .sender
            .clone()
            .send_request(request, false)
            .map_err(|error| NotOpened(self.describe(&error)))?;
        let id = stream.stream_id().as_u32();
        if id >= self.last_stream_id {
            self.lose(Lost::Closed(Closed::IdsExhausted));
        }
        Ok(Sent {
            id,
            response,
            stream,
        })
    }

    /// The connection is of no more use for new streams. The first reason is told.
    pub(super) fn lose(&self, lost: Lost) {
        self.loss.tell(lost);
        self.draining.store(true, Ordering::Release);
        self.gate.close();
        self.wake();
    }

    /// Nobody needs it for new streams any more, which one that is about to be closed needs not be told.
    pub(super) fn let_go(&self, why: &'static str) {
        if !self.draining.load(Ordering::Acquire) && self.wish.get().is_none() {
            self.lose(Lost::Closed(Closed::Local(Status::unavailable(why))));
        }
    }

    /// It had better be replaced, before h2 ends it.
    pub(super) fn wear_out(&self) {
        if !self.draining.load(Ordering::Acquire) {
            self.lose(Lost::Closed(Closed::Worn));
        }
    }

    pub(super) fn close(&self, status: Status) {
        let _ = self.wish.set(status);
        self.wake();
    }

    /// The connection is at its end; from here on streams find this reason.
    pub(super) fn set_closed(&self, closed: Closed) {
        self.lose(Lost::Closed(closed.clone()));
        let _ = self.closed.set(closed);
    }

    /// A slot comes back; the last one of a draining connection ends it.
    pub(super) fn leave(&self) {
        if self.gate.leave() == 0 && self.draining.load(Ordering::Acquire) {
            self.wake();
        }
    }

    /// For the task: whether the connection has served its time.
    pub(super) fn is_drained(&self) -> bool {
        self.draining.load(Ordering::Acquire) && self.gate.held() == 0
    }

    /// For the task: who is to be woken from here on. It then looks at all that may be wished.
    pub(super) fn task_is(&self, task: &Waker) {
        *self.task() = Some(task.clone());
    }

    /// For the task: the wish to close at once, if there is one.
    pub(super) fn wish_to_close(&self) -> Option<&Status> {
        self.wish.get()
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.get()
    }

    /// Why it was lost, once it is.
    pub(super) fn lost(&self) -> Option<Lost> {
        self.loss.why().cloned()
    }

    pub(super) fn not_opened(&self) -> NotOpened {
        let why = self
            .lost()
            .map_or_else(String::new, |lost| format!(": {lost}"));
        NotOpened(format!(
            "the connection to {} takes no more streams{why}",
            self.address
        ))
    }

    fn wake(&self) {
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.address)
            .field("gate", &self.gate)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
