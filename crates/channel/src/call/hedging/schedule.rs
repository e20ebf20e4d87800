//! When the next hedge is sent, and what the failure of one means (gRFC A6).
//!
//! | what happens | the next attempt |
//! |---|---|
//! | the call begins | is the first, at once |
//! | an attempt is sent | is due after `hedgingDelay`, up to `maxAttempts` of them |
//! | a status of `nonFatalStatusCodes` | is due at once |
//! | the same with `grpc-retry-pushback-ms: n` | is due after n ms |
//! | a pushback that forbids attempts, or is none | is never sent; those that are out go on |
//! | the throttle is at half of its tokens or less | likewise |
//! | any other status | the call is over |
//!
//! No clock is read here: whoever asks says what time it is.

use std::sync::Arc;
use std::time::Duration;

use highball_core::Status;
use highball_transport::client::Processed;
use tokio::time::Instant;

use crate::call::Pushback;
use crate::call::retry::Throttle;
use crate::service_config::HedgingPolicy;

/// The attempts at a hedged call: those that were sent, and when the next is due.
#[derive(Debug)]
pub(super) struct Schedule {
    policy: Arc<HedgingPolicy>,
    /// The policy's attempts or the channel's cap, whichever is less.
    max_attempts: u32,
    throttle: Option<Arc<Throttle>>,
    /// How many attempts were sent; transparent retries are none.
    sent: u32,
    /// When the next one is due; `None` if there is to be no other.
    next: Option<Instant>,
    refused_once: bool,
}

/// What the failure of an attempt means for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No server has worked on it: it is made again.
    Transparent,
    /// It is one attempt less.
    Counted,
    /// It ends the call.
    Fatal,
}

impl Schedule {
    /// A call that begins `now` and is hedged as `policy` says, with no more attempts than `cap`.
    pub(super) fn new(
        policy: Arc<HedgingPolicy>,
        cap: u32,
        throttle: Option<Arc<Throttle>>,
        now: Instant,
    ) -> Self {
        Self {
            max_attempts: policy.max_attempts.min(cap),
            policy,
            throttle,
            sent: 0,
            next: Some(now),
            refused_once: false,
        }
    }

    /// When the next attempt is due, if there is to be one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// How many attempts were sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Whether as many attempts were sent as there may be.
    pub(super) fn is_exhausted(&self) -> bool {
        self.sent >= self.max_attempts
    }

    /// Sends an attempt if one is due `now`: says how many came before it, as
    /// `grpc-previous-rpc-attempts` tells the server.
    pub(super) fn send_due(&mut self, now: Instant) -> Option<u32> {
        if self.next? > now {
            return None;
        }
        if self.sent > 0 && self.is_throttled() {
            self.next = None;
            return None;
        }
        let previous = self.sent;
        self.sent += 1;
        self.due_in(self.policy.hedging_delay, now);
        Some(previous)
    }

    /// An attempt has ended with `status` before its response began; the server can have seen of it what
    /// `processed` says.
    pub(super) fn ended(&mut self, status: &Status, processed: Processed, now: Instant) -> Verdict {
        match processed {
            Processed::NothingSent => return Verdict::Transparent,
            Processed::Unprocessed if !self.refused_once => {
                self.refused_once = true;
                return Verdict::Transparent;
            }
            Processed::Unprocessed | Processed::MaybeProcessed => (),
        }
        self.failed(status, now)
    }

    /// An attempt has failed, with a stream or, where the picker has none to give, without.
    pub(super) fn failed(&mut self, status: &Status, now: Instant) -> Verdict {
        let pushback = Pushback::read(status.metadata());
        let is_fatal = !self.policy.non_fatal_codes.contains(&status.code());
        if is_fatal && pushback != Pushback::Never {
            return Verdict::Fatal;
        }
        let has_tokens = self
            .throttle
            .as_ref()
            .is_none_or(|throttle| throttle.failed());
        match pushback {
            // There is none to be brought forward or put off.
            _ if self.next.is_none() => (),
            Pushback::Never => self.next = None,
            _ if !has_tokens => self.next = None,
            Pushback::After(delay) => self.due_in(delay, now),
            Pushback::Silent => self.next = Some(now),
        }
        match is_fatal {
            true => Verdict::Fatal,
            false => Verdict::Counted,
        }
    }

