//! One call that is logged: which one it is, how many entries it has, and whether it has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use highball_channel::{Address, AnyMessage, MetadataMap, Peer, Status};

use crate::Shared;
use crate::entry::{Entries, Head, address};
use crate::v1::GrpcLogEntry;
use crate::v1::grpc_log_entry::EventType;

/// A call that is logged. Its request and its response may be logged by two tasks.
#[derive(Debug)]
pub(crate) struct LoggedCall {
    log: Arc<Shared>,
    entries: Entries,
    id: u64,
    /// The number of the next entry.
    sequence: AtomicU64,
    is_over: AtomicBool,
    /// It is in the log where the other end is.
    has_peer: AtomicBool,
}

impl LoggedCall {
    pub(crate) fn new(log: Arc<Shared>, entries: Entries, id: u64) -> Self {
        Self {
            log,
            entries,
            id,
            sequence: AtomicU64::new(1),
            is_over: AtomicBool::new(false),
            has_peer: AtomicBool::new(false),
        }
    }

    /// `peer` is who sent it, if somebody did.
    pub(crate) fn client_header(
        &self,
        head: &Head<'_>,
        metadata: &MetadataMap,
        peer: Option<&Peer>,
    ) {
        self.log_from(peer, self.entries.client_header(head, metadata));
    }

    /// `peer` is who sent it, if somebody did.
    pub(crate) fn server_header(&self, metadata: &MetadataMap, peer: Option<&Peer>) {
        self.log_from(peer, self.entries.server_header(metadata));
    }

    pub(crate) fn client_message(&self, message: &AnyMessage) {
        let entry = self.entries.message(EventType::ClientMessage, message);
        self.log(entry);
    }

    pub(crate) fn server_message(&self, message: &AnyMessage) {
        let entry = self.entries.message(EventType::ServerMessage, message);
        self.log(entry);
    }

    pub(crate) fn half_close(&self) {
        self.log(self.entries.bare(EventType::ClientHalfClose));
    }

    /// The call has ended well with these trailers, or with a status.
    pub(crate) fn trailer(&self, end: Result<&MetadataMap, &Status>) {
        if !self.is_over.swap(true, Ordering::Relaxed) {
            self.log(self.entries.trailer(end));
        }
    }

    /// The call has ended with a status. `server` is who has sent it, if somebody did: it is logged unless it
    /// was before.
    pub(crate) fn trailer_from(&self, server: Option<&Address>, status: &Status) {
        if !self.is_over.swap(true, Ordering::Relaxed) {
            let mut entry = self.entries.trailer(Err(status));
            let server = server.filter(|_| !self.has_peer.load(Ordering::Relaxed));
            entry.peer = server.map(address);
            self.log(entry);
        }
    }

    /// The call was given up, unless it has ended.
    pub(crate) fn cancel(&self) {
        if !self.is_over.swap(true, Ordering::Relaxed) {
            self.log(self.entries.bare(EventType::Cancel));
        }
    }

    fn log_from(&self, peer: Option<&Peer>, mut entry: GrpcLogEntry) {
        entry.peer = peer.map(|peer| address(peer.address()));
        if entry.peer.is_some() {
            self.has_peer.store(true, Ordering::Relaxed);
        }
        self.log(entry);
    }

    fn log(&self, mut entry: GrpcLogEntry) {
        entry.call_id = self.id;
        entry.sequence_id_within_call = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.log.sink.write(entry);
    }
}

/// Whoever waits for the end of a call. Dropped before that, it has given the call up.
#[derive(Debug)]
pub(crate) struct Waiting(pub(crate) Arc<LoggedCall>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
