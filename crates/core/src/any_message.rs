//! Messages of types that only the two ends of a call know: what interceptors, logs and relays handle.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, skip_field};
use prost::{DecodeError, Message};

/// A message whose type is found out when it is asked for. Cheap to clone.
///
/// It cannot be changed, only replaced by another. One that came over a connection keeps the bytes it came in,
/// so what passes it on loses nothing, not even fields that its type does not have.
///
/// ```
/// use highball_core::AnyMessage;
///
/// // Messages are protobuf; `u32` is prost's name for `google.protobuf.UInt32Value`.
/// let message = AnyMessage::new(7_u32);
/// assert_eq!(message.downcast_ref::<u32>(), Some(&7));
/// assert_eq!(message.downcast_ref::<String>(), None);
/// assert_eq!(message.take::<u32>()?, 7);
/// # Ok::<(), highball_core::WrongMessage>(())
/// ```
///
/// It can be sent like the message it is, being a [`prost::Message`] itself. It cannot be decoded that way:
/// what is merged into it is skipped, and clearing it changes nothing.
#[derive(Clone)]
pub struct AnyMessage {
    message: Arc<dyn Erased>,
    /// What it came in.
    wire: Option<Bytes>,
}

/// A message is of another type than was asked for, or cannot be copied.
#[derive(Debug, thiserror::Error)]
#[error("a message of type {is} stands where {wanted} is wanted{why}")]
pub struct WrongMessage {
    is: &'static str,
    wanted: &'static str,
    why: String,
}

impl AnyMessage {
    /// This message.
    pub fn new<M: Message + 'static>(message: M) -> Self {
        Self {
            message: Arc::new(message),
            wire: None,
        }
    }

    /// The message of type `M` that was sent as `payload`, which is kept.
    ///
    /// # Errors
    ///
    /// If the bytes are no such message.
    pub fn decode<M: Message + Default + 'static>(payload: Bytes) -> Result<Self, DecodeError> {
        let message = M::decode(payload.clone())?;
        Ok(Self {
            message: Arc::new(message),
            wire: Some(payload),
        })
    }

    /// The message, if it is of this type.
    pub fn downcast_ref<M: Message + 'static>(&self) -> Option<&M> {
        self.message.as_any().downcast_ref()
    }

    /// The message itself. Where others hold it as well, it is copied: encoded and decoded.
    ///
    /// # Errors
    ///
    /// If it is of another type.
    pub fn take<M: Message + Default + 'static>(self) -> Result<M, WrongMessage> {
        let wrong = WrongMessage {
            is: self.message.type_name(),
            wanted: type_name::<M>(),
            why: String::new(),
        };
        let payload =
            |wire: Option<Bytes>, shared: &M| wire.unwrap_or_else(|| shared.encode_to_vec().into());
        let Ok(message) = self.message.into_any().downcast::<M>() else {
            return Err(wrong);
        };
        match Arc::try_unwrap(message) {
            Ok(message) => Ok(message),
            Err(shared) => M::decode(payload(self.wire, &shared)).map_err(|error| WrongMessage {
                why: format!(", and cannot be copied: {error}"),
                ..wrong
            }),
        }
    }

    /// The message as it is sent, uncompressed: the bytes it came in, if it came over a connection.
    pub fn payload(&self) -> Bytes {
        match &self.wire {
            Some(wire) => wire.clone(),
            None => self.encode_to_vec().into(),
        }
    }

    /// The name of its type, as Rust has it.
    pub fn type_name(&self) -> &'static str {
        self.message.type_name()
    }
}

impl Message for AnyMessage {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        match &self.wire {
            Some(wire) => buffer.put_slice(wire),
            None => self.message.encode_into(buffer),
        }
    }

    fn encoded_len(&self) -> usize {
        match &self.wire {
            Some(wire) => wire.len(),
            None => self.message.size(),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn clear(&mut self) {}
}

impl fmt::Debug for AnyMessage {
    /// Shows type and size: a type of messages need not be one that can be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.type_name(), self.encoded_len())
    }
}

/// What a message is behind a pointer.
trait Erased: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn type_name(&self) -> &'static str;
    fn size(&self) -> usize;
    fn encode_into(&self, buffer: &mut dyn BufMut);
}

impl<M: Message + 'static> Erased for M {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn type_name(&self) -> &'static str {
        type_name::<M>()
    }

    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn encode_into(&self, mut buffer: &mut dyn BufMut) {
        self.encode_raw(&mut buffer);
    }
}

/// A message that is not looked into: the bytes it is sent as, uncompressed. For relays, and for clients that
/// have no types for what they send.
///
/// ```
/// use highball_core::Payload;
/// use prost::Message as _;
///
/// let payload = Payload::decode(&b"any bytes"[..])?;
/// assert_eq!(payload.encode_to_vec(), b"any bytes");
/// # Ok::<(), prost::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl Message for Payload {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn decode(mut buffer: impl Buf) -> Result<Self, DecodeError> {
        Ok(Self(buffer.copy_to_bytes(buffer.remaining())))
    }

    fn merge(&mut self, buffer: impl Buf) -> Result<(), DecodeError> {
        *self = Self::decode(buffer)?;
        Ok(())
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an older end of a call knows of a message with two fields.
    #[derive(Clone, PartialEq, Message)]
    struct Old {
        #[prost(string, tag = "1")]
        name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct New {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(uint32, tag = "2")]
        age: u32,
    }

    #[test]
    fn a_message_that_is_passed_on_keeps_the_fields_that_its_type_does_not_have() {
        let sent = New {
            name: "Mallard".into(),
            age: 88,
        };
        let received = AnyMessage::decode::<Old>(sent.encode_to_vec().into()).unwrap();
        assert_eq!(received.downcast_ref::<Old>().unwrap().name, "Mallard");
        assert_eq!(New::decode(received.payload()).unwrap(), sent);
        assert_eq!(New::decode(&*received.encode_to_vec()).unwrap(), sent);
        assert_eq!(received.encoded_len(), sent.encoded_len());
    }

    #[test]
    fn a_message_that_is_held_by_others_is_copied() {
        let message = AnyMessage::new(String::from("x"));
        let kept = message.clone();
        assert_eq!(message.take::<String>().unwrap(), "x");
        assert_eq!(kept.take::<String>().unwrap(), "x");
    }

    #[test]
    fn a_message_of_another_type_is_named() {
        let text = AnyMessage::new(7_u32)
            .take::<String>()
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "a message of type u32 stands where alloc::string::String is wanted"
        );
    }

    #[test]
    fn a_message_is_shown_by_type_and_size() {
        assert_eq!(format!("{:?}", AnyMessage::new(7_u32)), "u32 (2 bytes)");
    }
}
