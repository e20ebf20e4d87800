//! How the request of a call came, and what its reply is compressed by.
//!
//! | the first that says | it is compressed by |
//! |---|---|
//! | the handler, by [`Request::compress_reply`](crate::Request::compress_reply) | that |
//! | the service, by [`ServerBuilder::compression`](crate::ServerBuilder::compression) | that |
//! | otherwise | what the request was |
//!
//! A client that does not read it gets the reply as it is. One that does not say at all what it reads is taken
//! to read what it writes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use highball_core::Status;
use highball_transport::server::CallHead;
use highball_transport::{Compression, CompressionSwitch};

/// What there is to know about it, and what the handler of a call has to say.
#[derive(Debug, Default)]
pub(crate) struct CallCompression {
    /// The newest message of the request came compressed.
    is_of_request: AtomicBool,
    chosen: OnceLock<Compression>,
    /// Made for the first that asks.
    switch: OnceLock<CompressionSwitch>,
    /// The reply has begun.
    is_settled: AtomicBool,
}

impl CallCompression {
    /// A message of the request came.
    pub(crate) fn came(&self, is_compressed: bool) {
        self.is_of_request.store(is_compressed, Ordering::Relaxed);
    }

    /// Whether the newest message of the request came compressed.
    pub(crate) fn is_of_request(&self) -> bool {
        self.is_of_request.load(Ordering::Relaxed)
    }

    /// The handler's choice.
    pub(crate) fn choose(&self, compression: Compression) -> Result<(), Status> {
        if self.is_settled.load(Ordering::Acquire) || self.chosen.set(compression).is_err() {
            return Err(Status::internal(
                "the compression of a reply is chosen once, and before its headers are sent",
            ));
        }
        Ok(())
    }

    /// What decides about single messages.
    pub(crate) fn switch(&self) -> CompressionSwitch {
        self.switch.get_or_init(CompressionSwitch::new).clone()
    }

    /// What the next message is compressed by, where the reply is compressed by `reply`.
    pub(crate) fn of_next_message(&self, reply: Compression) -> Compression {
        match self.switch.get() {
            Some(switch) if !switch.is_on() => Compression::Identity,
            _ => reply,
        }
    }

    /// What it comes to in a call with this head. From here on nothing can be chosen.
    pub(crate) fn settle(&self, head: &CallHead, of_service: Option<Compression>) -> Compression {
        self.is_settled.store(true, Ordering::Release);
        let accepted = head.accepted();
        match self.chosen.get().copied().or(of_service) {
            None if accepted.is_empty() => head.compression(),
            chosen => {
                let wanted = chosen.unwrap_or(head.compression());
                Some(wanted)
                    .filter(|wanted| accepted.contains(*wanted))
                    .unwrap_or_default()
            }
        }
    }
}
