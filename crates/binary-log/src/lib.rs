//! Binary logs (gRFC A16): what calls have sent and received, written to a file for other programs to read.
//!
//! ```text
//!   application ── interceptors ── ClientLog ── the call ═══ connection ═══ ServerLog ── interceptors ── handler
//!                                     └──────────► queue ─► a thread ─► file ◄───┘
//! ```
//!
//! The file has the form that grpc-go writes, and its tools read: each entry, a
//! [`grpc.binarylog.v1.GrpcLogEntry`](v1::GrpcLogEntry), behind its length in four bytes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("calls.binlog");
//! use highball_binary_log::{BinaryLog, Filter};
//! use highball_channel::Channel;
//! use highball_server::Server;
//!
//! // Or Filter::from_env(), which reads GRPC_BINARY_LOG_FILTER.
//! let log = BinaryLog::to_file(Filter::parse("*{h;m:1024}")?, &path)?;
//! let channel = Channel::builder("dns:///echo.example.com:50051")
//!     .insecure()
//!     // … others: the log is nearest to the connection.
//!     .interceptor(log.client())
//!     .build()?;
//! let server = Server::builder()
//!     .interceptor(log.server())
//!     // … others.
//!     .build();
//! log.flush().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The two are [interceptors](highball_channel::ClientInterceptor) like any other, so a program without them
//! pays nothing, and what they do not log passes them as it came. As nothing else is in between, a channel's
//! log should be its last interceptor and a server's its first.
//!
//! # What is in the log
//!
//! A call's headers, messages, half close and status, as an application sees them: of attempts that did not
//! count there is nothing, and of credentials nothing either. A call that its own client has ended (by
//! dropping it, by its deadline, by closing the channel) ends with a cancellation instead of a status. A channel
//! learns of a unary call's response, headers included, all at once, so of one that fails there is the status
//! only.
//!
//! # What is not
//!
//! Calls never wait for the disk. What it does not take in time, beyond 16 MiB, is dropped and
//! [counted](BinaryLog::dropped), and a `warn` event of the target `binary_log` says so; the
//! entries of a call are numbered, so a reader sees what is missing.

mod call;
mod client;
mod entry;
mod filter;
mod read;
mod server;
mod sink;

#[rustfmt::skip] // The generator has a style of its own.
                 /// The entries of a log: the messages of `grpc.binarylog.v1`.
#[path = "generated/grpc.binarylog.v1.rs"]
pub mod v1;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use call::LoggedCall;
use entry::Entries;
use sink::Sink;
use v1::grpc_log_entry::Logger;

pub use client::ClientLog;
pub use filter::{BadFilter, Filter};
pub use read::read;
pub use server::ServerLog;

/// A log that channels and servers write to, any number of them. Cheap to clone; all clones are one log.
///
/// When the last clone and the last interceptor are gone, a thread writes what is left.
#[derive(Clone, Debug)]
pub struct BinaryLog(Arc<Shared>);

/// What all clones of a log share.
#[derive(Debug)]
struct Shared {
    filter: Filter,
    sink: Sink,
    /// That of the next call.
    call_id: AtomicU64,
}

impl BinaryLog {
    /// A log in a file, which is made if it is not there, and added to if it is.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn to_file(filter: Filter, path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Self::to_writer(filter, file)
    }

    /// A log of one's own kind. It is written to by a thread of its own, so it may block.
    ///
    /// # Errors
    ///
    /// There can be no other thread.
    pub fn to_writer(filter: Filter, out: impl Write + Send + 'static) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            filter,
            sink: Sink::to(out)?,
            call_id: AtomicU64::new(1),
        })))
    }

    /// What logs the calls of a channel, as the last of its interceptors.
    pub fn client(&self) -> ClientLog {
        ClientLog(self.0.clone())
    }

    /// What logs the calls of a server, as the first of its interceptors.
    pub fn server(&self) -> ServerLog {
        ServerLog(self.0.clone())
    }

    /// Waits until all that was logged so far is written.
    ///
    /// # Errors
    ///
    /// What kept it from being written. Nothing is written after an error.
    pub async fn flush(&self) -> io::Result<()> {
        self.0.sink.flush().await
    }

    /// How many entries are not in the log: there was no room for them, or they could not be written.
    pub fn dropped(&self) -> u64 {
        self.0.sink.dropped()
    }
}

impl Shared {
    /// Begins to log a call, if it is one that is logged.
    fn call(self: &Arc<Self>, logger: Logger, path: &str) -> Option<LoggedCall> {
        let limits = self.filter.limits(path)?;
        let id = self.call_id.fetch_add(1, Ordering::Relaxed);
        let entries = Entries { logger, limits };
        Some(LoggedCall::new(self.clone(), entries, id))
    }
}
