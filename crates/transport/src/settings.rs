//! What each end tells its peer, and what it tells h2: every setting is explicit, none is left to a
//! default.
//!
//! h2's defaults suit web servers. Under gRPC's many small messages and many cancelled streams they close
//! healthy connections, so the limits that guard against abuse are set here to values that no honest
//! peer reaches, and the frame tap enforces rates in their place.

use std::time::Duration;

/// Where HTTP/2 starts all windows, and what a window may not fall below here.
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

/// Where the window of a stream begins, both ends: a few messages of 64 KiB. With a window that one of them
/// fills, each message waits for the credit that the one before it comes back with.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;

/// The window of the whole connection, both ends: twice what the window of a stream can grow to.
pub(crate) const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// How far it grows with what streams hold that nobody reads. The application of a client knows what it does
/// not read.
pub(crate) const CLIENT_CONNECTION_WINDOW_LIMIT: u32 = i32::MAX as u32;

/// The same at a server, which does not choose its clients: more than all the streams that one may have open
/// hold, unless it has first shown that its path fills larger windows.
pub(crate) const SERVER_CONNECTION_WINDOW_LIMIT: u32 = 256 * 1024 * 1024;

const _: () =
    assert!(SERVER_MAX_CONCURRENT_STREAMS * STREAM_WINDOW < SERVER_CONNECTION_WINDOW_LIMIT);

/// The largest frame either end accepts: small frames let streams take turns. Larger ones make messages of
/// 64 KiB no faster: h2 allocates a buffer for each, of a size that glibc gives back to the system at once.
pub(crate) const MAX_FRAME_SIZE: u32 = 16 * 1024;

/// The HPACK table either end keeps.
pub(crate) const HEADER_TABLE_SIZE: u32 = 4096;

/// The header list size above which a call fails with `RESOURCE_EXHAUSTED`, unless set otherwise.
pub(crate) const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;

/// What h2 is told, and announces: four times what is enforced here. h2 cuts trailers at its own limit
/// without a word, and kills the connection at four times that.
pub(crate) fn h2_header_list_limit(limit: u32) -> u32 {
    limit.saturating_mul(4)
}

/// How much of a stream's data h2 may hold before the sender waits: more than one message of 64 KiB, which
/// then leaves whole.
pub(crate) const MAX_SEND_BUFFER: usize = 128 * 1024;

/// How many streams that were reset here are remembered, so that late frames for them are ignored.
pub(crate) const RESET_STREAMS_KEPT: usize = 1_000;

/// For how long they are remembered.
pub(crate) const RESET_STREAMS_KEPT_FOR: Duration = Duration::from_secs(10);

/// The streams a client opens before it has heard the server's limit.
pub(crate) const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// The streams a server lets one client have open, and so the handlers that one connection runs.
pub(crate) const SERVER_MAX_CONCURRENT_STREAMS: u32 = 100;

/// What h2 may spend on small DATA frames, in its own unit, before it closes the connection. Frames
/// for cancelled streams are never refunded: one half is for them, and when it is used up the connection is
/// drained; the other for what waits to be read.
pub(crate) const CLIENT_DATA_FRAME_BUDGET: usize = 128 * 1024 * 1024;

/// The same at the server.
pub(crate) const SERVER_DATA_FRAME_BUDGET: usize = 32 * 1024 * 1024;

/// How many streams that the client has reset may wait in h2 to be looked at, besides as many as it may have
/// open. The tap sees to it that they are looked at before there are more: a client that cancels calls as fast as
/// it makes them is no attacker.
pub(crate) const SERVER_RESETS_WAITING: usize = 4_096;

/// How many streams h2 resets at a server for the client's errors before it closes the connection: their memory
/// is not given back before the client has read of it. When half of them are used up, the connection is drained.
pub(crate) const SERVER_LOCAL_ERROR_RESETS: usize = 10_000;

/// Stream ids are used up to here; then the connection drains (75 % of 2^31).
pub(crate) const LAST_STREAM_ID: u32 = 1_610_612_735;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_documentation() {
        assert_eq!(LAST_STREAM_ID, 1_610_612_735, "grpc-go's MaxStreamID");
        assert_eq!(SERVER_LOCAL_ERROR_RESETS, 10_000);
        assert_eq!(
            (RESET_STREAMS_KEPT, RESET_STREAMS_KEPT_FOR.as_secs()),
            (1_000, 10)
        );
        assert_eq!(MAX_SEND_BUFFER, 131_072);
        assert_eq!(
            (MAX_HEADER_LIST_SIZE, h2_header_list_limit(16_384)),
            (16_384, 65_536)
        );
        assert_eq!(
            (STREAMS_BEFORE_SETTINGS, SERVER_MAX_CONCURRENT_STREAMS),
            (100, 100)
        );
    }
}
