//! A reply with the metadata around it.

use crate::{MetadataMap, Peer};

/// A reply: the message (or the stream of messages), the headers before it and the trailers after it.
///
/// The trailers of a stream are known only at its end; they are found on the stream, not here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<T> {
    message: T,
    metadata: MetadataMap,
    trailers: MetadataMap,
    peer: Option<Peer>,
}

impl<T> Response<T> {
    /// A reply without metadata.
    pub fn new(message: T) -> Self {
        Self {
            message,
            metadata: MetadataMap::new(),
            trailers: MetadataMap::new(),
            peer: None,
        }
    }

    /// Replaces the initial metadata: what travels before the message.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        self.metadata = metadata;
        self
    }

    /// Replaces the trailing metadata: what travels after the message.
    #[must_use]
    pub fn with_trailers(mut self, trailers: MetadataMap) -> Self {
        self.trailers = trailers;
        self
    }

    /// Sets who sent it.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The initial metadata.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// The trailing metadata.
    pub fn trailers(&self) -> &MetadataMap {
        &self.trailers
    }

    /// The trailing metadata, to add to.
    pub fn trailers_mut(&mut self) -> &mut MetadataMap {
        &mut self.trailers
    }

    /// The server that a client's call was answered by: its address, and what the security handshake with
    /// it has shown. `None` where a reply came over no connection.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message, the initial and the trailing metadata.
    pub fn into_parts(self) -> (T, MetadataMap, MetadataMap) {
        (self.message, self.metadata, self.trailers)
    }

    /// The same reply around another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Response<U> {
        Response {
            message: f(self.message),
            metadata: self.metadata,
            trailers: self.trailers,
            peer: self.peer,
        }
    }

    /// The same reply around another message, if there is one.
    ///
    /// # Errors
    ///
    /// Those of `f`.
    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Response<U>, E> {
        Ok(Response {
            message: f(self.message)?,
            metadata: self.metadata,
            trailers: self.trailers,
            peer: self.peer,
        })
    }
}
