//! The headers that a connection's calls have in common: copied for each call, rather than put together.
//!
//! `grpc-timeout` is one of them. Calls that have not waited have their whole time-out left, so calls of a method
//! say the same each time, and share a map that has it. HPACK makes one byte of a field that is in its
//! table. But a value that never comes again would only push others out of there; it travels as a literal that
//! is not to be kept, under a name that the table knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use highball_core::encode_timeout;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::compression::{ALL_COMPRESSIONS, GRPC_ACCEPT_ENCODING};
use crate::response::header_list_size;

/// How many time-outs are remembered; a program has few.
const PLACES: usize = 8;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// More than the fields take up that only some calls have: a time-out, compressions, previous attempts.
const OF_SOME_CALLS: usize = 256;

#[derive(Debug)]
pub(super) struct SameHeaders {
    /// Without `grpc-timeout`.
    bare: HeaderMap,
    /// What all of gRPC's own fields take up at most, as header lists are counted.
    longest: usize,
    /// The time-outs that were sent of late, each in the place that [`place_of`] says. Held for a look-up.
    sent: Mutex<[Option<Sent>; PLACES]>,
}

#[derive(Debug)]
struct Sent {
    time: Duration,
    /// Made when it comes for the second time. Boxed: there is a place for it in each connection, mostly unused.
    headers: Option<Box<HeaderMap>>,
}

impl SameHeaders {
    pub(super) fn new(user_agent: HeaderValue) -> Self {
        let fields = [
            (header::CONTENT_TYPE, CONTENT_TYPE),
            (header::USER_AGENT, user_agent),
            (header::TE, TRAILERS),
            (GRPC_ACCEPT_ENCODING, ALL_COMPRESSIONS),
        ];
        let bare = fitted(&fields.into_iter().collect());
        Self {
            longest: header_list_size(&bare) + OF_SOME_CALLS,
            bare,
            sent: Mutex::default(),
        }
    }

    /// What all of gRPC's own fields take up at most, as header lists are counted.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The headers of a call with so much time left, or without a deadline.
    pub(super) fn of(&self, left: Option<Duration>) -> HeaderMap {
        let Some(left) = left else {
            return self.bare.clone();
        };
        let mut places = self.places();
        match &mut places[place_of(left)] {
            Some(sent) if sent.time == left => {
                let same = || Box::new(fitted(&self.with(encode_timeout(left))));
                HeaderMap::clone(sent.headers.get_or_insert_with(same))
            }
            _ => {
                // The first of all is kept in HPACK's table, if only for its name. Those that are kept are
                // compared with the value of each call to come.
                let is_first = places.iter().all(Option::is_none);
                places[place_of(left)] = Some(Sent {
                    time: left,
                    headers: None,
                });
                drop(places);
                let mut value = encode_timeout(left);
                value.set_sensitive(!is_first);
                self.with(value)
            }
        }
    }

    fn with(&self, timeout: HeaderValue) -> HeaderMap {
        let mut headers = self.bare.clone();
        headers.insert(TIMEOUT, timeout);
        headers
    }

    fn places(&self) -> MutexGuard<'_, [Option<Sent>; PLACES]> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same, without room to spare: each connection keeps it.
fn fitted(headers: &HeaderMap) -> HeaderMap {
    headers.clone()
}

/// Spreads what people write: whole seconds, and a few hundred milliseconds.
fn place_of(time: Duration) -> usize {
    (time.as_secs() as usize).wrapping_add(time.subsec_millis() as usize) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::{Compression, Compressions};

    const MINUTE: Duration = Duration::from_secs(60);

    fn same_headers() -> SameHeaders {
        SameHeaders::new(HeaderValue::from_static("test/1"))
    }

    /// The `grpc-timeout` of a call with so much time left.
    fn timeout(same: &SameHeaders, left: Duration) -> HeaderValue {
        same.of(Some(left)).remove(TIMEOUT).unwrap()
    }

    #[test]
    fn every_call_says_what_it_is_and_what_it_takes() {
        let same = same_headers();
        for left in [None, Some(MINUTE), Some(MINUTE), None] {
            let headers = same.of(left);
            assert_eq!(headers[header::CONTENT_TYPE], "application/grpc");
            assert_eq!(headers[header::USER_AGENT], "test/1");
            assert_eq!(headers[header::TE], "trailers");
            assert_eq!(headers[GRPC_ACCEPT_ENCODING], ALL_COMPRESSIONS);
            assert!(
                !headers[GRPC_ACCEPT_ENCODING].is_sensitive(),
                "one for HPACK's table"
            );
            assert_eq!(headers.contains_key(TIMEOUT), left.is_some());
        }
    }

    #[test]
    fn a_timeout_that_comes_again_is_one_for_hpacks_table() {
        let same = same_headers();
        for _ in 0..3 {
            let value = timeout(&same, MINUTE);
            assert_eq!(value, "60000000u");
            assert!(!value.is_sensitive());
        }
    }

    #[test]
    fn timeouts_that_do_not_come_again_stay_out_of_hpacks_table() {
        let same = same_headers();
        let micros = (1..=1000).map(Duration::from_micros);
        let millis = (2..=100).map(Duration::from_millis);
        let kept = micros
            .chain(millis)
            .map(|gone| timeout(&same, MINUTE - gone))
            .filter(|value| !value.is_sensitive())
            .count();
        assert_eq!(kept, 1, "the first brings the name");
        let neighbour = Duration::from_secs(58);
        assert!(timeout(&same, neighbour).is_sensitive());
        assert!(!timeout(&same, neighbour).is_sensitive());
    }

    #[test]
    fn no_fields_of_grpcs_own_are_longer_than_the_longest() {
        let same = same_headers();
        let mut headers = same.of(Some(Duration::from_nanos(1)));
        let longest = [MINUTE * 600_000, Duration::from_nanos(99_999_999)];
        for left in longest {
            headers.insert(TIMEOUT, encode_timeout(left));
        }
        headers.insert(GRPC_ACCEPT_ENCODING, Compressions::all().header_value());
        let name = HeaderValue::from_static(Compression::Identity.name());
        headers.insert("grpc-encoding", name);
        headers.insert("grpc-previous-rpc-attempts", u32::MAX.into());
        assert!(header_list_size(&headers) <= same.longest());
    }
}
