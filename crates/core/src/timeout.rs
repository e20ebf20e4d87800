//! `grpc-timeout`: how much time a call has left, as it travels to the server.

use std::time::Duration;

use http::HeaderValue;

/// The most digits of a `grpc-timeout`.
const MOST_DIGITS: usize = 8;

/// The largest value of `grpc-timeout`: eight digits.
const LARGEST: u64 = 99_999_999;

/// The units of `grpc-timeout`, finest first, in nanoseconds.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// The longest time that is kept: 292 years, i64's nanoseconds.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// Writes a time as `grpc-timeout`, in the finest unit that fits eight digits, rounded **up**: the server
/// never gives up before the client does. A time beyond the largest value becomes the largest value.
///
/// Follows [PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
///
/// ```
/// use std::time::Duration;
/// use highball_core::encode_timeout;
///
/// assert_eq!(encode_timeout(Duration::from_millis(1500)), "1500000u");
/// ```
pub fn encode_timeout(time: Duration) -> HeaderValue {
    let (mut value, unit) = finest(time);
    let mut text = [unit; MOST_DIGITS + 1];
    let mut start = MOST_DIGITS;
    loop {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[start..]).expect("digits and a unit are legal in a header")
}

/// The time in the finest unit in which it has no more than eight digits.
fn finest(time: Duration) -> (u64, u8) {
    let Ok(nanos) = u64::try_from(time.as_nanos()) else {
        // In 584 years one second more is none.
        let hours = time.as_secs().saturating_add(1).div_ceil(3600);
        return (hours.min(LARGEST), b'H');
    };
    let in_unit = |(unit, size): &(u8, u64)| (nanos.div_ceil(*size), *unit);
    UNITS
        .iter()
        .map(in_unit)
        .find(|(value, _)| *value <= LARGEST)
        .expect("nanoseconds that fit 64 bits are five million hours at most")
}

/// A `grpc-timeout` that is not one to eight digits and a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed grpc-timeout: {0:?}")]
pub struct MalformedTimeout(pub String);

/// Reads a `grpc-timeout`: one to eight digits and one of `n`, `u`, `m`, `S`, `M`, `H`.
///
/// Times longer than 292 years are cut to that. Zero is allowed and means that no time is left.
pub fn decode_timeout(value: &[u8]) -> Result<Duration, MalformedTimeout> {
    let malformed = || MalformedTimeout(String::from_utf8_lossy(value).into_owned());
    let (unit, digits) = value.split_last().ok_or_else(malformed)?;
    let (_, size) = UNITS
        .iter()
        .find(|(known, _)| known == unit)
        .ok_or_else(malformed)?;
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return Err(malformed());
    }
    let mut count = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(malformed());
        }
        count = count * 10 + u64::from(digit - b'0');
    }
    Ok(count
        .checked_mul(*size)
        .map_or(LONGEST, |nanos| Duration::from_nanos(nanos).min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_finest_unit_that_fits_is_used_and_rounded_up() {
        for (nanos, text) in [
            (0, "0n"),
            (1, "1n"),
            (99_999_999, "99999999n"),
            (100_000_000, "100000u"),
            (123_456_789, "123457u"),
            (99_999_999_000, "99999999u"),
            (100_000_000_000, "100000m"),
            (99_999_999_000_000, "99999999m"),
            (123_456_789_000_000, "123457S"),
            (99_999_999_000_000_001, "1666667M"),
        ] {
            assert_eq!(encode_timeout(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(encode_timeout(Duration::from_secs(123_456_789)), "2057614M");
        assert_eq!(
            encode_timeout(Duration::from_secs(3600 * 9_999_999)),
            "10000000H"
        );
        assert_eq!(encode_timeout(Duration::MAX), "99999999H");
    }

    #[test]
    fn valid_values_are_read() {
        for (text, time) in [
            ("0S", Duration::ZERO),
            ("1n", Duration::from_nanos(1)),
            ("12345678u", Duration::from_micros(12_345_678)),
            ("250m", Duration::from_millis(250)),
            ("7S", Duration::from_secs(7)),
            ("2M", Duration::from_secs(120)),
            ("3H", Duration::from_secs(10_800)),
            ("99999999H", LONGEST),
        ] {
            assert_eq!(decode_timeout(text.as_bytes()), Ok(time), "{text}");
        }
    }

    #[test]
    fn malformed_values_are_refused_with_their_text() {
        for text in [
            "",
            "S",
            "1",
            "1234",
            "1234s",
            "1234x",
            "-1S",
            "+1S",
            "9a1S",
            "000000000S",
            "1 S",
        ] {
            let error = decode_timeout(text.as_bytes()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("malformed grpc-timeout: {text:?}")
            );
        }
        assert!(decode_timeout(&[0xff, b'S']).is_err());
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_never_shorter_and_at_most_one_unit_longer(nanos in 0..i64::MAX as u64) {
            let time = Duration::from_nanos(nanos);
            let text = encode_timeout(time);
            prop_assert!(text.len() <= 9);
            let decoded = decode_timeout(text.as_bytes()).unwrap();
            let unit = UNITS.iter().find(|(unit, _)| text.as_bytes().last() == Some(unit)).unwrap().1.into();
            prop_assert!(decoded >= time && (decoded - time).as_nanos() < unit);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode_timeout(&bytes);
        }
    }
}
