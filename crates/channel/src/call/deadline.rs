//! When a call must be over, and what it was doing if it is not.
//!
//! A deadline covers everything: name resolution, picking, waiting for a stream, sending and receiving.
//! Each of these stages is awaited under it, so that the status can say which one it cut short.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use highball_core::explanation::{Phase, Seen};
use highball_core::{Address, GivenUp, Status};
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Journal;

/// When a call began, and when it must be over, if ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    began: Instant,
    /// How long it may take. The clock can say when that will be over.
    timeout: Option<Duration>,
    /// Nothing has been waited for since the call began: what time it is can be told without a clock.
    is_new: bool,
}

impl Deadline {
    /// For a call that begins now: `timeout` from now. A time-out beyond what the clock can say is none.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        let began = Instant::now();
        Self {
            began,
            timeout: timeout.filter(|timeout| began.checked_add(*timeout).is_some()),
            is_new: true,
        }
    }

    /// The same, once something has been waited for: time has passed.
    pub(crate) fn after_waiting(self) -> Self {
        Self {
            is_new: false,
            ..self
        }
    }

    /// The same, for a call that begins only now.
    pub(crate) fn beginning_now(self) -> Self {
        let began = Instant::now();
        let at = self.instant();
        Self {
            began,
            timeout: at.map(|at| at.saturating_duration_since(began)),
            is_new: self.is_new,
        }
    }

    /// The earlier of this and `timeout` from now.
    pub(crate) fn or_after(self, timeout: Option<Duration>) -> Self {
        let Some(timeout) = timeout else { return self };
        let gone = match self.is_new {
            true => Duration::ZERO,
            false => self.began.elapsed(),
        };
        let other = gone.checked_add(timeout);
        let other = other.filter(|other| self.began.checked_add(*other).is_some());
        Self {
            timeout: match (self.timeout, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            ..self
        }
    }

    /// The same, later by so much.
    pub(crate) fn later(self, by: Duration) -> Self {
        Self {
            timeout: self.timeout.and_then(|timeout| timeout.checked_add(by)),
            ..self
        }
    }

    /// When the call began.
    pub(crate) fn began(self) -> Instant {
        self.began
    }

    /// The point in time.
    pub(crate) fn instant(self) -> Option<Instant> {
        self.timeout
            .and_then(|timeout| self.began.checked_add(timeout))
    }

    /// How long the call may take.
    pub(crate) fn timeout(self) -> Option<Duration> {
        self.timeout
    }

    /// Whether it has passed.
    pub(crate) fn has_passed(self) -> bool {
        self.instant().is_some_and(|at| at <= Instant::now())
    }

    /// The output of `future`, or DEADLINE_EXCEEDED naming the `stage` that was cut short. For a stage by itself:
    /// see [`Timer`].
    pub(crate) async fn limit<F: Future>(
        self,
        future: Pin<&mut F>,
        stage: impl FnOnce() -> String,
    ) -> Result<F::Output, Status> {
        let journal = Journal::default();
        Timer::new(self, pin!(None), journal)
            .limit(future, stage)
            .await
    }
}

/// What rings at a deadline. Wherever it is polled: a stage that has used up its task's turn must not keep it
/// from being heard.
pub(crate) type Alarm = Option<Unconstrained<Sleep>>;

/// Limits the stages of a call, which come one after the other, and has them noted in its journal.
///
/// Most stages take no time at all: the first that has to wait sets the alarm, and it stays set for those
/// that follow.
pub(crate) struct Timer<'a> {
    deadline: Deadline,
    alarm: Pin<&'a mut Alarm>,
    /// When the last wait was over, if the call has not paused since: what time it is, more or less.
    over_at: Option<Instant>,
    pub(crate) journal: Journal,
}

impl<'a> Timer<'a> {
    /// A timer for `deadline`, with room for its alarm.
    pub(crate) fn new(deadline: Deadline, alarm: Pin<&'a mut Alarm>, journal: Journal) -> Self {
        Self {
            deadline,
            alarm,
            over_at: None,
            journal,
        }
    }

