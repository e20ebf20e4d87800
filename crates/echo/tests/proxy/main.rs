//! Calls through an HTTP proxy (gRFC A1): a real one over loopback, and one that misbehaves in memory, where the
//! clock stands still.

mod asked;
mod misbehaving;
mod rig;
