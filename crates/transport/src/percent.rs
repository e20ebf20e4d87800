//! `grpc-message` as it is read: text of any kind in a header that carries printable ASCII.

/// Reads `grpc-message`. Never fails: what is no escape stays, what is not UTF-8 is replaced.
pub(crate) fn decode(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = tail;
                    continue;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reading_is_lenient() {
        for (encoded, plain) in [
            ("Hello", "Hello"),
            ("50%25", "50%"),
            ("a%0Ab%00", "a\nb\0"),
            ("%F0%9F%98%88", "\u{1f608}"),
            ("H%6", "H%6"),
            ("%G0", "%G0"),
            ("%", "%"),
            ("%%41", "%A"),
            ("%e4%BD%a0", "\u{4f60}"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(encoded.as_bytes()), plain, "{encoded}");
        }
        assert_eq!(decode(b"\xff"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }
}
