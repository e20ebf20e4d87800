//! What an application hands to a channel: a message (or a stream of them) and how to send it.

use std::time::Duration;

use highball_core::{InvalidMetadata, MetadataMap};

use highball_transport::{Compression, CompressionSwitch, Compressions};

use super::observed::Observers;
use super::{AttemptEvent, AttemptInfo};
use crate::call_credentials::{AnyCallCredentials, CallCredentials};

/// What holds for one call, where it differs from its method's config and the channel's defaults.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// The longest the call may take, from its start to its status, waiting included. The method
    /// config's time-out holds as well if it is shorter. Without either, a call waits for ever.
    pub timeout: Option<Duration>,
    /// Whether the call waits for a connection rather than fail while there is none. Overrides the
    /// method config; without either, it fails.
    pub wait_for_ready: Option<bool>,
    /// The `:authority` of the call, instead of its server's or the channel's.
    pub authority: Option<String>,
    /// The largest request message, in bytes. The smaller of this and the method config's holds.
    pub max_request_bytes: Option<usize>,
    /// The largest response message, in bytes; 4 MiB if neither this nor the method config says.
    pub max_response_bytes: Option<usize>,
    /// What the request's messages are compressed by, those that become shorter; what the channel says if this
    /// does not. A server that does not know it answers UNIMPLEMENTED, and says what it knows.
    pub compression: Option<Compression>,
    /// Decides for single messages of a streamed request whether they are compressed.
    pub compression_switch: Option<CompressionSwitch>,
    /// What the response may be compressed by; all that this build knows if this does not say.
    pub accept_compressions: Option<Compressions>,
    /// How many bytes of a streamed request are kept for another attempt; 256 KiB if this does not say.
    /// A call that has streamed more is not retried, and if its attempts race, the one that was sent most is
    /// the call from there on. The message of a unary call is the caller's, and is
    /// kept anyway.
    pub max_replay_bytes: Option<usize>,
    /// Set by [`Request::with_credentials`].
    pub(crate) credentials: Option<AnyCallCredentials>,
    /// Set by [`Request::observe_attempts`].
    pub(super) observers: Observers,
}

/// A request: a message, or a stream of messages, with metadata and options.
///
/// ```
/// use std::time::Duration;
/// use highball_channel::Request;
///
/// let request = Request::new("hello")
///     .with_timeout(Duration::from_secs(1))
///     .with_wait_for_ready(true)
///     .with_metadata("trace-id", "7")?;
/// # Ok::<(), highball_channel::InvalidMetadata>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request<T> {
    message: T,
    metadata: MetadataMap,
    options: CallOptions,
}

impl<T> Request<T> {
    /// A request without metadata, with the options of the method and the channel.
    pub fn new(message: T) -> Self {
        Self {
            message,
            metadata: MetadataMap::new(),
            options: CallOptions::default(),
        }
    }

    /// Sets how long the call may take: see [`CallOptions::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets whether the call waits for a connection: see [`CallOptions::wait_for_ready`].
    #[must_use]
    pub fn with_wait_for_ready(mut self, wait: bool) -> Self {
        self.options.wait_for_ready = Some(wait);
        self
    }

    /// Compresses the request: see [`CallOptions::compression`].
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.options.compression = Some(compression);
        self
    }

    /// Gives the call credentials, beside those of its channel.
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl CallCredentials) -> Self {
        self.options.credentials = Some(AnyCallCredentials::new(credentials));
        self
    }

    /// Watches the attempts at the call, all of them: retries, transparent ones, and those that race. `observer` is
    /// called as each begins, and what it returns with each [event](AttemptEvent) in the life of that attempt.
    ///
    /// For an application, or for an [interceptor](crate::ClientInterceptor), which sees no attempts otherwise.
    /// Several may watch, each of them all attempts; clones of the request are watched, too. They are called where
    /// the attempt is being made, which may be a task of the channel's own, and must not block. What becomes of a
    /// streaming call is found out when the application reads. Who panics hears of nothing more.
    ///
    /// ```
    /// use highball_channel::{AttemptEvent, Method, Request, Status};
    ///
    /// /// An interceptor that tells what goes wrong below it.
    /// fn watch(method: &Method, request: &mut Request<()>) -> Result<(), Status> {
    ///     let path = method.path();
    ///     request.observe_attempts(move |attempt| {
    ///         let number = attempt.previous_attempts + 1;
    ///         let mut server = None;
    ///         move |event| match event {
    ///             AttemptEvent::Picked(peer) => server = Some(peer),
    ///             AttemptEvent::Ended(end) => {
    ///                 if let Err(status) = end.outcome {
    ///                     println!("{path}: attempt {number} failed at {server:?}: {status}");
    ///                 }
    ///             }
    ///             _ => (),
    ///         }
    ///     });
    ///     Ok(())
    /// }
    /// ```
    pub fn observe_attempts<L>(
        &mut self,
        observer: impl Fn(AttemptInfo) -> L + Send + Sync + 'static,
    ) where
        L: FnMut(AttemptEvent) + Send + 'static,
    {
        self.options.observers.add(observer);
    }

    /// Adds one value of metadata. Refuses what [`MetadataMap::append`] refuses.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Result<Self, InvalidMetadata> {
        self.metadata.append(key, value)?;
        Ok(self)
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The metadata.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// The metadata, to add to.
    pub fn metadata_mut(&mut self) -> &mut MetadataMap {
        &mut self.metadata
    }

    /// The options.
    pub fn options(&self) -> &CallOptions {
        &self.options
    }

    /// The options, to change.
    pub fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.options
    }

    /// The same request with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Request<U> {
        Request {
            message: f(self.message),
            metadata: self.metadata,
            options: self.options,
        }
    }

    /// The message, and the request without it.
    pub fn split(self) -> (T, Request<()>) {
        let head = Request {
            message: (),
            metadata: self.metadata,
            options: self.options,
        };
        (self.message, head)
    }

    pub(crate) fn into_parts(self) -> (T, MetadataMap, CallOptions) {
        (self.message, self.metadata, self.options)
    }
}

impl<T> From<T> for Request<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