    /// How much time is left, to tell the server; zero if it has passed. As long as less than a thousandth
    /// has, that is the whole time-out: calls that do not wait say the same, which HPACK makes one byte of.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.timeout.map(|whole| {
            if self.deadline.is_new && self.alarm.is_none() {
                return whole;
            }
            let gone = match self.over_at {
                Some(at) => at.saturating_duration_since(self.deadline.began),
                None => self.deadline.began.elapsed(),
            };
            let left = whole.saturating_sub(gone);
            match whole.saturating_sub(left).saturating_mul(1000) < whole {
                true => whole,
                false => left,
            }
        })
    }

    /// The output of `future`, or DEADLINE_EXCEEDED naming the `stage` that was cut short.
    ///
    /// The future stays where the caller has pinned it: handed over, it would be copied twice.
    pub(crate) async fn limit<F: Future>(
        &mut self,
        mut future: Pin<&mut F>,
        stage: impl FnOnce() -> String,
    ) -> Result<F::Output, Status> {
        let deadline = self.deadline.instant();
        let output = poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.over_at = None;
            self.poll_alarm(deadline, cx).map(|()| None)
        });
        output.await.ok_or_else(|| exceeded(&stage()))
    }

    /// The same for a stage that is mostly over at once: if it is not, how long it takes is noted.
    pub(crate) async fn wait<F: Future>(
        &mut self,
        phase: Phase,
        mut future: Pin<&mut F>,
        stage: impl FnOnce() -> String,
    ) -> Result<F::Output, Status> {
        self.journal.enter(phase);
        let deadline = self.deadline.instant();
        let mut has_waited = false;
        let output = poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            has_waited = true;
            self.poll_alarm(deadline, cx).map(|()| None)
        });
        let output = output.await;
        if has_waited {
            let now = Instant::now();
            self.journal.over(self.deadline, now);
            self.over_at = Some(now);
        }
        output.ok_or_else(|| exceeded(&stage()))
    }

    /// Ready when the call's time is over. Sets the alarm, if it is not set.
    fn poll_alarm(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if self.alarm.is_none() {
            let alarm = unconstrained(sleep_until(deadline));
            self.alarm.set(Some(alarm));
        }
        let alarm = self.alarm.as_mut().as_pin_mut();
        alarm.map_or(Poll::Pending, |alarm| alarm.poll(cx))
    }

    /// An attempt has failed before it had a stream: at this server, or without having found one.
    #[cold]
    pub(crate) fn unopened(&mut self, server: Option<&Address>, status: &Status) {
        self.journal.failed(self.deadline, server, status, Seen::No);
    }
}

/// The status of a call whose deadline passed while it was `stage`.
pub(crate) fn exceeded(stage: &str) -> Status {
    let text = format!("context deadline exceeded while {stage}");
    Status::deadline_exceeded(text).with_source(GivenUp::DeadlinePassed)
}

#[cfg(test)]
mod tests {
    use tokio::task::coop;

    use super::*;

    impl Deadline {
        fn remaining_now(self) -> Option<Duration> {
            Timer::new(self.after_waiting(), pin!(None), Journal::default()).remaining()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_alarm_serves_all_stages_of_a_call() {
        let started = Instant::now();
        let second = Duration::from_secs(1);
        let alarm = pin!(None);
        let mut timer = Timer::new(Deadline::after(Some(second)), alarm, Journal::default());
        assert_eq!(timer.remaining(), Some(second));
        let first = pin!(tokio::time::sleep(second / 4));
        timer.limit(first, || "first".into()).await.unwrap();
        assert_eq!(timer.remaining(), Some(second * 3 / 4));
        let at_once = pin!(std::future::ready(()));
        timer.limit(at_once, || "second".into()).await.unwrap();
        let never = pin!(std::future::pending::<()>());
        let status = timer.limit(never, || "third".into()).await.unwrap_err();
        assert!(status.message().ends_with("third"), "{status}");
        assert_eq!(started.elapsed(), second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_names_the_stage_that_was_cut_short() {
        let deadline = Deadline::after(Some(Duration::from_secs(1)));
        let started = Instant::now();
        let status = deadline
            .limit(pin!(std::future::pending::<()>()), || {
                "waiting for the train".into()
            })
            .await
            .unwrap_err();
        assert_eq!(
            status.to_string(),
            "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the train"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        assert!(deadline.has_passed());
    }

    #[tokio::test]
    async fn a_stage_that_never_leaves_its_task_alone_is_cut_short_all_the_same() {
        let deadline = Deadline::after(Some(Duration::from_millis(1)));
        let busy = poll_fn(|cx| {
            // Uses up all that a task may do in one turn, and asks for another turn.
            while let Poll::Ready(turn) = coop::poll_proceed(cx) {
                turn.made_progress();
            }
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(deadline.limit(pin!(busy), || "busy".into()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_holds() {
        let remaining = |one: Option<u64>, other: Option<u64>| {
            let seconds = |n: Option<u64>| n.map(Duration::from_secs);
            Deadline::after(seconds(one))
                .or_after(seconds(other))
                .remaining_now()
                .map(|d| d.as_secs())
        };
        assert_eq!(remaining(Some(1), Some(2)), Some(1));
        assert_eq!(remaining(Some(3), Some(2)), Some(2));
        assert_eq!(remaining(None, Some(2)), Some(2));
        assert_eq!(remaining(None, None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_has_not_waited_has_all_of_its_time() {
        let deadline = Deadline::after(Some(Duration::from_secs(1)));
        let remaining = || deadline.remaining_now().unwrap();
        tokio::time::advance(Duration::from_micros(999)).await;
        assert_eq!(remaining(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_micros(1)).await;
        assert_eq!(remaining(), Duration::from_millis(999));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_beyond_the_clock_is_none() {
        assert!(Deadline::after(Some(Duration::MAX)).instant().is_none());
    }
}
