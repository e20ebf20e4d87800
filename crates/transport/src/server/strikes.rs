//! How often a client may ask: the enforcement of gRFC A8.
//!
//! ```text
//!   PING ──┬─ headers or data left since the one before ──► strikes = 0
//!          ├─ too soon after the one before ──────────────► a strike; the third ends the connection
//!          └─ else ───────────────────────────────────────► nothing
//! ```
//!
//! The first PING is free.

use std::time::Duration;

use tokio::time::Instant;

use super::EnforcementPolicy;
use crate::tap::Facts;

/// How many strikes are forgiven.
const STRIKES: u32 = 2;

/// How far PINGs must be apart while there are no streams, unless they are allowed then: as TCP's keepalive.
const WITHOUT_STREAMS: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(Debug)]
pub(super) struct Strikes {
    policy: EnforcementPolicy,
    /// How many PINGs have been judged.
    judged: u32,
    /// How many HEADERS and DATA had left then.
    progress: u32,
    last: Option<Instant>,
    count: u32,
}

impl Strikes {
    pub(super) fn new(policy: EnforcementPolicy) -> Self {
        Self {
            policy,
            judged: 0,
            progress: 0,
            last: None,
            count: 0,
        }
    }

    /// Judges the PINGs that have come; says whether there are too many. Costs a look at a counter when there
    /// are none.
    pub(super) fn are_too_many(
        &mut self,
        facts: &Facts,
        has_streams: impl FnOnce() -> bool,
    ) -> bool {
        let pings = facts.pings_received();
        let new = pings.wrapping_sub(self.judged);
        if new == 0 {
            return false;
        }
        self.judged = pings;
        self.judge(new, facts.progress_sent(), has_streams(), facts.last_read())
    }

    fn judge(&mut self, pings: u32, progress: u32, has_streams: bool, at: Instant) -> bool {
        let apart = match has_streams || self.policy.permit_without_stream {
            true => self.policy.min_time,
            false => WITHOUT_STREAMS,
        };
        for _ in 0..pings {
            let last = self.last.replace(at);
            if std::mem::replace(&mut self.progress, progress) != progress {
                self.count = 0;
            } else if last.is_some_and(|last| at.saturating_duration_since(last) < apart) {
                self.count += 1;
            }
        }
        self.count > STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Which of the PINGs, each so many seconds behind the one before, is one too many.
    fn ended_by(gaps: &[u32], permit_without_stream: bool, has_streams: bool) -> Option<usize> {
        let mut strikes = Strikes::new(EnforcementPolicy {
            permit_without_stream,
            ..EnforcementPolicy::default()
        });
        let mut at = Instant::now();
        gaps.iter().position(|gap| {
            at += *gap * SECOND;
            strikes.judge(1, 0, has_streams, at)
        })
    }

    #[test]
    fn the_first_ping_is_free_and_the_third_strike_ends_it() {
        assert_eq!(ended_by(&[1; 9], false, true), Some(3));
        assert_eq!(ended_by(&[299; 9], false, true), Some(3));
        assert_eq!(ended_by(&[300; 99], false, true), None, "obeying");
        assert_eq!(ended_by(&[300, 1, 300, 1, 300, 1], true, false), Some(5));
    }

    #[test]
    fn without_streams_two_hours_must_pass_unless_it_is_permitted() {
        assert_eq!(ended_by(&[300; 9], false, false), Some(3));
        assert_eq!(ended_by(&[7200; 99], false, false), None);
        assert_eq!(ended_by(&[300; 99], true, false), None);
    }

    #[test]
    fn what_the_server_sends_wipes_strikes_out() {
        let mut strikes = Strikes::new(EnforcementPolicy::default());
        let now = Instant::now();
        for sent in 0..50 {
            assert!(!strikes.judge(3, sent, true, now), "{sent}");
        }
        assert!(strikes.judge(2, 49, true, now));
    }
}
