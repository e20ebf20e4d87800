//! The client's end against a scripted server, frame by frame, and against h2's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

mod arbitrary;
mod calls;
mod cancelling;
mod encodings;
mod ends;
mod flow;
mod goaway;
mod keepalive;
mod limits;
mod ready;
mod statuses;
mod windows;
