//! The one message that every stack sends, and streams of it.

use std::sync::Arc;

use futures::Stream;

use crate::Meter;

/// The request and the reply of every method of `bench.Echo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Echo {
    /// Comes back as it is.
    #[prost(bytes = "vec", tag = "1")]
    pub payload: Vec<u8>,
    /// How many replies a server stream has.
    #[prost(uint32, tag = "2")]
    pub replies: u32,
}

/// What a client stream sends: `message`, `count` times, each counted when the stack takes it.
pub fn requests(
    message: Echo,
    count: u32,
    meter: &Arc<Meter>,
) -> impl Stream<Item = Echo> + Send + Unpin + 'static {
    let meter = Arc::clone(meter);
    futures::stream::iter((0..count).map(move |_| {
        meter.message();
        message.clone()
    }))
}
