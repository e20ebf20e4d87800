//! The handle of a connection: asks for slots, opens streams, drains, closes.

use highball_core::{Address, Status};

use super::{RecvHalf, RequestHead, SendHalf};

/// A connection to a server. Cheap to clone; all clones are the same connection.
///
/// When the last clone and the last stream are gone, the connection closes.
#[derive(Clone, Debug)]
pub struct Connection {
    address: Address,
}

/// The right to open one stream. Dropping it gives the right to the next in line.
#[derive(Debug)]
pub struct Slot {}

/// No stream came into being and nothing is on the wire: the call may be tried anywhere else, as often
/// as it likes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotOpened(String);

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

#[expect(clippy::todo, clippy::unused_async, reason = "signatures first")]
impl Connection {
    /// The address it was made to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Who is at the other end, as the network tells.
    pub fn peer(&self) -> &Address {
        todo!()
    }

    /// Waits for the right to open a stream: the server limits how many are open at a time.
    ///
    /// First come, first served. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`NotOpened`] when the connection drains or closes meanwhile.
    pub async fn slot(&self) -> Result<Slot, NotOpened> {
        todo!()
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
        let _ = (slot, head);
        todo!()
    }

    /// No new streams from here on; the connection closes when the last one ends.
    pub fn drain(&self) {
        todo!()
    }

    /// Closes at once: every stream ends with `status`.
    pub fn close(&self, status: Status) {
        let _ = status;
        todo!()
    }
}

impl From<NotOpened> for Status {
    fn from(not_opened: NotOpened) -> Self {
        Self::unavailable(not_opened.to_string()).with_source(not_opened)
    }
}
