//! Transparent retries: attempts that no server has worked on are made again, and nobody is told.
//!
//! | what is known of the attempt | is it made again? |
//! |---|---|
//! | its headers never left this machine | always, until the deadline |
//! | the server says it has not looked at it: REFUSED_STREAM, or above GOAWAY's last stream | once |
//! | anything else | never: the server may have run it |
//!
//! Follows gRFC A6. These do not count as retries.

use highball_transport::client::{Ended, Processed};

/// Whether a call has used up its one retry of a refused stream.
#[derive(Debug, Default)]
pub(super) struct Transparent {
    refused_once: bool,
}

impl Transparent {
    /// Whether an attempt that ended like this is made again.
    pub(super) fn allows(&mut self, ended: &Ended) -> bool {
        match ended.processed {
            Processed::NothingSent => true,
            Processed::Unprocessed => !std::mem::replace(&mut self.refused_once, true),
            Processed::MaybeProcessed => false,
        }
    }
}
