//! `grpc-message`: text of any kind in a header that carries printable ASCII (PROTOCOL-HTTP2).

use std::fmt::Write as _;

use http::HeaderValue;

/// How long `grpc-message` may get, encoded: peers limit the size of trailers, and a status that does not
/// arrive tells nothing.
const LONGEST_MESSAGE: usize = 4096;

/// Printable ASCII but `%` stays; every other byte becomes `%XX`. Cut to [`LONGEST_MESSAGE`] bytes,
/// between characters.
pub(crate) fn encode(message: &str) -> HeaderValue {
    let stays = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    let mut encoded = String::with_capacity(message.len());
    for character in message.chars() {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        let width: usize = bytes
            .iter()
            .map(|byte| if stays(*byte) { 1 } else { 3 })
            .sum();
        if encoded.len() + width > LONGEST_MESSAGE {
            break;
        }
        for byte in bytes {
            if stays(*byte) {
                encoded.push(*byte as char);
            } else {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    HeaderValue::try_from(encoded).expect("only printable ASCII is left")
}

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

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let value = encode(&"\u{e9}".repeat(4096));
        assert_eq!(value.len(), 4096 / 6 * 6);
    }

    proptest! {
        #[test]
        fn messages_survive_the_wire(message in ".{0,600}") {
            let value = encode(&message);
            prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(decode(value.as_bytes()), message);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }
}
