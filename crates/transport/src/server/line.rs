//! Calls that wait for the place of a handler.
//!
//! They wait here and not in h2, which ends the connection when too many of those that wait there are cancelled.
//! No more of them are alive than the client may have streams, and the others are forgotten.

use std::collections::VecDeque;
use std::task::Context;

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::Request;
use tokio::time::Instant;

/// A call as it comes out of h2.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) request: Request<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
    /// When its headers, or what came with them, were read.
    pub(super) arrived: Instant,
}

/// First come, first served.
#[derive(Debug)]
pub(super) struct Line {
    waiting: VecDeque<Arrival>,
    /// How many may wait before those that are gone are looked for.
    limit: usize,
}

impl Line {
    /// For a client that may have so many streams.
    pub(super) fn new(streams: u32) -> Self {
        Self {
            waiting: VecDeque::new(),
            limit: (streams as usize).saturating_mul(2),
        }
    }

    /// There is no place for this one, unless its client has cancelled it already.
    pub(super) fn join(&mut self, mut arrival: Arrival, cx: &mut Context<'_>) {
        if arrival.is_cancelled(cx) {
            return;
        }
        if self.waiting.len() >= self.limit {
            self.waiting.retain_mut(|waiting| !waiting.is_cancelled(cx));
        }
        self.waiting.push_back(arrival);
    }

    /// The first that still wants an answer.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Option<Arrival> {
        loop {
            let mut first = self.waiting.pop_front()?;
            if !first.is_cancelled(cx) {
                return Some(first);
            }
        }
    }
}

impl Arrival {
    fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        self.respond.poll_reset(cx).is_ready()
    }
}
