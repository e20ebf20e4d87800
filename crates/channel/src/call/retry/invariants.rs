//! What holds of retries and hedges whatever attempts come to, checked on random calls of one channel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use highball_core::{Code, MetadataMap, Status};
use highball_transport::client::Processed;
use proptest::prelude::*;

use super::{Retrying, Throttle, Verdict};
use crate::service_config::{RetryPolicy, RetryThrottling};

/// What an attempt may come to.
#[derive(Clone, Copy, Debug)]
enum Comes {
    NothingSent,
    Refused,
    Retryable,
    Fatal,
    /// Forbidden by the server.
    Forbidden,
    /// Put off by the server, by so many milliseconds.
    PutOff(u32),
    Succeeds,
}

fn comes() -> impl Strategy<Value = Comes> {
    prop_oneof![
        1 => Just(Comes::NothingSent),
        1 => Just(Comes::Refused),
        6 => Just(Comes::Retryable),
        1 => Just(Comes::Fatal),
        1 => Just(Comes::Forbidden),
        1 => (0..10_000_u32).prop_map(Comes::PutOff),
        2 => Just(Comes::Succeeds),
    ]
}

fn status(comes: Comes) -> Status {
    let pushback = match comes {
        Comes::Forbidden => "-1".to_owned(),
        Comes::PutOff(millis) => millis.to_string(),
        Comes::Fatal => return Status::internal("fatal"),
        _ => return Status::unavailable("down"),
    };
    let mut trailers = MetadataMap::new();
    trailers
        .append("grpc-retry-pushback-ms", &pushback)
        .expect("it may be set");
    Status::unavailable("down").with_metadata(trailers)
}

/// A bucket as simple as can be.
struct Model {
    milli_tokens: u32,
    limits: RetryThrottling,
}

impl Model {
    fn is_open(&self) -> bool {
        self.milli_tokens > self.limits.max_milli_tokens / 2
    }

    fn take(&mut self) {
        self.milli_tokens = self.milli_tokens.saturating_sub(1000);
    }

    fn give(&mut self) {
        let more = self.milli_tokens + self.limits.milli_tokens_per_success;
        self.milli_tokens = more.min(self.limits.max_milli_tokens);
    }
}

/// Makes calls until there are no more outcomes, each as its verdicts say.
fn run(max_attempts: u32, cap: u32, limits: RetryThrottling, mut outcomes: VecDeque<Comes>) {
    let policy = Arc::new(RetryPolicy {
        max_attempts,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 2.0,
        retryable_codes: vec![Code::Unavailable],
    });
    let throttle = Throttle::full(limits);
    let mut model = Model {
        milli_tokens: limits.max_milli_tokens,
        limits,
    };
    while !outcomes.is_empty() {
        let mut retrying = Retrying::with_policy(policy.clone(), cap, Some(throttle.clone()));
        let (mut attempts, mut refusals) = (1, 0);
        while let Some(outcome) = outcomes.pop_front() {
            let is_first = attempts == 1;
            let verdict = match outcome {
                Comes::Succeeds => {
                    throttle.succeeded();
                    model.give();
                    break;
                }
                Comes::NothingSent => retrying.ended(status(outcome), Processed::NothingSent),
                Comes::Refused => retrying.ended(status(outcome), Processed::Unprocessed),
                _ => retrying.ended(status(outcome), Processed::MaybeProcessed),
            };
            let again = match verdict {
                Verdict::Again(delay) => Some(delay),
                Verdict::Over(_) => None,
            };
            let refused = matches!(outcome, Comes::Refused);
            let is_transparent =
                matches!(outcome, Comes::NothingSent) || (refused && is_first && refusals == 0);
            if is_transparent {
                refusals += u32::from(refused);
                assert_eq!(again, Some(Duration::ZERO), "at once, and always");
                assert_eq!(retrying.previous_attempts() + 1, attempts, "it is none");
            } else {
                if !matches!(outcome, Comes::Fatal) {
                    model.take();
                }
                let is_allowed = !matches!(outcome, Comes::Fatal | Comes::Forbidden)
                    && model.is_open()
                    && attempts < max_attempts.min(cap);
                assert_eq!(again.is_some(), is_allowed, "{outcome:?} {attempts}");
                attempts += 1;
            }
            assert_eq!(throttle.milli_tokens(), model.milli_tokens);
            match (again, outcome) {
                (None, _) => break,
                (Some(delay), Comes::PutOff(millis)) => {
                    assert_eq!(delay.as_millis(), u128::from(millis));
                }
                (Some(delay), _) => assert!(delay <= Duration::from_millis(1200)),
            }
        }
        assert!(attempts <= max_attempts.min(cap) + 1);
    }
}

proptest! {
    /// No retry begins at half of the tokens or less; tokens are never fewer than none nor more than the most;
    /// no call has more attempts than allowed; what no server has seen is made again at once, a refusal once.
    #[test]
    fn a6_attempts_and_tokens_stay_within_their_limits(
        max_attempts in 2..7_u32,
        cap in 2..7_u32,
        max_milli_tokens in 1..12_000_u32,
        milli_tokens_per_success in 1..3_000_u32,
        outcomes in prop::collection::vec_deque(comes(), 1..120),
    ) {
        let limits = RetryThrottling { max_milli_tokens, milli_tokens_per_success };
        run(max_attempts, cap, limits, outcomes);
    }
}