    /// A delay beyond what the clock can say is none that will be over.
    fn due_in(&mut self, delay: Duration, now: Instant) {
        self.next = match self.is_exhausted() {
            true => None,
            false => now.checked_add(delay),
        };
    }

    fn is_throttled(&self) -> bool {
        self.throttle
            .as_ref()
            .is_some_and(|throttle| !throttle.is_open())
    }
}

#[cfg(test)]
mod tests {
    use highball_core::{Code, MetadataMap};
    use proptest::prelude::*;

    use super::*;
    use crate::service_config::RetryThrottling;

    fn policy(max_attempts: u32, delay: u64) -> Arc<HedgingPolicy> {
        Arc::new(HedgingPolicy {
            max_attempts,
            hedging_delay: Duration::from_millis(delay),
            non_fatal_codes: vec![Code::Unavailable],
        })
    }

    fn down() -> Status {
        Status::unavailable("down")
    }

    fn pushed_back(status: Status, milliseconds: &str) -> Status {
        let mut trailers = MetadataMap::new();
        trailers
            .append("grpc-retry-pushback-ms", milliseconds)
            .unwrap();
        status.with_metadata(trailers)
    }

    /// A schedule that has sent its first attempt, and when that was.
    fn begun(policy: Arc<HedgingPolicy>, throttle: Option<Arc<Throttle>>) -> (Schedule, Instant) {
        let now = Instant::now();
        let mut schedule = Schedule::new(policy, 5, throttle, now);
        assert_eq!(schedule.send_due(now), Some(0));
        (schedule, now)
    }

    /// In how many milliseconds the next is due.
    fn due(schedule: &Schedule, now: Instant) -> Option<u128> {
        schedule.next().map(|at| (at - now).as_millis())
    }

    #[test]
    fn a6_attempts_follow_one_another_after_the_delay_up_to_the_last() {
        let (mut schedule, start) = begun(policy(3, 500), None);
        for previous in 1..3 {
            let at = start + Duration::from_millis(500 * u64::from(previous));
            assert_eq!(schedule.send_due(at - Duration::from_millis(1)), None);
            assert_eq!(schedule.send_due(at), Some(previous));
        }
        assert_eq!((schedule.next(), schedule.is_exhausted()), (None, true));
        assert_eq!(schedule.failed(&down(), start), Verdict::Counted);
        assert_eq!(
            schedule.next(),
            None,
            "a failure brings no more than there may be"
        );
    }

    #[test]
    fn a6_without_a_delay_all_are_due_at_once() {
        let (mut schedule, now) = begun(policy(9, 0), None);
        let sent: Vec<_> = std::iter::from_fn(|| schedule.send_due(now)).collect();
        assert_eq!(sent, [1, 2, 3, 4], "the channel's cap is five");
    }

    #[test]
    fn a6_a_status_is_fatal_unless_the_policy_says_otherwise() {
        let (mut schedule, now) = begun(policy(3, 500), None);
        let fatal = schedule.failed(&Status::internal("broken"), now);
        assert_eq!(fatal, Verdict::Fatal);
        assert_eq!(schedule.failed(&down(), now), Verdict::Counted);
        assert_eq!(due(&schedule, now), Some(0));
    }

