//! The client's end against a scripted server, frame by frame, and against h2's; the server's end where nothing
//! above it shows what it says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

mod arbitrary;
mod bad_server;
mod calls;
mod cancelling;
mod encodings;
mod ends;
mod flow;
mod goaway;
mod keepalive;
mod limits;
mod malformed_status;
mod ready;
mod served;
mod statuses;
mod windows;
