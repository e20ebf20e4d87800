//! What a call has been through: kept while it lasts, told if it fails.
//!
//! ```text
//!   enter(phase) ─► nothing to wait for: two bytes are written, and no clock is read
//!              └──► a wait: the time since the last note is noted for the phase
//!   an attempt fails ─► the time, whom it went to, and why
//!   the call fails ──► the rest of the time, and all of it becomes an Explanation
//! ```
//!
//! So what did not wait has taken no time, and what was not measured is left out rather than guessed. A call that
//! succeeds pays for the bytes, and allocates nothing.

use std::time::Duration;

use highball_core::explanation::{self, Explanation, Phase, Seen, Spent};
use highball_core::{Address, Status};
use tokio::time::Instant;

use super::Deadline;

/// How many failed attempts are told about one by one: the last ones. A connection that goes away under a call
/// before anything is sent may be replaced any number of times.
const MOST_ATTEMPTS: usize = 16;

/// The diary of one call.
#[derive(Debug)]
pub(crate) struct Journal {
    phase: Phase,
    /// The phases that were reached, and those of which nobody knows how long they took.
    reached: Phases,
    unmeasured: Phases,
    /// Up to when all time is noted, in ticks after the call began.
    until: u32,
    /// By phase, in ticks. Small and without an allocation: parked streams that had to wait for a connection
    /// hold it for as long as they last.
    spent: [u32; Phase::ALL.len()],
    failures: Option<Box<Failures>>,
}

/// A set of phases.
#[derive(Clone, Copy, Debug, Default)]
struct Phases(u8);

impl Phases {
    fn insert(&mut self, phase: Phase) {
        self.0 |= 1 << phase as u8;
    }

    fn contains(self, phase: Phase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }
}

/// How time is counted: in tenths of a millisecond. A phase may take five days.
const TICK: Duration = Duration::from_micros(100);

/// What calls that do not fail have none of.
#[derive(Debug, Default)]
struct Failures {
    attempts: Vec<explanation::Attempt>,
    earlier_attempts: usize,
}

impl Default for Journal {
    /// Of a call that begins.
    fn default() -> Self {
        Self {
            phase: Phase::Resolve,
            reached: Phases::default(),
            unmeasured: Phases::default(),
            until: 0,
            spent: [0; Phase::ALL.len()],
            failures: None,
        }
    }
}

