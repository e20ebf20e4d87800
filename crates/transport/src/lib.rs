//! From messages to bytes over HTTP/2 and back, for both ends of a connection.

pub mod framing;
