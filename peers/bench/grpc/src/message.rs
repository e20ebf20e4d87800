//! The message, as the crate wants to be handed it.

use bench_kit::Echo;
use bytes::{Buf, Bytes};
use grpc::core::{RecvMessage, SendMessage};
use prost::Message;

/// A message to send.
pub(crate) struct Sent(pub(crate) Echo);

/// A message to receive into.
#[derive(Default)]
pub(crate) struct Received(pub(crate) Echo);

impl SendMessage for Sent {
    fn encode(&self) -> Result<Box<dyn Buf + Send + Sync>, String> {
        Ok(Box::new(Bytes::from(self.0.encode_to_vec())))
    }
}

impl RecvMessage for Received {
    fn decode(&mut self, data: &mut dyn Buf) -> Result<(), String> {
        self.0 = Echo::decode(data).map_err(|reason| reason.to_string())?;
        Ok(())
    }
}
