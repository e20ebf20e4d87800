//! `grpc-timeout` as a connection sends it: what comes again is left to HPACK.
//!
//! Calls that have not waited have their whole time-out left, so calls of a method say the same each time.
//! HPACK makes one byte of a field that is in its table. But a value that never comes again would only push
//! others out of there; it travels as a literal that is not to be kept, under a name that the table knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use highball_core::encode_timeout;
use http::HeaderValue;

/// How many time-outs are remembered; a program has few.
const PLACES: usize = 8;

/// The time-outs that were sent of late.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    /// Each in the place that [`place_of`] says. Held for a look-up.
    sent: Mutex<[Option<Sent>; PLACES]>,
}

#[derive(Debug)]
struct Sent {
    time: Duration,
    /// Made when it comes for the second time.
    value: Option<HeaderValue>,
}

impl Timeouts {
    /// The value for a call with so much time left.
    pub(super) fn value(&self, left: Duration) -> HeaderValue {
        let mut places = self.places();
        let place = &mut places[place_of(left)];
        match place {
            Some(sent) if sent.time == left => sent
                .value
                .get_or_insert_with(|| encode_timeout(left))
                .clone(),
            _ => {
                // The first is kept in HPACK's table, if only for its name.
                let is_first = place.is_none();
                *place = Some(Sent {
                    time: left,
                    value: None,
                });
                let mut value = encode_timeout(left);
                value.set_sensitive(!is_first);
                value
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, [Option<Sent>; PLACES]> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads what people write: whole seconds, and a few hundred milliseconds.
fn place_of(time: Duration) -> usize {
    (time.as_secs() as usize).wrapping_add(time.subsec_millis() as usize) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_timeout_that_comes_again_is_one_for_hpacks_table() {
        let timeouts = Timeouts::default();
        for _ in 0..3 {
            let value = timeouts.value(MINUTE);
            assert_eq!(value, "60000000u");
            assert!(!value.is_sensitive());
        }
    }

    #[test]
    fn timeouts_that_do_not_come_again_stay_out_of_hpacks_table() {
        let timeouts = Timeouts::default();
        let kept = (1..=1000)
            .map(|micros| timeouts.value(MINUTE - Duration::from_micros(micros)))
            .filter(|value| !value.is_sensitive())
            .count();
        assert_eq!(kept, 1, "the first brings the name");
        let neighbour = Duration::from_secs(58);
        assert!(timeouts.value(neighbour).is_sensitive());
        assert!(!timeouts.value(neighbour).is_sensitive());
    }
}
