//! The server as its clients see it, over a network in memory and under paused time.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

mod accepting;
mod admission;
mod arbitrary;
mod bad_client;
mod calls;
mod compression;
mod health;
mod keepalive;
mod orca;
mod oversize;
mod portions;
mod quota;
mod reflection;
mod stopping;
mod tasks;
mod threads;
mod windows;
