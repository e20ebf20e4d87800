//! TLS between whole channels and servers: certificates made for the occasion, pipes in memory and a clock
//! that stands still, so that every handshake is the real one and nothing takes time.

mod authority;
mod call_credentials;
mod local;
mod outdated;
mod peers;
mod refused;
mod renewal;
mod rig;
mod roots;
mod stalled;
mod traffic;