    #[test]
    fn a6_a_pushback_puts_the_next_off_or_forbids_it_whatever_the_code() {
        let (mut schedule, now) = begun(policy(3, 500), None);
        let later = pushed_back(down(), "1500");
        assert_eq!(schedule.failed(&later, now), Verdict::Counted);
        assert_eq!(due(&schedule, now), Some(1500));
        let then = now + Duration::from_millis(1500);
        assert_eq!(schedule.send_due(then), Some(1));
        assert_eq!(
            due(&schedule, then),
            Some(500),
            "the delay goes on from there"
        );
        let never = pushed_back(Status::internal("broken"), "-1");
        assert_eq!(schedule.failed(&never, now), Verdict::Fatal);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a6_a_throttled_call_has_its_first_attempt_and_no_other() {
        let limits = RetryThrottling {
            max_milli_tokens: 4_000,
            milli_tokens_per_success: 1_000,
        };
        let throttle = Throttle::full(limits);
        let (mut schedule, now) = begun(policy(5, 500), Some(throttle.clone()));
        assert_eq!(
            schedule.failed(&Status::internal("broken"), now),
            Verdict::Fatal
        );
        assert_eq!(schedule.failed(&down(), now), Verdict::Counted);
        assert_eq!(schedule.send_due(now), Some(1), "three tokens of four");
        let forbidden = pushed_back(Status::internal("broken"), "-1");
        schedule.failed(&forbidden, now);
        assert!(
            !throttle.is_open(),
            "a pushback that forbids takes a token, too"
        );
        let (mut schedule, now) = begun(policy(5, 0), Some(throttle.clone()));
        assert_eq!((schedule.send_due(now), schedule.next()), (None, None));
        throttle.succeeded();
        assert_eq!(
            schedule.send_due(now),
            None,
            "nor when there are tokens again"
        );
    }

    #[test]
    fn a6_transparent_retries_are_no_attempts() {
        let (mut schedule, now) = begun(policy(2, 500), None);
        for _ in 0..100 {
            let verdict = schedule.ended(&down(), Processed::NothingSent, now);
            assert_eq!(verdict, Verdict::Transparent);
        }
        let mut refused = || schedule.ended(&down(), Processed::Unprocessed, now);
        assert_eq!(
            [refused(), refused()],
            [Verdict::Transparent, Verdict::Counted]
        );
        assert_eq!(schedule.sent(), 1);
    }

    proptest! {
        /// However attempts fail and whenever anybody looks: no more are sent than allowed, none is sent once
        /// there is to be no other, and none but the first without tokens.
        #[test]
        fn a6_hedges_stay_within_their_limits(
            most in 2..7_u32,
            delay in 0..300_u64,
            max_milli_tokens in 1..6_000_u32,
            // What happens next: so many milliseconds pass, or an attempt fails in one way or another.
            steps in prop::collection::vec((0..6_u8, 0..400_u64), 0..60),
        ) {
            let throttle = Throttle::full(RetryThrottling {
                max_milli_tokens,
                milli_tokens_per_success: 1,
            });
            let (mut schedule, mut now) = begun(policy(most, delay), Some(throttle.clone()));
            for (step, millis) in steps {
                let was_over = schedule.next().is_none();
                match step {
                    0 | 1 => now += Duration::from_millis(millis),
                    2 => drop(schedule.failed(&down(), now)),
                    3 => drop(schedule.failed(&pushed_back(down(), &millis.to_string()), now)),
                    4 => drop(schedule.failed(&pushed_back(down(), "-1"), now)),
                    _ => drop(schedule.ended(&down(), Processed::Unprocessed, now)),
                }
                let could = throttle.is_open();
                let before = schedule.sent();
                while let Some(previous) = schedule.send_due(now) {
                    prop_assert_eq!(previous + 1, schedule.sent());
                }
                let sent = schedule.sent() - before;
                prop_assert!(sent == 0 || (could && !was_over), "{schedule:?}");
                prop_assert!(schedule.sent() <= most.min(5));
                prop_assert!(schedule.next().is_none_or(|at| at > now), "what is due is sent");
            }
        }
    }
}
