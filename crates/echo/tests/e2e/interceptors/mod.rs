//! What applications put around their calls, at both ends.

mod client;
