//! How much the peer may send: the windows of a connection and of its streams, while it lives.
//!
//! ```text
//!                 ┌─ the peer may send less than half a window more ──► a larger window for the connection
//!   DATA ── tap ──┤
//!                 └─ Estimator ── PING … answer ── it has grown ──────► larger windows for its streams
//! ```
//!
//! h2 gives a stream and its connection their windows back together, when a message is read. Streams
//! that nobody reads would so use up the connection's, and all others would stand still. gRPC wants the two
//! apart: here the connection is given anew what unread streams hold of it. What they hold is limited by
//! their own windows.

use bytes::Bytes;
use h2::PingPong;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::bdp::Estimator;
use crate::pings::Pings;
use crate::settings;
use crate::tap::Facts;

/// How much a peer may send before it is read (HTTP/2's flow control).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Windows {
    /// 256 KiB a stream to begin with, and up to 16 MiB if the path to the peer holds more: its bandwidth-delay
    /// product, estimated as grpc-go does. PINGs measure it, one for every half window at most.
    #[default]
    Dynamic,
    /// As given, in bytes, without PINGs. Windows of less than 65,535 bytes are raised to that, those of
    /// more than 2³¹ − 1 cut.
    Fixed {
        /// The window of one stream.
        stream: u32,
        /// The window of the connection. What streams hold that nobody reads is not counted.
        connection: u32,
    },
}

impl Windows {
    /// Where the window of a stream begins.
    pub(crate) fn stream(self) -> u32 {
        match self {
            Self::Dynamic => settings::STREAM_WINDOW,
            Self::Fixed { stream, .. } => legal(stream),
        }
    }

    /// Where the window of the connection begins.
    pub(crate) fn connection(self) -> u32 {
        match self {
            Self::Dynamic => settings::CONNECTION_WINDOW,
            Self::Fixed { connection, .. } => legal(connection),
        }
    }
}

/// HTTP/2 allows no window over 2^31-1, gRPC none below the default.
fn legal(window: u32) -> u32 {
    window.clamp(settings::DEFAULT_WINDOW, i32::MAX as u32)
}

/// Looks after the windows of one connection.
#[derive(Debug)]
pub(crate) struct Inflow {
    /// What the peer may always send on the connection, give or take a half.
    window: u32,
    /// The window that h2 was told: the above, and what has gone unread.
    told: u32,
    /// How far that may grow.
    most: u32,
    /// How much must have come in all for there to be something to do.
    next: u64,
    /// How much must have come for the connection's window to be looked at.
    next_window: u64,
    estimator: Option<Estimator>,
    /// The window of streams that h2 has not taken yet: the peer has to acknowledge the one before.
    waiting: Option<u32>,
}

/// What h2's connections have in common here.
pub(crate) trait Connection {
    fn set_connection_window(&mut self, bytes: u32);
    /// Says no while the settings before it are not acknowledged.
    fn set_stream_window(&mut self, bytes: u32) -> bool;
    fn ping_pong(&mut self) -> Option<PingPong>;
}

impl Inflow {
    /// `most`: how far the connection's window may grow with what goes unread.
    pub(crate) fn new(windows: Windows, most: u32) -> Self {
        let window = windows.connection();
        let mut inflow = Self {
            window,
            told: window,
            most: most.max(window),
            next: 0,
            next_window: u64::from(window / 2),
            estimator: match windows {
                Windows::Dynamic => Some(Estimator::new(windows.stream())),
                Windows::Fixed { .. } => None,
            },
            waiting: None,
        };
        inflow.plan();
        inflow
    }

    /// To be called after each poll of h2. Says whether h2 has something new to write, and is to be polled
    /// again.
    #[inline]
    pub(crate) fn look(
        &mut self,
        facts: &Facts,
        h2: &mut impl Connection,
        pings: &mut Pings,
    ) -> bool {
        let received = facts.data_received();
        received >= self.next && self.adjust(received, facts, h2, pings)
    }

    fn adjust(
        &mut self,
        received: u64,
        facts: &Facts,
        h2: &mut impl Connection,
        pings: &mut Pings,
    ) -> bool {
        let widened = self.widen(received, facts, h2);
        let sampled = self.sample(received, facts, h2, pings);
        let taken = match self.waiting {
            Some(window) if h2.set_stream_window(window) => {
                self.waiting = None;
                true
            }
            _ => false,
        };
        self.plan();
        widened || sampled || taken
    }

    /// Gives the connection what unread streams hold of its window.
    fn widen(&mut self, received: u64, facts: &Facts, h2: &mut impl Connection) -> bool {
        if received < self.next_window {
            return false;
        }
        let granted = u64::from(settings::DEFAULT_WINDOW) + facts.window_granted();
        let open = granted.saturating_sub(received);
        let window = u64::from(self.window);
        let half = window / 2;
        if open >= half {
            self.next_window = received + (open - half).max(1);
            return false;
        }
        let before = self.told;
        let wanted = u64::from(before) + (window - open);
        self.told = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.most);
        // What is granted now has to have come before it is looked at again: until then it may be on its way.
        self.next_window = received + half;
        if self.told > before {
            h2.set_connection_window(self.told);
        }
        self.told > before
    }

    /// Measures the path. Says whether a PING is to leave.
    fn sample(
        &mut self,
        received: u64,
        facts: &Facts,
        h2: &mut impl Connection,
        pings: &mut Pings,
    ) -> bool {
        let Some(estimator) = &mut self.estimator else {
            return false;
        };
        if estimator.is_sampling() && pings.is_answered() {
            let grown = estimator.end(received, facts.last_read());
            self.waiting = grown.or(self.waiting);
        }
        let is_due = estimator.due_at().is_some_and(|due| received >= due);
        let sent = is_due && pings.send(|| h2.ping_pong());
        if sent {
            estimator.begin(received, facts.last_read());
        }
        sent
    }

    /// When there will be something to do: at once while an answer or an acknowledgement is awaited.
    fn plan(&mut self) {
        let (is_sampling, due) = match &self.estimator {
            Some(estimator) => (estimator.is_sampling(), estimator.due_at()),
            None => (false, None),
        };
        self.next = match self.waiting {
            None if !is_sampling => due.map_or(self.next_window, |due| due.min(self.next_window)),
            _ => 0,
        };
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection for h2::client::Connection<T, Bytes> {
    fn set_connection_window(&mut self, bytes: u32) {
        self.set_target_window_size(bytes);
    }

    fn set_stream_window(&mut self, bytes: u32) -> bool {
        self.set_initial_window_size(bytes).is_ok()
    }

    fn ping_pong(&mut self) -> Option<PingPong> {
        self.ping_pong()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection for h2::server::Connection<T, Bytes> {
    fn set_connection_window(&mut self, bytes: u32) {
        self.set_target_window_size(bytes);
    }

    fn set_stream_window(&mut self, bytes: u32) -> bool {
        self.set_initial_window_size(bytes).is_ok()
    }

    fn ping_pong(&mut self) -> Option<PingPong> {
        self.ping_pong()
    }
}
