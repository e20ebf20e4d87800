//! HPACK's Huffman code (RFC 7541, appendix B) for text: what values that servers mean to be read are made of.
//!
//! Whoever takes the bytes for what they say is h2. This is for showing people a value that h2 has refused.

/// The characters, by how many bits their codes have. The code is canonical: codes of one length are consecutive
/// numbers in this order, and those of the next length go on from there. What is left out are the codes of 19 bits
/// and more: the backslash, control characters and whatever is not ASCII.
const CHARACTERS: [(u32, &[u8]); 10] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
];

const LONGEST: u32 = 15;

/// The text, up to the first character that is not told here, and whether that is all of it.
pub(super) fn decode(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(character) = character(code, length) {
            text.push(character);
            (code, length) = (0, 0);
        } else if length == LONGEST {
            return (text, false);
        }
    }
    // The last byte is filled up with ones.
    let is_padding = length < 8 && code == (1 << length) - 1;
    (text, is_padding)
}

/// The character whose code these bits are.
fn character(code: u32, length: u32) -> Option<u8> {
    let (_, first, characters) = lengths().find(|(bits, ..)| *bits == length)?;
    let place = code.checked_sub(first)?;
    characters.get(place as usize).copied()
}

/// The lengths, the first code of each, and the characters.
fn lengths() -> impl Iterator<Item = (u32, u32, &'static [u8])> {
    let (mut next, mut before) = (0, 0);
    CHARACTERS.into_iter().map(move |(bits, characters)| {
        let first = next << (bits - before);
        (next, before) = (first + characters.len() as u32, bits);
        (bits, first, characters)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text as its codes, filled up with ones.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let (length, code) = lengths()
                .find_map(|(length, first, characters)| {
                    let place = characters.iter().position(|other| other == byte)?;
                    Some((length, first + place as u32))
                })
                .expect("a character with a code of 15 bits or less");
            bits.extend((0..length).rev().map(|place| code >> place & 1));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push(1);
        }
        let byte = |bits: &[u32]| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8);
        bits.chunks(8).map(byte).collect()
    }

    /// RFC 7541, appendix C.
    #[test]
    fn the_examples_of_rfc_7541_are_read() {
        for (hex, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("6402", "302"),
            ("640eff", "307"),
            ("aec3771a4b", "private"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                "9d29ad171863c78f0b97c8e9ae82ae43d3",
                "https://www.example.com",
            ),
            (
                "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ] {
            let bytes: Vec<_> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(decode(&bytes), (text.into(), true), "{hex}");
            assert_eq!(encode(text.as_bytes()), bytes, "{text}");
        }
    }

    /// The last code of each length in RFC 7541's table.
    #[test]
    fn each_length_ends_where_the_table_says() {
        for (code, length, last) in [
            (0x9, 5, b't'),
            (0x2d, 6, b'u'),
            (0x7b, 7, b'z'),
            (0xfd, 8, b'Z'),
            (0x3fc, 10, b'?'),
            (0x7fc, 11, b'|'),
            (0xffb, 12, b'>'),
            (0x1ffd, 13, b'~'),
            (0x3ffd, 14, b'}'),
            (0x7ffe, 15, b'{'),
        ] {
            assert_eq!(character(code, length), Some(last));
            assert_eq!(character(code + 1, length), None);
        }
    }

    #[test]
    fn what_is_no_text_ends_it() {
        for (bytes, text) in [
            // A backslash, whose code has 19 bits.
            (&[0x1f, 0xff, 0xf0][..], "a"),
            // More padding than fills a byte up.
            (&[0x1f, 0xff], "a"),
            // Padding of zeros.
            (&[0x18], "a"),
        ] {
            assert_eq!(decode(bytes), (text.into(), false), "{bytes:x?}");
        }
        assert_eq!(decode(&[]), (Vec::new(), true));
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in "[ -\\[\\]-~]{0,40}") {
            prop_assert_eq!(decode(&encode(text.as_bytes())), (text.into_bytes(), true));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            decode(&bytes);
        }
    }
}
