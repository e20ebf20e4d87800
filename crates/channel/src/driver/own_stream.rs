//! Calls that the channel makes itself, on one connection and past the balancer: one request, and answers for as
//! long as there are any.
//!
//! ```text
//!   Begun ─► Message ─► Message ─► … ─► Ended ── at once after a message, else backoff ──► Begun
//!     │                                   └─ UNIMPLEMENTED: for good
//!     └─ the connection takes no more streams: for good
//! ```

use bytes::Bytes;
use highball_core::{Backoff, Code, Status};
use highball_transport::client::{Connection, Ended, OpenError, RecvHalf, RequestHead, SendHalf};
use highball_transport::framing;
use http::uri::PathAndQuery;

/// A call of a server-streaming method that is made again whenever it ends.
pub(super) struct OwnStream<R> {
    pub(super) connection: Connection,
    /// `/package.Service/Method`.
    pub(super) path: &'static str,
    pub(super) request: R,
}

/// What is heard of it.
#[derive(Debug)]
pub(super) enum News {
    /// The call is about to be made, again perhaps.
    Begun,
    /// The server says this.
    Message(Bytes),
    /// The call has ended like this, which may be well. Another follows.
    Ended(Status),
    /// The server does not know the method. Nothing follows.
    Unimplemented,
}

impl<R: prost::Message> OwnStream<R> {
    /// Listens until the connection takes no more streams, or the server turns out not to know the method.
    pub(super) async fn run(self, mut hear: impl FnMut(News)) {
        let mut rng = fastrand::Rng::new();
        let mut failures = 0;
        loop {
            hear(News::Begun);
            let mut heard = false;
            let status = match self.open().await {
                // The subchannel knows.
                Err(OpenError::NotOpened(_)) => return,
                Err(OpenError::Failed(status)) => status,
                Ok((_send, mut receive)) => {
                    let listening = listen(&mut receive, |message| {
                        heard = true;
                        hear(News::Message(message));
                    });
                    match listening.await {
                        Ok(()) => Status::ok(),
                        Err(ended) => ended.status,
                    }
                }
            };
            if status.code() == Code::Unimplemented {
                return hear(News::Unimplemented);
            }
            hear(News::Ended(status));
            // After a call that had something to say, the next is made at once.
            failures = if heard { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::time::sleep(Backoff::default().delay(failures - 1, &mut rng)).await;
            }
        }
    }

    /// Makes the call. What sends the request lives as long as the call.
    async fn open(&self) -> Result<(SendHalf, RecvHalf), OpenError> {
        let (request, limit) = (&self.request, framing::DEFAULT_SEND_LIMIT);
        let framed = framing::encode(request.encoded_len(), limit, |buffer| {
            request.encode_raw(buffer);
        });
        let framed = framed.map_err(|error| OpenError::Failed(error.into()))?;
        let slot = self.connection.slot().await?;
        let path = PathAndQuery::from_static(self.path);
        let head = RequestHead::new(self.connection.authority().clone(), path);
        let (mut send, receive) = self.connection.open(slot, head)?;
        // Should sending fail, the receiving half knows why.
        let _ = send.send(framed, true).await;
        Ok((send, receive))
    }
}

async fn listen(receive: &mut RecvHalf, mut hear: impl FnMut(Bytes)) -> Result<(), Ended> {
    receive.headers().await?;
    while let Some(message) = receive.message().await? {
        hear(message);
    }
    Ok(())
}
