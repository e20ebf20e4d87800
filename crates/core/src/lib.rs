//! gRPC's vocabulary, as plain data.
//!
//! Every other crate of Highball speaks in these words: a call ends in a [`Status`] with a [`Code`],
//! carries [`MetadataMap`]s, and reaches an [`Address`] of an [`Endpoint`]; whatever connects is in one
//! of five [`ConnectivityState`]s and waits out a [`Backoff`] between attempts.
//!
//! ```
//! use highball_core::{Code, Status};
//!
//! let status = Status::new(Code::NotFound, "no such train");
//! assert_eq!(status.to_string(), "NOT_FOUND: no such train");
//! ```
//!
//! Tasks and policies leave word for each other in a [`mailbox`], and for all who care on a [`Bulletin`].
//!
//! Deliberately absent: I/O, tasks, clocks, and locks but those of these two. This crate does not depend on tokio, h2 or hyper;
//! time and randomness come in as arguments.

mod code;
mod given_up;
mod status;

pub mod details;
pub mod explanation;

mod any_message;
mod bulletin;
mod load_report;
mod mailbox;
mod metadata;
mod response;

mod address;
mod attributes;
mod endpoint;
mod peer;
mod through_proxy;

mod connectivity;

mod backoff;
mod json_duration;
mod panic_text;
mod timeout;

pub use address::{Address, Network};
pub use any_message::{AnyMessage, Payload, WrongMessage};
pub use attributes::Attributes;
pub use backoff::Backoff;
pub use bulletin::{Bulletin, WaitFor};
pub use code::{Code, UnknownCode};
pub use connectivity::{ConnectivityState, StateCounts};
pub use endpoint::Endpoint;
pub use given_up::GivenUp;
pub use json_duration::{BadDuration, parse_json_duration};
pub use load_report::{BadLoadReport, LoadReport};
pub use mailbox::{Letterbox, Mailbox, mailbox};
pub use metadata::{Entry, InvalidMetadata, MetadataMap, UndecodableBinary};
pub use panic_text::panic_text;
pub use peer::{AuthInfo, Peer, SecurityLevel};
pub use response::Response;
pub use status::{Rejected, Status};
pub use through_proxy::ThroughProxy;
pub use timeout::{MalformedTimeout, decode_timeout, encode_timeout};
