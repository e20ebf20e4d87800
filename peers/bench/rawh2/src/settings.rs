//! What both ends tell h2: windows wide enough that they never bind.

/// The window of a stream.
pub(crate) const STREAM_WINDOW: u32 = 1024 * 1024;

/// The window of a connection.
pub(crate) const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
