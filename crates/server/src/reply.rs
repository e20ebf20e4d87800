//! What a handler gives, on its way to the client.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_core::Stream;
use highball_core::{Code, MetadataMap, Response, Status};
use highball_transport::Compression;
use highball_transport::framing::{self, Batch, FramingError};
use prost::Message;

use crate::ResponseStream;
use crate::call::{Attendant, CallContext, Halt, Reply};

/// The answer of one message.
pub(crate) struct Single<T>(pub(crate) Response<T>);

impl<T: Message + 'static> Reply for Single<T> {
    async fn send(self, attendant: &mut Attendant<'_>) -> Result<MetadataMap, Halt> {
        let (message, metadata, trailers) = self.0.into_parts();
        let limit = attendant.send_limit();
        let compression = attendant.settle_compression();
        let mut framed = BytesMut::new();
        encode_into(&mut framed, &message, compression, limit).map_err(Status::from)?;
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
        let framer = Framer::settle(attendant);
        if !metadata.is_empty() {
            attendant.start(metadata);
        }
        loop {
            let waits_for_headers = !attendant.is_started();
            let gathering = poll_fn(|cx| framer.gather(stream.as_mut(), waits_for_headers, cx));
            let Some(Batch { framed, end }) = attendant.attend(pin!(gathering)).await? else {
                attendant.start(MetadataMap::new());
                continue;
            };
            if !framed.is_empty() {
                attendant.send(framed).await?;
            }
            match end {
                None => {}
                Some(Ok(())) => return Ok(trailers),
                // How a stream hands over trailing metadata that it knows only at its end.
                Some(Err(mut status)) if status.code() == Code::Ok => {
                    trailers.merge(std::mem::take(status.metadata_mut()));
                    return Ok(trailers);
                }
                Some(Err(status)) => return Err(Halt::Status(status)),
            }
        }
    }
}

/// Frames the messages of a stream.
struct Framer {
    /// What the reply is compressed by, if it is, and who decides about single messages.
    compression: Option<(Compression, Arc<CallContext>)>,
    /// The largest message that is sent.
    limit: usize,
}

impl Framer {
    fn settle(attendant: &mut Attendant<'_>) -> Self {
        let compression = Some(attendant.settle_compression());
        let compression = compression.filter(|kind| *kind != Compression::Identity);
        Self {
            compression: compression.map(|kind| (kind, Arc::clone(attendant.context()))),
            limit: attendant.send_limit(),
        }
    }

    /// Takes what is ready. With `or_nothing` it is ready with nothing if nothing is.
    fn gather<T: Message>(
        &self,
        stream: Pin<&mut (dyn Stream<Item = Result<T, Status>> + Send)>,
        or_nothing: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Batch<Status>>> {
        let batch = Batch::poll(stream, cx, |message, buffer| {
            let compression = self.compression_of_next_message();
            Ok(encode_into(buffer, &message?, compression, self.limit)?)
        });
        match batch {
            Poll::Pending if or_nothing => Poll::Ready(None),
            batch => batch.map(Some),
        }
    }

    fn compression_of_next_message(&self) -> Compression {
        match &self.compression {
            Some((kind, context)) => context.compression.of_next_message(*kind),
            None => Compression::Identity,
        }
    }
}

fn encode_into<T: Message>(
    buffer: &mut BytesMut,
    message: &T,
    compression: Compression,
    limit: usize,
) -> Result<(), FramingError> {
    let size = message.encoded_len();
    framing::compress_into(buffer, compression, size, limit, |buffer| {
        message
            .encode(buffer)
            .expect("a buffer that grows has room");
    })
}
