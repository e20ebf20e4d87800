//! Resolvers as a channel meets them: spawned, judged, asked again, dropped. All under paused time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dns;
mod file;
mod line;
mod manual;
mod polling;
mod proxy;
mod supervised;
mod watching;
