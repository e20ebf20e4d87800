//! Compression of single messages of a stream: on, off, on again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Decides for each message of a stream whether it is compressed, where the stream as a whole is. It is on at
/// first; clones are the same switch.
///
/// A message is framed right after the stream of messages has given it. So whoever makes the messages sets the
/// switch as it gives one, in `map` for instance:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::{StreamExt as _, stream};
/// use highball_transport::CompressionSwitch;
///
/// let switch = CompressionSwitch::new();
/// let pictures_are_small_already = {
///     let switch = switch.clone();
///     stream::iter([("text", true), ("picture", false)]).map(move |(message, compress)| {
///         switch.set(compress);
///         message
///     })
/// };
/// # let _: Vec<_> = pictures_are_small_already.collect().await;
/// # assert!(!switch.is_on());
/// # }
/// ```
///
/// What stands between, and takes messages from the stream ahead of time (`buffered`, `peekable`), takes them
/// ahead of the switch as well.
#[derive(Clone)]
pub struct CompressionSwitch(Arc<AtomicBool>);

impl CompressionSwitch {
    /// A switch that is on.
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Sets whether messages are compressed from here on.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Release);
    }

    /// Whether they are.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for CompressionSwitch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CompressionSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompressionSwitch({})", self.is_on())
    }
}
