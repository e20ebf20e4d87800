//! The attempts of a hedged call, up to the one that counts.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Peer, Status};
use highball_transport::client::{Ended, Processed, SendHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Requests;
use super::racer::{Event, Racer};
use super::schedule::{Schedule, Verdict};
use crate::call::attempt::{Attempt, Unopened, status_of};
use crate::call::replay::Replay;
use crate::call::{AttemptInfo, Call, Journal, deadline};

/// Attempts at a call that are out, what each of them is to be sent, and when the next begins.
pub(super) struct Race {
    call: Arc<Call>,
    schedule: Schedule,
    racers: Vec<Racer>,
    kept: Replay,
    /// Rings at `schedule.next()`, or when the channel is closed: the next attempt finds that out.
    alarm: Option<(Instant, BoxFuture<'static, ()>)>,
    /// The last failure that did not end the call.
    failure: Option<Status>,
    /// Told of the first server that was found.
    opened: Option<oneshot::Sender<Peer>>,
    journal: Journal,
}

/// The attempt that the call is from here on.
pub(in crate::call) struct Won {
    pub(in crate::call) attempt: Attempt,
    /// The initial metadata. `None`: it is still to come, and more was sent than is kept for others.
    pub(in crate::call) headers: Option<MetadataMap>,
}

/// Where the requests go on.
pub(in crate::call) struct SendOn {
    pub(in crate::call) half: SendHalf,
    /// What was kept and has not been sent on this stream.
    pub(in crate::call) unsent: Vec<Bytes>,
}

impl Race {
    /// A race that has not begun.
    pub(super) fn new(
        call: Arc<Call>,
        schedule: Schedule,
        kept: Replay,
        opened: oneshot::Sender<Peer>,
        mut journal: Journal,
    ) -> Self {
        journal.enter(Phase::Pick);
        Self {
            call,
            schedule,
            racers: Vec::new(),
            kept,
            alarm: None,
            failure: None,
            opened: Some(opened),
            journal,
        }
    }

    /// What the attempts have been through.
    pub(super) fn into_journal(self) -> Journal {
        self.journal
    }

    /// Runs until an attempt counts or the call is over. The attempts that do not count are cancelled.
    pub(super) async fn run(&mut self, requests: &mut Requests) -> Result<(Won, SendOn), Status> {
        let deadline = self.call.deadline;
        let raced = {
            let race = pin!(poll_fn(|cx| self.poll(requests, cx)));
            deadline.limit(race, String::new).await
        };
        raced.unwrap_or_else(|_exceeded| Err(self.exceeded()))
    }

    fn poll(
        &mut self,
        requests: &mut Requests,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Won, SendOn), Status>> {
        loop {
            self.begin_due(Instant::now());
            if let Poll::Ready(over) = self.poll_racers(cx) {
                return Poll::Ready(over);
            }
            if let Poll::Ready(over) = self.poll_requests(requests, cx) {
                return Poll::Ready(over);
            }
            let Some(next) = self.schedule.next() else {
                return match self.racers.is_empty() {
                    true => Poll::Ready(Err(self.exhausted())),
                    false => Poll::Pending,
                };
            };
            ready!(self.poll_alarm(next, cx));
            self.begin_due(next);
        }
    }

    /// Begins the attempts that are due at this time.
    fn begin_due(&mut self, now: Instant) {
        while let Some(previous) = self.schedule.send_due(now) {
            self.begin(previous, false);
        }
    }

    fn begin(&mut self, previous_attempts: u32, is_transparent_retry: bool) {
        let attempt = AttemptInfo {
            previous_attempts,
            is_transparent_retry,
            is_hedged: true,
        };
        self.racers.push(Racer::begin(self.call.clone(), attempt));
    }

    fn poll_alarm(&mut self, next: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let is_set = matches!(&self.alarm, Some((at, _)) if *at == next);
        if !is_set {
            let call = self.call.clone();
            let alarm = Box::pin(async move {
                let _ = timeout_at(next, call.channel.closed()).await;
            });
            self.alarm = Some((next, alarm));
        }
        let rung = self
            .alarm
            .as_mut()
            .map_or(Poll::Ready(()), |(_, alarm)| alarm.as_mut().poll(cx));
        ready!(rung);
        self.alarm = None;
        Poll::Ready(())
    }

    /// Hears of each attempt what there is to hear. Ready when one of them decides about the call.
    fn poll_racers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Won, SendOn), Status>> {
        let mut index = 0;
        while let Some(racer) = self.racers.get_mut(index) {
            match racer.poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Event::Opened) => self.opened(index),
                Poll::Ready(Event::Answered(headers)) => {
                    let headers = Some(headers.unwrap_or_default());
                    return Poll::Ready(self.won(index, headers));
                }
                Poll::Ready(Event::Unopened(unopened, journal)) => {
                    self.racers.remove(index);
                    self.journal.append(self.call.deadline, journal);
                    self.unopened(unopened)?;
                }
                Poll::Ready(Event::Ended(ended)) => {
                    let racer = self.racers.remove(index);
                    self.ended(racer, ended)?;
                }
            }
        }
        Poll::Pending
    }

    /// An attempt has found a server. Nobody need be waiting for that any more.
    fn opened(&mut self, index: usize) {
        let stream = self.racers.get(index).and_then(Racer::stream);
        if let (Some(stream), Some(opened)) = (stream, self.opened.take()) {
            let _ = opened.send(stream.attempt.connection.peer().clone());
            // From here on attempts wait for streams, send, and wait for their servers, all at once.
            self.journal.over(self.call.deadline, Instant::now());
            self.journal.enter_unmeasured(Phase::Slot);
            self.journal.enter_unmeasured(Phase::Send);
            self.journal.enter(Phase::Server);
        }
    }

    /// Has every attempt send what it can, and asks the application for more as soon as one has sent it all.
    /// Ready when a request fails the call, or when there is more than can be kept.
    fn poll_requests(
        &mut self,
        requests: &mut Requests,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Won, SendOn), Status>> {
        loop {
            let is_end = requests.is_exhausted();
            let mut could_send = false;
            for racer in &mut self.racers {
                could_send |= racer.poll_send(self.kept.messages(), is_end, cx);
            }
            if is_end || !could_send {
                return Poll::Pending;
            }
            let Some(message) = ready!(requests.poll_next(cx))? else {
                continue;
            };
            if !self.kept.keep(&message) {
                self.kept.keep_beyond_the_limit(&message);
                return Poll::Ready(self.won(self.furthest(), None));
            }
        }
    }

    /// The attempt that was sent most; the earliest of several.
    fn furthest(&self) -> usize {
        let sent = |index: &usize| {
            let stream = self.racers.get(*index).and_then(Racer::stream);
            let sent = stream.map(|stream| (stream.begun, stream.leaving.is_empty()));
            (sent, std::cmp::Reverse(*index))
        };
        (0..self.racers.len()).max_by_key(sent).unwrap_or(0)
    }

    /// The call is this attempt from here on; the others are cancelled.
    fn won(&mut self, index: usize, headers: Option<MetadataMap>) -> Result<(Won, SendOn), Status> {
        let winner = self.racers.remove(index);
        self.racers.clear();
        let stream = winner.into_stream().ok_or_else(super::no_outcome)?;
        let unsent = stream.unsent(self.kept.messages());
        let (half, mut attempt) = (stream.half, stream.attempt);
        match &headers {
            Some(_) => attempt.finish.observed.answered(headers.as_ref()),
            None => attempt.finish.observed.committed(),
        }
        Ok((Won { attempt, headers }, SendOn { half, unsent }))
    }

    /// An attempt has found no server.
    fn unopened(&mut self, unopened: Unopened) -> Result<(), Status> {
        match unopened {
            Unopened::Over(_) if self.call.deadline.has_passed() && self.is_any_open() => {
                Err(self.exceeded())
            }
            Unopened::Over(status) => Err(status),
            Unopened::Failed(status) => {
                let verdict = self.schedule.failed(&status, Instant::now());
                self.judged(verdict, status)
            }
        }
    }

    /// An attempt has ended before its response began.
    fn ended(&mut self, racer: Racer, ended: Ended) -> Result<(), Status> {
        let processed = ended.processed;
        let status = status_of(ended, self.call.deadline);
        let previous = racer.info.previous_attempts;
        if let Some(stream) = racer.into_stream() {
            let (deadline, journal) = (self.call.deadline, &mut self.journal);
            stream.attempt.failed(&status, processed, deadline, journal);
        }
        let verdict = self.schedule.ended(&status, processed, Instant::now());
        if verdict == Verdict::Transparent {
            self.begin(previous, true);
        }
        self.judged(verdict, status)
    }

    fn judged(&mut self, verdict: Verdict, status: Status) -> Result<(), Status> {
        match verdict {
            Verdict::Transparent => Ok(()),
            Verdict::Counted => {
                self.failure = Some(status);
                Ok(())
            }
            Verdict::Fatal => {
                self.racers.clear();
                Err(status)
            }
        }
    }

    /// No attempt is left: the last failure is the call's.
    fn exhausted(&mut self) -> Status {
        let status = self.failure.take().unwrap_or_else(super::no_outcome);
        if !self.schedule.is_exhausted() {
            return status;
        }
        let message = format!(
            "hedged attempts exhausted: failed after {} attempts: {}",
            self.schedule.sent(),
            status.message()
        );
        status.with_message(message)
    }

    fn is_any_open(&self) -> bool {
        self.racers.iter().any(|racer| racer.stream().is_some())
    }

    /// The deadline has passed: that is how all attempts end.
    fn exceeded(&mut self) -> Status {
        let streams: Vec<_> = self
            .racers
            .drain(..)
            .filter_map(Racer::into_stream)
            .collect();
        let servers: Vec<_> = streams
            .iter()
            .map(|stream| stream.attempt.connection.address().to_string())
            .collect();
        let status = match servers.is_empty() {
            true => deadline::exceeded("waiting to try again"),
            false => deadline::exceeded(&format!(
                "waiting for the response of {}",
                servers.join(" and ")
            )),
        };
        for stream in streams {
            let (deadline, journal) = (self.call.deadline, &mut self.journal);
            let processed = Processed::MaybeProcessed;
            stream.attempt.failed(&status, processed, deadline, journal);
        }
        status
    }
}
