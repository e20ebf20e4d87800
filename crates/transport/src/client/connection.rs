//! The handle of a connection: asks for slots, opens streams, drains, closes.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use highball_core::{Address, Peer, Status};
use http::uri::Authority;

use super::recv::Accepts;
use super::request::check_size;
use super::shared::{Sent, Shared};
use super::stream::{Held, Open, StreamCell};
use super::{RecvHalf, RequestHead, SendHalf};

/// A connection to a server. Cheap to clone; all clones are the same connection.
///
/// When the last clone and the last stream are gone, the connection closes.
#[derive(Clone)]
pub struct Connection(Arc<Handle>);

/// Lives as long as somebody can open streams.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.let_go("the connection was dropped");
    }
}

/// Closes a connection that others use. Does not keep it open.
#[derive(Clone)]
pub struct Closer(Weak<Shared>);

/// The right to open one stream. Dropping it gives the right to the next in line.
#[derive(Debug)]
pub struct Slot {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

/// No stream came into being and nothing is on the wire: the call may be tried anywhere else, as often
/// as it likes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotOpened(pub(super) String);

/// [`Connection::open`] did not open a stream.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection takes no more streams; another one may.
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
    /// The call itself cannot be sent, on this connection or any other.
    #[error("{0}")]
    Failed(Status),
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Handle { shared }))
    }

    /// The address it was made to.
    pub fn address(&self) -> &Address {
        &self.0.shared.address
    }

    /// Who is at the other end, as the network and the security handshake tell.
    pub fn peer(&self) -> &Peer {
        &self.0.shared.peer
    }

    /// Whom the server was asked for: the `:authority` of calls that have none of their own.
    pub fn authority(&self) -> &Authority {
        &self.0.shared.authority
    }

    /// Whether a call may ask this server for somebody else.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`, saying why not: the server's certificate is for other names, say.
    pub fn check_authority(&self, authority: &Authority) -> Result<(), Status> {
        let shared = &self.0.shared;
        if *authority == shared.authority {
            return Ok(());
        }
        let auth_info = shared.peer.auth_info();
        let checked = shared
            .credentials
            .check_authority(auth_info, authority.as_str());
        checked.map_err(|why| {
            let authority = authority.as_str();
            Status::unavailable(format!("failed to validate authority {authority:?}: {why}"))
        })
    }

    /// How many streams are open or about to be.
    pub fn streams(&self) -> usize {
        self.0.shared.gate.held()
    }

    /// How many streams the server lets be open at a time, by its latest SETTINGS; `None` if it sets no limit.
    pub fn max_streams(&self) -> Option<usize> {
        let limit = self.0.shared.gate.limit();
        Some(limit).filter(|limit| *limit < u32::MAX as usize)
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The right to open a stream, if there is one that nobody waits for: see [`slot`](Self::slot).
    pub fn free_slot(&self) -> Option<Slot> {
        let shared = &self.0.shared;
        shared.gate.try_enter().then(|| Slot {
            shared: Arc::clone(shared),
        })
    }

    /// Waits for the right to open a stream: the server limits how many are open at a time.
    ///
    /// First come, first served. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`NotOpened`] when the connection drains or closes meanwhile.
    pub async fn slot(&self) -> Result<Slot, NotOpened> {
        let shared = &self.0.shared;
        match shared.gate.enter().await {
            Ok(()) => Ok(Slot {
                shared: Arc::clone(shared),
            }),
            Err(_closed) => Err(shared.not_opened()),
        }
    }

    /// Wakes everybody who waits for a slot: those who have found a better place to wait can go there.
    pub fn rouse(&self) {
        self.0.shared.gate.rouse();
    }

    /// Opens a stream.
    ///
    /// Never blocks. To have the headers and the first message leave in one write, call
    /// [`SendHalf::send`] right after it, without an `.await` between.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotOpened`] when the connection drains or is closed; [`OpenError::Failed`] when no time
    /// is left (`DEADLINE_EXCEEDED`) or when the server accepts no headers of that size (`INTERNAL`).
    pub fn open(&self, slot: Slot, head: RequestHead) -> Result<(SendHalf, RecvHalf), OpenError> {
        let shared = &self.0.shared;
        let accepts = Accepts::of(&head);
        let sent = self.start(&slot, head)?;
        let open = Open::new(sent.stream, slot);
        let cell = Arc::new(StreamCell::new(Arc::clone(shared), sent.id, open));
        let held = Held::WithSender(Arc::clone(&cell));
        Ok((
            SendHalf::new(cell),
            RecvHalf::new(held, sent.response, accepts),
        ))
    }

    /// Opens a stream for a request of a single message, and sends it: headers and message leave in one write.
    ///
    /// Never blocks. A message that would have to wait for flow control stays where it is, to be sent with
    /// the half that is returned for it. Such are those of more than 16 KiB.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); the message is still there.
    pub fn open_with(
        &self,
        slot: Slot,
        head: RequestHead,
        framed: &mut Bytes,
    ) -> Result<(Option<SendHalf>, RecvHalf), OpenError> {
        let accepts = Accepts::of(&head);
        let sent = self.start(&slot, head)?;
        let shared = Arc::clone(&self.0.shared);
        let mut open = Open::new(sent.stream, slot);
        let (send, held) = if open.send_whole(framed, &shared) {
            let (id, open) = (sent.id, Some(open));
            (None, Held::Alone { shared, id, open })
        } else {
            let cell = Arc::new(StreamCell::new(shared, sent.id, open));
            let send = SendHalf::new(Arc::clone(&cell));
            (Some(send), Held::WithSender(cell))
        };
        Ok((send, RecvHalf::new(held, sent.response, accepts)))
    }

    fn start(&self, slot: &Slot, head: RequestHead) -> Result<Sent, OpenError> {
        let shared = &self.0.shared;
        debug_assert!(
            Arc::ptr_eq(shared, &slot.shared),
            "a slot is good for the connection it came from"
        );
        head.check_time()?;
        let has_metadata = !head.metadata.is_empty();
        let request = head.into_request(shared);
        check_size(&request, has_metadata, shared)?;
        shared.send_request(request)
    }

    /// No new streams from here on; the connection closes when the last one ends.
    pub fn drain(&self) {
        self.0.shared.let_go("the connection is draining");
    }

    /// Closes at once: every stream ends with `status`.
    ///
    /// Says GOAWAY to the server, in at most a second.
    pub fn close(&self, status: Status) {
        self.0.shared.close(status);
    }

    /// The means to close the connection later, for someone who is not to keep it open.
    pub fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.0.shared))
    }
}

impl Closer {
    /// Like [`Connection::close`]. Does nothing if the connection is gone.
    pub fn close(&self, status: Status) {
        if let Some(shared) = self.0.upgrade() {
            shared.close(status);
        }
    }

    /// Whether it closes this connection.
    pub fn closes(&self, connection: &Connection) -> bool {
        Weak::as_ptr(&self.0) == Arc::as_ptr(&connection.0.shared)
    }

    /// Whether the connection and all its streams are gone.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", self.address())
            .field("streams", &self.streams())
            .finish()
    }
}

impl From<NotOpened> for Status {
    fn from(not_opened: NotOpened) -> Self {
        Self::unavailable(not_opened.to_string()).with_source(not_opened)
    }
}

impl From<OpenError> for Status {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotOpened(not_opened) => not_opened.into(),
            OpenError::Failed(status) => status,
        }
    }
}
