//! Why a client ends a call that its server has not ended.

/// Why a channel has ended a call by itself: the [source](std::error::Error::source) of a status that it owes to
/// no server.
///
/// The code and the text of such a status may be those of a server's own, which has passed on what became of a
/// call that it made. Its source never is: it does not travel.
///
/// ```
/// use std::error::Error as _;
/// use highball_core::{GivenUp, Status};
///
/// fn is_out_of_time(status: &Status) -> bool {
///     let why = status.source().and_then(|source| source.downcast_ref());
///     matches!(why, Some(GivenUp::DeadlinePassed))
/// }
///
/// let text = "context deadline exceeded while waiting for the response of a:1";
/// assert!(!is_out_of_time(&Status::deadline_exceeded(text)));
/// assert!(is_out_of_time(&Status::deadline_exceeded(text).with_source(GivenUp::DeadlinePassed)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenUp {
    /// The call's time was over.
    #[error("the call's deadline has passed")]
    DeadlinePassed,
    /// The application has closed the channel.
    #[error("the channel was closed")]
    ChannelClosed,
}
