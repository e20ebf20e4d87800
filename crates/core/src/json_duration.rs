//! Durations as protobuf's JSON writes them: `"1.5s"`. Service configs and policy configs use them.

use std::time::Duration;

/// The largest number of seconds that protobuf allows: 10 000 years.
const MOST_SECONDS: u64 = 315_576_000_000;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// Not of the form `[-]digits[.1 to 9 digits]s`.
    #[error(
        "malformed duration {0:?}: want digits with an optional fraction of 1 to 9 digits, then \"s\""
    )]
    Malformed(String),
    /// More than 315 576 000 000 seconds either way.
    #[error("out of range: {0:?}")]
    OutOfRange(String),
}

/// Reads a protobuf JSON duration. The whole part or the fraction may be missing, not both.
///
/// Returns whether it was negative, and its size, cut to what 64 bits of nanoseconds hold. Follows
/// [`google.protobuf.Duration`'s JSON mapping](https://protobuf.dev/programming-guides/json/).
pub fn parse_json_duration(text: &str) -> Result<(bool, Duration), BadDuration> {
    let malformed = || BadDuration::Malformed(text.to_owned());
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let number = rest.strip_suffix('s').ok_or_else(malformed)?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if (1..=9).contains(&fraction.len()) => (whole, fraction),
        Some(_) => return Err(malformed()),
        None => (number, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if number.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(malformed());
    }
    let out_of_range = || BadDuration::OutOfRange(text.to_owned());
    let seconds = match whole {
        "" => 0,
        whole => whole.parse::<u64>().map_err(|_| out_of_range())?,
    };
    let nanos = format!("{fraction:0<9}")
        .parse::<u32>()
        .map_err(|_| malformed())?;
    if seconds > MOST_SECONDS || (seconds == MOST_SECONDS && nanos > 0) {
        return Err(out_of_range());
    }
    let longest = Duration::from_nanos(i64::MAX as u64);
    Ok((negative, Duration::new(seconds, nanos).min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_valid_durations() {
        for (text, negative, seconds, nanos) in [
            ("1s", false, 1, 0),
            ("-100.700s", true, 100, 700_000_000),
            (".050s", false, 0, 50_000_000),
            ("-.001s", true, 0, 1_000_000),
            ("-0s", true, 0, 0),
            ("1.000000001s", false, 1, 1),
        ] {
            let expected = (negative, Duration::new(seconds, nanos));
            assert_eq!(parse_json_duration(text), Ok(expected), "{text}");
        }
        let (_, longest) = parse_json_duration("315576000000s").unwrap();
        assert_eq!(longest, Duration::from_nanos(i64::MAX as u64));
    }

    #[test]
    fn the_table_of_malformed_durations() {
        for text in [
            "",
            "5m",
            "5",
            "5.3.2s",
            "x.3s",
            "3.xs",
            "1.0123456789s",
            "5.s",
            ".s",
            "s",
            "-s",
            "+1s",
            " 1s",
            "1 s",
        ] {
            assert!(
                matches!(parse_json_duration(text), Err(BadDuration::Malformed(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_range_is_protobufs() {
        for text in [
            "315576000001s",
            "-315576000001s",
            "99999999999999999999999s",
            "315576000000.1s",
        ] {
            assert_eq!(
                parse_json_duration(text).unwrap_err().to_string(),
                format!("out of range: {text:?}")
            );
        }
    }
}
