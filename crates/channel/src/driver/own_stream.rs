//! Calls that the channel makes itself, on one connection and past the balancer: one request, and answers for as
//! long as there are any. They carry the call credentials of the channel (gRFC A17), and no others.
//!
//! ```text
//!   Begun ─► Message ─► Message ─► … ─► Ended ── at once after a message, else backoff ──► Begun
//!     │                                   └─ UNIMPLEMENTED: for good
//!     └─ the connection takes no more streams: for good
//! ```

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use highball_core::{Backoff, Code, MetadataMap, Status, panic_text};
use highball_transport::client::{Connection, Ended, OpenError, RecvHalf, RequestHead, SendHalf};
use highball_transport::framing;
use http::uri::PathAndQuery;

use crate::call_credentials::{AnyCallCredentials, RequestInfo};

/// A call of a server-streaming method that is made again whenever it ends.
pub(super) struct OwnStream<R> {
    pub(super) connection: Connection,
    /// The channel's.
    pub(super) credentials: Vec<AnyCallCredentials>,
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

/// Why a call is over.
enum Over {
    /// The connection takes no more streams. The subchannel knows.
    Gone,
    /// It was not made, or ended like this.
    Ended(Status),
    /// The server does not know the method.
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
            let call = self.call(|message| {
                heard = true;
                hear(News::Message(message));
            });
            match call.await {
                Over::Gone => return,
                Over::Unimplemented => return hear(News::Unimplemented),
                Over::Ended(status) => hear(News::Ended(status)),
            }
            // After a call that had something to say, the next is made at once.
            failures = if heard { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::time::sleep(Backoff::default().delay(failures - 1, &mut rng)).await;
            }
        }
    }

    /// Makes the call, and hears what the server says until it is over.
    async fn call(&self, hear: impl FnMut(Bytes)) -> Over {
        let metadata = match self.metadata().await {
            Ok(metadata) => metadata,
            Err(status) => return Over::Ended(status),
        };
        let listened = match self.open(metadata).await {
            Ok((_send, mut receive)) => listen(&mut receive, hear).await,
            Err(OpenError::NotOpened(_)) => return Over::Gone,
            Err(OpenError::Failed(status)) => return Over::Ended(status),
        };
        match listened {
            Ok(()) => Over::Ended(Status::ok()),
            Err(ended) if ended.status.code() == Code::Unimplemented => Over::Unimplemented,
            Err(ended) => Over::Ended(ended.status),
        }
    }

    /// What the call credentials add. A panic of theirs is a failure of this call, and the next is made all the same.
    async fn metadata(&self) -> Result<MetadataMap, Status> {
        let mut asked = pin!(self.asked());
        poll_fn(|cx| {
            // Unwind safe: the future is not touched again after a panic, but for being dropped.
            catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(cx))).unwrap_or_else(|payload| {
                let text = panic_text(&*payload);
                let status = Status::internal(format!("call credentials panicked: {text}"));
                Poll::Ready(Err(status))
            })
        })
        .await
    }

    async fn asked(&self) -> Result<MetadataMap, Status> {
        let authority = self.connection.authority().as_str();
        let info = RequestInfo::new(authority, self.path, self.connection.peer());
        let mut metadata = MetadataMap::new();
        for credentials in &self.credentials {
            metadata.merge(credentials.metadata(&info).await?);
        }
        Ok(metadata)
    }

    /// Sends the request. What sends it lives as long as the call.
    async fn open(&self, metadata: MetadataMap) -> Result<(SendHalf, RecvHalf), OpenError> {
        let (request, limit) = (&self.request, framing::DEFAULT_SEND_LIMIT);
        let framed = framing::encode(request.encoded_len(), limit, |buffer| {
            request.encode_raw(buffer);
        });
        let framed = framed.map_err(|error| OpenError::Failed(error.into()))?;
        let slot = self.connection.slot().await?;
        let path = PathAndQuery::from_static(self.path);
        let mut head = RequestHead::new(self.connection.authority().clone(), path);
        head.metadata = metadata;
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
