//! Weighted shuffling of endpoints (gRFC A113).

use highball_core::Endpoint;

/// How much of the traffic an endpoint should get, relative to the others: an attribute of an
/// [`Endpoint`]. Zero counts as 1, and so does an endpoint without one.
///
/// ```
/// use highball_balancer::EndpointWeight;
/// use highball_core::{Attributes, Endpoint};
///
/// let endpoint = Endpoint::from("10.0.0.1:50051");
/// let heavy = endpoint.with_attributes(Attributes::default().with(EndpointWeight(3)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointWeight(pub u32);

impl EndpointWeight {
    /// The weight of this endpoint, at least 1.
    pub fn of(endpoint: &Endpoint) -> u32 {
        let weight = endpoint.attributes().get::<Self>();
        weight.map_or(1, |weight| weight.0.max(1))
    }
}

/// The endpoints in random order, where a heavier one tends to come earlier: the chance of being first
/// is in proportion to the weight.
pub(super) fn shuffled<'e>(
    endpoints: &'e [Endpoint],
    rng: &mut fastrand::Rng,
) -> Vec<&'e Endpoint> {
    let mut keyed: Vec<_> = endpoints
        .iter()
        .map(|endpoint| (key(rng.f64(), EndpointWeight::of(endpoint)), endpoint))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    keyed.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// Sorts like `u^(1/weight)`, the key of A113. The weights of xDS are fractions of 2³¹: so large that
/// the power is 1 for all of them, while its logarithm keeps them apart.
fn key(u: f64, weight: u32) -> f64 {
    u.ln() / f64::from(weight)
}

#[cfg(test)]
mod tests {
    use highball_core::Attributes;

    use super::*;

    fn weighted(name: &str, weight: u32) -> Endpoint {
        Endpoint::from(name).with_attributes(Attributes::default().with(EndpointWeight(weight)))
    }

    #[test]
    fn a113_with_equal_luck_the_heaviest_comes_first() {
        // 1/6, 2/6 and 3/6 as fractions of 2³¹.
        let keys = [357_913_941, 715_827_882, 1_073_741_824].map(|weight| key(0.5, weight));
        assert!(keys[0] < keys[1] && keys[1] < keys[2], "{keys:?}");
    }

    #[test]
    fn a113_the_share_of_first_places_follows_the_weights() {
        let endpoints = [weighted("a:1", 0), weighted("b:1", 2), weighted("c:1", 3)];
        let mut rng = fastrand::Rng::with_seed(42);
        let mut firsts = [0_u32; 3];
        for _ in 0..6000 {
            let first = shuffled(&endpoints, &mut rng)[0];
            firsts[endpoints.iter().position(|e| e == first).unwrap()] += 1;
        }
        for (count, expected) in firsts.into_iter().zip([1000, 2000, 3000]) {
            assert!(count.abs_diff(expected) < 120, "{firsts:?}");
        }
    }

    #[test]
    fn the_worst_luck_sorts_last_and_nothing_is_lost() {
        assert_eq!(key(0.0, 5), f64::NEG_INFINITY);
        let endpoints: Vec<_> = (1..=9).map(|n| weighted(&format!("{n}:1"), n)).collect();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut names: Vec<_> = shuffled(&endpoints, &mut rng)
            .iter()
            .map(|e| e.identity()[0].to_owned())
            .collect();
        names.sort();
        assert_eq!(names, (1..=9).map(|n| format!("{n}:1")).collect::<Vec<_>>());
    }
}