impl Journal {
    /// The call is about this from here on.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.reached.insert(phase);
    }

    /// The call is about this, too, and how long it takes will not be known.
    pub(super) fn enter_unmeasured(&mut self, phase: Phase) {
        self.enter(phase);
        self.unmeasured.insert(phase);
    }

    /// The phase that the call is about was over `at` this time.
    pub(crate) fn over(&mut self, deadline: Deadline, at: Instant) {
        self.note(deadline.began(), at);
    }

    /// An attempt has failed, at this server or without having found one.
    #[cold]
    pub(crate) fn failed(
        &mut self,
        deadline: Deadline,
        server: Option<&Address>,
        status: &Status,
        seen: Seen,
    ) {
        let now = Instant::now();
        self.note(deadline.began(), now);
        let after = now.saturating_duration_since(deadline.began());
        let (code, message) = (status.code(), status.message());
        let attempt = explanation::Attempt::new(server.cloned(), after, code, message, seen);
        let failures = self.failures.get_or_insert_default();
        if failures.attempts.len() == MOST_ATTEMPTS {
            failures.attempts.remove(0);
            failures.earlier_attempts += 1;
        }
        failures.attempts.push(attempt);
    }

    /// The attempts that failed under another journal did so here: one beside others, whose times are no sum.
    pub(super) fn append(&mut self, deadline: Deadline, other: Self) {
        let Some(other) = other.failures else { return };
        self.note(deadline.began(), Instant::now());
        let failures = self.failures.get_or_insert_default();
        failures.attempts.extend(other.attempts);
    }

    /// The story of a call that has failed just now.
    #[cold]
    pub(super) fn explain(
        &mut self,
        deadline: Deadline,
        method: &'static str,
        target: &str,
    ) -> Explanation {
        let now = Instant::now();
        self.note(deadline.began(), now);
        let took = now.saturating_duration_since(deadline.began());
        let mut explanation = Explanation::new(method, target, took, self.phase);
        for phase in Phase::ALL
            .into_iter()
            .filter(|phase| self.reached.contains(*phase))
        {
            let spent = match self.unmeasured.contains(phase) {
                true => Spent::Unknown,
                false => Spent::For(TICK * self.spent[phase as usize]),
            };
            explanation.set(phase, spent);
        }
        if let Some(failures) = self.failures.take() {
            explanation.attempts = failures.attempts;
            explanation.earlier_attempts = failures.earlier_attempts;
        }
        explanation
    }

    /// Notes the time since the last note, or since the call began, for the phase that the call is about. What is
    /// too long to be counted is not known.
    fn note(&mut self, began: Instant, now: Instant) {
        let ticks = now.saturating_duration_since(began).as_micros() / TICK.as_micros();
        let now = u32::try_from(ticks).unwrap_or(u32::MAX);
        if now == u32::MAX {
            self.unmeasured.insert(self.phase);
        }
        self.spent[self.phase as usize] += now.saturating_sub(self.until);
        self.until = now.max(self.until);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use highball_core::Code;
    use tokio::time::sleep;

    use super::*;
    use crate::call::Timer;

    fn explain(journal: &mut Journal, deadline: Deadline) -> Explanation {
        journal.explain(deadline, "/a.B/C", "test:///x")
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_noted_and_what_does_not_has_taken_no_time() {
        let deadline = Deadline::after(None);
        let alarm = pin!(None);
        let mut timer = Timer::new(deadline, alarm, Journal::default());
        let stage = String::new;
        let ready = pin!(std::future::ready(()));
        timer.wait(Phase::Resolve, ready, stage).await.unwrap();
        assert_eq!(timer.journal.until, 0, "no clock is read");
        let waiting = pin!(sleep(Duration::from_millis(30)));
        timer.wait(Phase::Pick, waiting, stage).await.unwrap();
        timer.journal.enter(Phase::Server);
        tokio::time::advance(Duration::from_millis(70)).await;
        let why = explain(&mut timer.journal, deadline);
        assert_eq!(
            why.to_string(),
            "ended after 100 ms while waiting for the server: resolve 0 ms, pick 30 ms, \
             server 70 ms; no server was tried"
        );
        assert_eq!(why.spent(Phase::Slot), Spent::NotReached);
    }

    #[tokio::test(start_paused = true)]
    async fn phases_add_up_to_what_the_call_took_over_all_attempts() {
        let deadline = Deadline::after(None);
        let alarm = pin!(None);
        let mut timer = Timer::new(deadline, alarm, Journal::default());
        let status = Status::unavailable("down");
        for _ in 0..MOST_ATTEMPTS + 2 {
            for (phase, millis) in [(Phase::Backoff, 5), (Phase::Pick, 2)] {
                let waiting = pin!(sleep(Duration::from_millis(millis)));
                timer.wait(phase, waiting, String::new).await.unwrap();
            }
            timer.journal.enter(Phase::Server);
            tokio::time::advance(Duration::from_millis(3)).await;
            timer
                .journal
                .failed(deadline, Some(&"a:1".into()), &status, Seen::Answered);
        }
        let why = explain(&mut timer.journal, deadline);
        let spent: Vec<_> = why.phases().collect();
        let all = (MOST_ATTEMPTS + 2) as u64;
        let expected = [(Phase::Pick, 2), (Phase::Server, 3), (Phase::Backoff, 5)]
            .map(|(phase, millis)| (phase, Spent::For(Duration::from_millis(millis * all))));
        assert_eq!(spent, expected);
        assert_eq!(why.took, Duration::from_millis(10 * all));
        assert_eq!(
            (why.attempts.len(), why.earlier_attempts),
            (MOST_ATTEMPTS, 2)
        );
        let last = why.attempts.last().unwrap();
        assert_eq!((last.code, last.after), (Code::Unavailable, why.took));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_measured_is_unknown() {
        let deadline = Deadline::after(None);
        let mut journal = Journal::default();
        journal.enter_unmeasured(Phase::Send);
        journal.enter(Phase::Server);
        let why = explain(&mut journal, deadline);
        assert_eq!(why.spent(Phase::Send), Spent::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_too_long_to_be_counted_is_unknown() {
        let deadline = Deadline::after(None);
        let mut journal = Journal::default();
        journal.enter(Phase::Server);
        tokio::time::advance(Duration::from_secs(6 * 24 * 60 * 60)).await;
        let why = explain(&mut journal, deadline);
        assert_eq!(why.spent(Phase::Server), Spent::Unknown);
        assert_eq!(why.took.as_secs(), 6 * 24 * 60 * 60);
    }

    #[test]
    fn a_journal_is_small() {
        assert!(size_of::<Journal>() <= 48);
    }
}
