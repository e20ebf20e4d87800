//! A message is a byte of flags, four of length, then the payload.

use bench_kit::{Echo, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use prost::Message;

const PREFIX: usize = 5;

/// Ready messages share a DATA frame up to this size.
const PACKED: usize = 32 * 1024;

/// Appends a message to a buffer.
pub(crate) fn put(message: &Echo, buffer: &mut BytesMut) -> Result<()> {
    let length = message.encoded_len();
    buffer.reserve(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(length)?);
    Ok(message.encode(buffer)?)
}

/// One message, framed.
pub(crate) fn frame(message: &Echo) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    put(message, &mut buffer)?;
    Ok(buffer.freeze())
}

/// Sends messages that are all ready at once, packed, within the windows.
pub(crate) async fn send_packed(
    messages: impl Iterator<Item = Echo>,
    stream: &mut SendStream<Bytes>,
) -> Result<()> {
    let mut buffer = BytesMut::new();
    for message in messages {
        put(&message, &mut buffer)?;
        if buffer.len() >= PACKED {
            send(buffer.split().freeze(), stream).await?;
        }
    }
    send(buffer.freeze(), stream).await
}

/// Sends bytes as the windows allow.
async fn send(mut bytes: Bytes, stream: &mut SendStream<Bytes>) -> Result<()> {
    while bytes.has_remaining() {
        stream.reserve_capacity(bytes.len());
        let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let capacity = capacity.ok_or("the stream is closed")??;
        stream.send_data(bytes.split_to(capacity.min(bytes.len())), false)?;
    }
    Ok(())
}

/// Cuts a stream of DATA into messages.
pub(crate) struct Messages {
    stream: RecvStream,
    buffer: BytesMut,
}

impl Messages {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next message; `None` at the end of the DATA.
    pub(crate) async fn next(&mut self) -> Result<Option<Echo>> {
        loop {
            if let Some(payload) = self.take() {
                return Ok(Some(Echo::decode(payload)?));
            }
            let Some(chunk) = self.stream.data().await else {
                return Ok(None);
            };
            let chunk = chunk?;
            self.stream.flow_control().release_capacity(chunk.len())?;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The stream, for its trailers.
    pub(crate) fn stream(&mut self) -> &mut RecvStream {
        &mut self.stream
    }

    fn take(&mut self) -> Option<BytesMut> {
        let length = self.buffer.get(1..PREFIX)?.get_u32() as usize;
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        self.buffer.advance(PREFIX);
        Some(self.buffer.split_to(length))
    }
}
