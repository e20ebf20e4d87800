//! How long to wait between attempts: gRPC's exponential backoff.

use std::time::Duration;

/// The parameters of exponential backoff, and the delays that follow from them.
///
/// The delay before retry `n` is `min(base × multiplierⁿ, max)`, spread by ± `jitter`. The first delay is
/// spread as well, so that clients that lost the same server do not come back in step. Follows
/// [connection-backoff.md](https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay before the first retry, before jitter.
    pub base: Duration,
    /// What each further delay is multiplied by.
    pub multiplier: f64,
    /// The largest share of the delay that is added or taken away at random: 0.2 is ± 20 %.
    pub jitter: f64,
    /// The largest delay, before jitter.
    pub max: Duration,
}

impl Default for Backoff {
    /// 1 s, × 1.6, ± 20 %, at most 120 s.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            multiplier: 1.6,
            jitter: 0.2,
            max: Duration::from_secs(120),
        }
    }
}

impl Backoff {
    /// The delay after `retries` retries have failed already; randomness is the caller's.
    pub fn delay(&self, retries: u32, rng: &mut fastrand::Rng) -> Duration {
        let spread = 1.0 + self.jitter * (2.0 * rng.f64() - 1.0);
        let seconds = self.nominal(retries).as_secs_f64() * spread;
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(self.max)
    }

    /// The delay after `retries` retries, without jitter.
    pub fn nominal(&self, retries: u32) -> Duration {
        let exponent = i32::try_from(retries).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.multiplier.powi(exponent);
        Duration::try_from_secs_f64(seconds).map_or(self.max, |delay| delay.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nominal_series_is_grpcs() {
        let series: Vec<_> = (0..13)
            .map(|n| Backoff::default().nominal(n).as_millis())
            .collect();
        let expected = [
            1000, 1600, 2560, 4096, 6553, 10485, 16777, 26843, 42949, 68719, 109_951, 120_000,
            120_000,
        ];
        assert_eq!(series, expected);
    }

    #[test]
    fn jitter_stays_within_a_fifth_and_uses_both_sides() {
        let mut rng = fastrand::Rng::with_seed(7);
        let ratios: Vec<f64> = (0..1000)
            .map(|n| {
                let n = n % 13;
                let backoff = Backoff::default();
                backoff.delay(n, &mut rng).as_secs_f64() / backoff.nominal(n).as_secs_f64()
            })
            .collect();
        assert!(ratios.iter().all(|ratio| (0.8..=1.2).contains(ratio)));
        assert!(
            ratios.iter().any(|ratio| *ratio < 0.85) && ratios.iter().any(|ratio| *ratio > 1.15)
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let delays = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..5)
                .map(|n| Backoff::default().delay(n, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[test]
    fn extremes_clamp_and_never_panic() {
        let mut rng = fastrand::Rng::with_seed(1);
        let odd = Backoff {
            multiplier: f64::MAX,
            jitter: 5.0,
            ..Backoff::default()
        };
        for retries in [0, 1, 1000, u32::MAX] {
            assert!(odd.nominal(retries) <= odd.max);
            let _ = odd.delay(retries, &mut rng);
        }
    }
}
