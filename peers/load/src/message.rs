//! The one message of all methods.

use highball_channel::Method;

/// One message there, one back.
pub(crate) static UNARY: Method = Method::new("/load.Load/Unary");
/// One message there, as many back as it asks for.
pub(crate) static STREAM: Method = Method::new("/load.Load/Stream");
/// Each message comes back at once.
pub(crate) static CHAT: Method = Method::new("/load.Load/Chat");

/// What is asked of a server, and comes back.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Work {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) payload: Vec<u8>,
    /// How long the handler sleeps first.
    #[prost(uint32, tag = "2")]
    pub(crate) sleep_ms: u32,
    /// How many replies a stream has.
    #[prost(uint32, tag = "3")]
    pub(crate) replies: u32,
    /// The message's place among those that come back.
    #[prost(uint32, tag = "4")]
    pub(crate) number: u32,
}

impl Work {
    /// A message of so many bytes, answered at once.
    pub(crate) fn of(bytes: usize) -> Self {
        Self {
            payload: vec![b'x'; bytes],
            ..Self::default()
        }
    }
}
