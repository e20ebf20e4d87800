//! What a handler gives, on its way to the client.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_core::Stream;
use highball_core::{MetadataMap, Response, Status};
use highball_transport::framing::{self, FramingError};
use prost::Message;

use crate::ResponseStream;
use crate::call::{Attendant, Halt, Reply};

/// How much is gathered of messages that are ready at the same time: they travel in one DATA frame.
const BATCH: usize = 32 * 1024;

/// The answer of one message.
pub(crate) struct Single<T>(pub(crate) Response<T>);

impl<T: Message + 'static> Reply for Single<T> {
    async fn send(self, attendant: &mut Attendant<'_>) -> Result<MetadataMap, Halt> {
        let (message, metadata, trailers) = self.0.into_parts();
        let limit = attendant.limits().send;
        let mut framed = BytesMut::new();
        encode_into(&mut framed, &message, limit).map_err(Status::from)?;
        drop(message);
        attendant.start(metadata);
        attendant.send(framed.freeze()).await?;
        Ok(trailers)
    }
}

/// The headers leave with the first message, or alone if the stream has none ready at first: a client may
/// wait for them before it goes on. A stream that ends at once without metadata is answered by trailers
/// alone.
impl<T: Message + 'static> Reply for Response<ResponseStream<T>> {
    async fn send(self, attendant: &mut Attendant<'_>) -> Result<MetadataMap, Halt> {
        let (mut stream, metadata, mut trailers) = self.into_parts();
        let limit = attendant.limits().send;
        if !metadata.is_empty() {
            attendant.start(metadata);
        }
        loop {
            let waits_for_headers = !attendant.is_started();
            let gathering = poll_fn(|cx| gather(stream.as_mut(), limit, waits_for_headers, cx));
            let Batch { framed, end } = attendant.attend(pin!(gathering)).await?;
            if framed.is_empty() && end.is_none() {
                attendant.start(MetadataMap::new());
            } else if !framed.is_empty() {
                attendant.send(framed.freeze()).await?;
            }
            match end {
                None => {}
                Some(End::Done) => return Ok(trailers),
                // How a stream hands over trailing metadata that it knows only at its end.
                Some(End::Status(mut status)) if status.code() == highball_core::Code::Ok => {
                    trailers.merge(std::mem::take(status.metadata_mut()));
                    return Ok(trailers);
                }
                Some(End::Status(status)) => return Err(Halt::Status(status)),
            }
        }
    }
}

/// What a stream had ready.
struct Batch {
    framed: BytesMut,
    end: Option<End>,
}

enum End {
    Done,
    Status(Status),
}

/// Takes what is ready, up to [`BATCH`] bytes. With `or_nothing` it is ready with nothing if nothing is.
fn gather<T: Message>(
    mut stream: Pin<&mut (dyn Stream<Item = Result<T, Status>> + Send)>,
    limit: usize,
    or_nothing: bool,
    cx: &mut Context<'_>,
) -> Poll<Batch> {
    let mut framed = BytesMut::new();
    let end = loop {
        match stream.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => {
                if let Err(error) = encode_into(&mut framed, &message, limit) {
                    break Some(End::Status(error.into()));
                }
                if framed.len() >= BATCH {
                    break None;
                }
            }
            Poll::Ready(Some(Err(status))) => break Some(End::Status(status)),
            Poll::Ready(None) => break Some(End::Done),
            Poll::Pending if framed.is_empty() && !or_nothing => return Poll::Pending,
            Poll::Pending => break None,
        }
    };
    Poll::Ready(Batch { framed, end })
}

fn encode_into<T: Message>(
    buffer: &mut BytesMut,
    message: &T,
    limit: usize,
) -> Result<(), FramingError> {
    framing::encode_into(buffer, message.encoded_len(), limit, |buffer| {
        message
            .encode(buffer)
            .expect("a buffer that grows has room");
    })
}
