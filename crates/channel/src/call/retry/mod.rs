//! Which failed attempts are made again, and after how long (gRFC A6).
//!
//! An attempt counts from the moment its response has begun: whatever was *committed* so is never asked
//! about here. The rest is asked in this order; the first line that applies decides.
//!
//! | the attempt | is it made again? |
//! |---|---|
//! | its headers never left this machine | at once, always, until the deadline: *transparent* |
//! | is the first, and the server says it has not looked at it (REFUSED_STREAM, above GOAWAY's last) | at once: *transparent* |
//! | the server forbids it (`grpc-retry-pushback-ms`), or no policy retries its code | no |
//! | the channel's [`Throttle`] is at half of its tokens or less | no |
//! | is the last that the policy allows | no, and the status says how many there were |
//! | anything else | after the server's delay, else after the policy's backoff |
//!
//! Transparent retries are no retries: they take no token, and no server hears of them.

mod pushback;
mod throttle;

#[cfg(test)]
mod invariants;

use std::sync::Arc;
use std::time::Duration;

use highball_core::{Backoff, Status};
use highball_transport::client::Processed;

use super::{AttemptInfo, Pushback};
use crate::service_config::RetryPolicy;
pub(crate) use throttle::Throttle;

/// The attempts at a call so far, and what may come of another failure.
#[derive(Debug, Default)]
pub(super) struct Retrying {
    refused_once: bool,
    /// Whether the attempt is made in place of one that no server has worked on.
    is_transparent: bool,
    /// What most calls do not have, and do not pay for.
    policy: Option<Box<Counted>>,
}

/// The retries of a call that has a policy.
#[derive(Debug)]
struct Counted {
    policy: Arc<RetryPolicy>,
    /// The policy's attempts or the channel's cap, whichever is less.
    max_attempts: u32,
    throttle: Option<Arc<Throttle>>,
    /// How many attempts there were before this one; transparent ones are none.
    previous_attempts: u32,
    /// How many retries there were since a server last named a delay.
    backed_off: u32,
}

/// What becomes of a call whose attempt has failed.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Another attempt is made after this time.
    Again(Duration),
    /// The call ends with this status.
    Over(Status),
}

impl Retrying {
    /// A call that is retried as `policy` says, with no more attempts than `cap`.
    pub(super) fn with_policy(
        policy: Arc<RetryPolicy>,
        cap: u32,
        throttle: Option<Arc<Throttle>>,
    ) -> Self {
        let counted = Counted {
            max_attempts: policy.max_attempts.min(cap),
            policy,
            throttle,
            previous_attempts: 0,
            backed_off: 0,
        };
        Self {
            policy: Some(Box::new(counted)),
            ..Self::default()
        }
    }

    /// Which attempt this one is.
    pub(super) fn attempt(&self) -> AttemptInfo {
        AttemptInfo {
            previous_attempts: self.previous_attempts(),
            is_transparent_retry: self.is_transparent,
            is_hedged: false,
        }
    }

    /// How many attempts there were before this one, as `grpc-previous-rpc-attempts` tells the server.
    fn previous_attempts(&self) -> u32 {
        self.policy
            .as_ref()
            .map_or(0, |counted| counted.previous_attempts)
    }

    /// An attempt has ended before its response began; the server can have seen of it what `processed` says.
    pub(super) fn ended(&mut self, status: Status, processed: Processed) -> Verdict {
        let first = self.previous_attempts() == 0;
        match processed {
            Processed::NothingSent => {}
            Processed::Unprocessed if first && !self.refused_once => self.refused_once = true,
            Processed::Unprocessed | Processed::MaybeProcessed => return self.failed(status),
        }
        tracing::debug!(target: "channel", %status, ?processed, "transparent retry");
        self.is_transparent = true;
        Verdict::Again(Duration::ZERO)
    }

    /// An attempt has failed, with a stream or, where the picker has none to give, without.
    pub(super) fn failed(&mut self, status: Status) -> Verdict {
        self.is_transparent = false;
        match &mut self.policy {
            Some(counted) => counted.failed(status),
            None => Verdict::Over(status),
        }
    }
}

impl Counted {
    fn failed(&mut self, status: Status) -> Verdict {
        let pushback = Pushback::read(status.metadata());
        if pushback == Pushback::Never {
            self.take_token();
            return Verdict::Over(status);
        }
        if !self.policy.retryable_codes.contains(&status.code()) || !self.take_token() {
            return Verdict::Over(status);
        }
        self.previous_attempts += 1;
        if self.previous_attempts >= self.max_attempts {
            return Verdict::Over(exhausted(status, self.previous_attempts));
        }
        Verdict::Again(self.delay(pushback))
    }

    /// Whether the throttle lets there be another attempt.
    fn take_token(&self) -> bool {
        self.throttle
            .as_ref()
            .is_none_or(|throttle| throttle.failed())
    }

    /// The server's delay, which begins the series anew, or the next of the series.
    fn delay(&mut self, pushback: Pushback) -> Duration {
        if let Pushback::After(delay) = pushback {
            self.backed_off = 0;
            return delay;
        }
        let series = Backoff {
            base: self.policy.initial_backoff,
            multiplier: self.policy.backoff_multiplier,
            jitter: 0.2,
            max: self.policy.max_backoff,
        };
        let delay = series.delay(self.backed_off, &mut fastrand::Rng::new());
        self.backed_off += 1;
        delay
    }
}

