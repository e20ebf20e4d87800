//! `grpc-retry-pushback-ms`: what a server says about another attempt (gRFC A6).

use std::time::Duration;

use highball_core::MetadataMap;

use crate::call::Pushback;

/// The trailer.
const KEY: &str = "grpc-retry-pushback-ms";

impl Pushback {
    /// What the trailers of a failed attempt say.
    pub(in crate::call) fn read(trailers: &MetadataMap) -> Self {
        let mut values = trailers.get_all(KEY);
        match (values.next(), values.next()) {
            (None, _) => Self::Silent,
            (Some(value), None) => milliseconds(value).map_or(Self::Never, Self::After),
            (Some(_), Some(_)) => Self::Never,
        }
    }
}

/// An `i32` that is not negative, in plain digits: no sign and no leading zero.
fn milliseconds(value: &str) -> Option<Duration> {
    let plain = value == "0" || value.starts_with(|first: char| ('1'..='9').contains(&first));
    let number: i32 = value.parse().ok().filter(|_| plain)?;
    Some(Duration::from_millis(u64::from(number.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Pushback {
        let mut trailers = MetadataMap::new();
        for value in values {
            trailers.append(KEY, value).unwrap();
        }
        Pushback::read(&trailers)
    }

    #[test]
    fn a6_a_server_names_a_delay_or_forbids_another_attempt() {
        let after = |millis| Pushback::After(Duration::from_millis(millis));
        assert_eq!(read(&[]), Pushback::Silent);
        assert_eq!(read(&["0"]), after(0));
        assert_eq!(read(&["1500"]), after(1500));
        assert_eq!(read(&["2147483647"]), after(2_147_483_647));
        for bad in [
            "-1",
            "xxx",
            "",
            "+5",
            "007",
            "00",
            "2147483648",
            "1.5",
            "1 ",
        ] {
            assert_eq!(read(&[bad]), Pushback::Never, "{bad:?}");
        }
        assert_eq!(read(&["1", "1"]), Pushback::Never);
    }
}
