//! The two types of `google.protobuf` that details are made of.

use std::time::Duration;

use prost::{DecodeError, Message, Name};

/// A message of any type, encoded, and the name of its type.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// The name, behind a slash: `type.googleapis.com/google.rpc.ErrorInfo`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.protobuf.Duration`: time as protobuf counts it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct ProtoDuration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds on top, with the sign of the seconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<Duration> for ProtoDuration {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(i32::MAX),
        }
    }
}

impl ProtoDuration {
    /// The time in Rust's terms; `None` if it is less than nothing, or if its parts of seconds are seconds.
    pub fn to_std(self) -> Option<Duration> {
        let nanos = u32::try_from(self.nanos).ok();
        let nanos = nanos.filter(|nanos| *nanos < 1_000_000_000)?;
        Some(Duration::new(u64::try_from(self.seconds).ok()?, nanos))
    }
}

impl Any {
    /// Encodes a message.
    pub fn pack<T: Message + Name>(message: &T) -> Self {
        Self {
            type_url: format!("type.googleapis.com/{}", T::full_name()),
            value: message.encode_to_vec(),
        }
    }

    /// The message, if it is one of this type; `None` if it is of another.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it says that it is of this type and is not.
    pub fn unpack<T: Message + Name + Default>(&self) -> Result<Option<T>, DecodeError> {
        if self.type_name() != T::full_name() {
            return Ok(None);
        }
        T::decode(&self.value[..]).map(Some)
    }

    /// The name of the type, without what is in front of the last slash.
    pub fn type_name(&self) -> &str {
        let url = self.type_url.as_str();
        url.rsplit_once('/').map_or(url, |(_, name)| name)
    }
}