/// The last attempt's status, which says that it was the last.
fn exhausted(status: Status, attempts: u32) -> Status {
    let message = format!(
        "max retries exhausted: failed after {attempts} attempts: {}",
        status.message()
    );
    status.with_message(message)
}

#[cfg(test)]
mod tests {
    use highball_core::{Code, MetadataMap};

    use super::*;
    use crate::service_config::RetryThrottling;

    fn policy(max_attempts: u32) -> Arc<RetryPolicy> {
        Arc::new(RetryPolicy {
            max_attempts,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            backoff_multiplier: 2.0,
            retryable_codes: vec![Code::Unavailable],
        })
    }

    fn retrying(max_attempts: u32) -> Retrying {
        Retrying::with_policy(policy(max_attempts), 5, None)
    }

    fn pushed_back(milliseconds: &str) -> Status {
        let mut trailers = MetadataMap::new();
        trailers
            .append("grpc-retry-pushback-ms", milliseconds)
            .unwrap();
        Status::unavailable("busy").with_metadata(trailers)
    }

    /// The delay, in milliseconds, if there is another attempt.
    fn again(verdict: Verdict) -> Option<u64> {
        match verdict {
            Verdict::Again(delay) => Some(delay.as_millis() as u64),
            Verdict::Over(_) => None,
        }
    }

    fn over(verdict: Verdict) -> String {
        match verdict {
            Verdict::Over(status) => status.to_string(),
            Verdict::Again(delay) => panic!("again after {delay:?}"),
        }
    }

    #[test]
    fn a6_attempts_are_those_of_the_policy_or_the_cap_whichever_is_less() {
        for (policy_attempts, cap, expected) in [(9, 4, 4), (9, 7, 7), (3, 10, 3), (8, 5, 5)] {
            let mut retrying = Retrying::with_policy(policy(policy_attempts), cap, None);
            for previous in 0..expected - 1 {
                assert_eq!(retrying.previous_attempts(), previous);
                assert!(again(retrying.failed(Status::unavailable("down"))).is_some());
            }
            let last = over(retrying.failed(Status::unavailable("down")));
            assert_eq!(
                last,
                format!(
                    "UNAVAILABLE: max retries exhausted: failed after {expected} attempts: down"
                )
            );
        }
    }

    #[test]
    fn a6_delays_grow_with_jitter_up_to_the_largest_and_a_pushback_begins_them_anew() {
        let mut retrying = Retrying::with_policy(policy(20), 20, None);
        for nominal in [100, 200, 400, 800, 1000, 1000] {
            let delay = again(retrying.failed(Status::unavailable("down"))).unwrap();
            assert!(
                (nominal * 8 / 10..=nominal * 12 / 10).contains(&delay),
                "{delay}"
            );
        }
        assert_eq!(again(retrying.failed(pushed_back("1500"))), Some(1500));
        let delay = again(retrying.failed(Status::unavailable("down"))).unwrap();
        assert!((80..=120).contains(&delay), "{delay}");
    }

    #[test]
    fn a6_a_server_that_forbids_retries_is_obeyed_whatever_the_code() {
        for forbidding in ["-1", "xxx"] {
            assert_eq!(
                over(retrying(4).failed(pushed_back(forbidding))),
                "UNAVAILABLE: busy"
            );
        }
    }

    #[test]
    fn a6_other_codes_end_the_call_as_they_are_and_so_does_any_without_a_policy() {
        let internal = over(retrying(4).failed(Status::internal("broken")));
        assert_eq!(internal, "INTERNAL: broken");
        let down = over(Retrying::default().failed(Status::unavailable("down")));
        assert_eq!(down, "UNAVAILABLE: down");
    }

    #[test]
    fn a6_transparent_retries_are_no_attempts() {
        for mut retrying in [Retrying::default(), retrying(2)] {
            for _ in 0..100 {
                let verdict = retrying.ended(Status::unavailable("lost"), Processed::NothingSent);
                assert_eq!(again(verdict), Some(0));
            }
            let mut refused =
                || retrying.ended(Status::unavailable("refused"), Processed::Unprocessed);
            assert_eq!(again(refused()), Some(0));
            assert_eq!(retrying.previous_attempts(), 0);
            let has_policy = retrying.policy.is_some();
            let second = retrying.ended(Status::unavailable("refused"), Processed::Unprocessed);
            assert_eq!(again(second).is_some(), has_policy);
            assert_eq!(retrying.previous_attempts(), u32::from(has_policy));
        }
    }

    #[test]
    fn a6_the_reference_run_of_the_throttle() {
        let limits = RetryThrottling {
            max_milli_tokens: 10_000,
            milli_tokens_per_success: 500,
        };
        let throttle = Throttle::full(limits);
        let succeeds = [0, 3, 6, 10, 11, 12, 13, 14, 16, 18];
        let mut request = 0;
        let mut last_requests = Vec::new();
        for _ in 0..12 {
            let mut retrying = Retrying::with_policy(policy(4), 5, Some(throttle.clone()));
            loop {
                let index = request;
                request += 1;
                if succeeds.contains(&index) {
                    throttle.succeeded();
                    last_requests.push((index, true));
                    break;
                }
                if again(retrying.failed(Status::unavailable("down"))).is_none() {
                    last_requests.push((index, false));
                    break;
                }
            }
        }
        let expected = [
            (0, true),
            (3, true),
            (6, true),
            (8, false),
            (9, false),
            (10, true),
            (11, true),
            (12, true),
            (13, true),
            (14, true),
            (16, true),
            (17, false),
        ];
        assert_eq!(last_requests, expected);
    }
}
