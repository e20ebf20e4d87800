//! When a channel stops retrying altogether (gRFC A6).
//!
//! ```text
//!   tokens   max ┤■■■■■■■■■■■■■■■   a success brings back `tokenRatio`
//!                │■■■■■■■■■■■■■
//!          max/2 ┼─────────────── at or below this line nothing is retried
//!                │■■■■■           a failure that counts takes one
//!              0 ┴
//! ```
//!
//! One throttle serves all calls of a channel, so that servers in trouble are not given the work of
//! retries on top. What counts as a failure: a code that the policy retries, and a server that says not to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::service_config::RetryThrottling;

/// One token, in the unit that is counted in.
const TOKEN: u32 = 1000;

/// The tokens of a channel. Calls take and bring them back concurrently, without a lock.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: RetryThrottling,
    /// Between zero and the limits' maximum.
    milli_tokens: AtomicU32,
}

impl Throttle {
    /// With all its tokens.
    pub(crate) fn full(limits: RetryThrottling) -> Arc<Self> {
        Self::with(limits, limits.max_milli_tokens)
    }

    /// What follows `self` when a service config says `limits`: itself if nothing has changed, else one
    /// that is filled in the same proportion. A new config is no reason to forget what went wrong.
    pub(crate) fn adapt(self: &Arc<Self>, limits: RetryThrottling) -> Arc<Self> {
        if self.limits == limits {
            return self.clone();
        }
        let tokens = u64::from(self.milli_tokens.load(Ordering::Relaxed));
        let scaled =
            tokens * u64::from(limits.max_milli_tokens) / u64::from(self.limits.max_milli_tokens);
        // No more than the new maximum, which is a `u32`.
        Self::with(limits, scaled as u32)
    }

    fn with(limits: RetryThrottling, milli_tokens: u32) -> Arc<Self> {
        Arc::new(Self {
            limits,
            milli_tokens: AtomicU32::new(milli_tokens),
        })
    }

    /// Takes a token for a failure; says whether there may be another attempt.
    pub(in crate::call) fn failed(&self) -> bool {
        self.allows(self.change(|tokens| tokens.saturating_sub(TOKEN)))
    }

    /// Whether attempts may be sent beside others that are still out.
    pub(in crate::call) fn is_open(&self) -> bool {
        self.allows(self.milli_tokens.load(Ordering::Relaxed))
    }

    /// Brings back what a success is worth.
    pub(in crate::call) fn succeeded(&self) {
        let (worth, max) = (
            self.limits.milli_tokens_per_success,
            self.limits.max_milli_tokens,
        );
        self.change(|tokens| tokens.saturating_add(worth).min(max));
    }

    fn allows(&self, milli_tokens: u32) -> bool {
        milli_tokens > self.limits.max_milli_tokens / 2
    }

    /// The tokens after the change.
    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let update = |tokens| Some(change(tokens));
        match self
            .milli_tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
        {
            Ok(before) | Err(before) => change(before),
        }
    }
}

#[cfg(test)]
impl Throttle {
    pub(super) fn milli_tokens(&self) -> u32 {
        self.milli_tokens.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_milli_tokens: u32, milli_tokens_per_success: u32) -> RetryThrottling {
        RetryThrottling {
            max_milli_tokens,
            milli_tokens_per_success,
        }
    }

    #[test]
    fn a6_retries_stop_at_half_of_the_tokens() {
        let throttle = Throttle::full(limits(10_000, 500));
        for allowed in [true, true, true, true, false, false] {
            assert_eq!(throttle.failed(), allowed, "{throttle:?}");
        }
        for open in [false, false, true] {
            throttle.succeeded();
            let tokens = throttle.milli_tokens.load(Ordering::Relaxed);
            assert_eq!(throttle.allows(tokens), open, "{throttle:?}");
        }
    }

    #[test]
    fn a6_tokens_stay_between_none_and_the_maximum() {
        let throttle = Throttle::full(limits(1_500, 2_000));
        for _ in 0..3 {
            throttle.failed();
        }
        assert_eq!(throttle.milli_tokens.load(Ordering::Relaxed), 0);
        for _ in 0..2 {
            throttle.succeeded();
        }
        assert_eq!(throttle.milli_tokens.load(Ordering::Relaxed), 1_500);
    }

    #[test]
    fn a_config_that_changes_nothing_keeps_the_tokens_and_another_keeps_their_proportion() {
        let throttle = Throttle::full(limits(10_000, 100));
        for _ in 0..6 {
            throttle.failed();
        }
        let same = throttle.adapt(limits(10_000, 100));
        assert!(Arc::ptr_eq(&throttle, &same));
        let larger = throttle.adapt(limits(1_000_000, 100));
        assert_eq!(larger.milli_tokens.load(Ordering::Relaxed), 400_000);
    }
}
