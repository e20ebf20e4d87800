//! How long a server asks its client to wait, in Rust's own durations.

use std::time::Duration;

use super::RetryInfo;

impl RetryInfo {
    /// The call may be tried again after this long.
    pub fn after(delay: Duration) -> Self {
        Self {
            retry_delay: Some(delay.into()),
        }
    }

    /// How long to wait; `None` if the server does not say, or says something that is no time to wait: less
    /// than nothing, or parts of seconds that are seconds.
    pub fn delay(&self) -> Option<Duration> {
        self.retry_delay?.to_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::details::ProtoDuration;

    #[test]
    fn a_delay_goes_both_ways_and_nonsense_is_none() {
        for delay in [
            Duration::ZERO,
            Duration::from_millis(1_500),
            Duration::from_secs(86_400),
        ] {
            assert_eq!(RetryInfo::after(delay).delay(), Some(delay));
        }
        let says = |seconds, nanos| {
            let retry_delay = Some(ProtoDuration { seconds, nanos });
            RetryInfo { retry_delay }.delay()
        };
        assert_eq!(says(-1, 0), None);
        assert_eq!(says(0, -1), None);
        assert_eq!(says(0, 1_000_000_000), None);
        assert_eq!(
            says(i64::MAX, 0),
            Some(Duration::from_secs(i64::MAX as u64))
        );
        assert_eq!(RetryInfo { retry_delay: None }.delay(), None);
        assert_eq!(
            RetryInfo::after(Duration::MAX).delay().unwrap().as_secs(),
            i64::MAX as u64
        );
    }
}
