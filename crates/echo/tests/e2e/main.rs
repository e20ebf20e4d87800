//! The whole stack, both ends, over a network in memory with the clock standing still between events:
//! targets, configs, policies, subchannels, streams, handlers.

mod answers;
mod bad_config;
mod cancellation;
mod compression;
mod control_plane;
mod deadlines;
mod details;
mod explanations;
mod faults;
mod health;
mod hedging;
mod hooked;
mod hostile;
mod idleness;
mod interceptors;
mod kinds;
mod life;
mod malformed_status;
mod negative_http2;
mod orca;
mod outcomes;
mod own_calls;
mod picks;
mod restarts;
mod retries;
mod scaling;
mod script;
mod service_config;
mod states;
mod statuses;
mod transparent_retries;
mod world;
