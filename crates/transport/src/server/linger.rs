//! Closing without losing the last words.
//!
//! A socket that is closed while bytes of the client lie unread in it sends RST, and RST makes the client's
//! system throw away what it has not read yet: perhaps the trailers of the last call. So the server says
//! that it sends no more, and reads on until the client has closed its direction too, for a second at most.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::tap::{Tap, TapHandle, Violation};

const PATIENCE: Duration = Duration::from_secs(1);

/// Tells a client that has done what it must not (GOAWAY), as far as that leaves at once. h2 takes the
/// violation for a broken wire and would say nothing.
pub(super) fn denounce(
    tap: &TapHandle,
    last_stream: u32,
    violation: &Violation,
    cx: &mut Context<'_>,
) {
    let text = Bytes::from(violation.text.clone());
    tap.push_goaway(last_stream, violation.code, &text);
    let _ = tap.poll_shutdown(cx);
}

/// The byte stream that h2 holds: shutting it down ends when the client has closed, too.
#[derive(Debug)]
pub(super) struct Linger {
    tap: Tap,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// This direction is closed; the client's is read to its end.
    HalfClosed(Pin<Box<Sleep>>),
    Closed,
}

impl Linger {
    pub(super) fn new(tap: Tap) -> Self {
        let state = State::Open;
        Self { tap, state }
    }

    /// Reads what comes and throws it away, until there is no more.
    fn poll_end(tap: &mut Tap, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut *tap).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Linger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tap).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Linger {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tap).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tap).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tap, state } = &mut *self;
        if let State::Open = state {
            ready!(Pin::new(&mut *tap).poll_shutdown(cx))?;
            *state = State::HalfClosed(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        if let State::HalfClosed(patience) = state {
            if Self::poll_end(tap, cx).is_pending() {
                ready!(patience.as_mut().poll(cx));
            }
            *state = State::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
