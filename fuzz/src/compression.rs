//! What unpacks compressed messages.

use bytes::{BufMut as _, Bytes, BytesMut};
use highball_transport::framing::{Decoder, Encoding, FramingError, Message, compress_into};
use highball_transport::{Compression, Compressions};

/// The largest message that is to be accepted: small, so that it is met.
const LIMIT: usize = 1000;

/// A message in each of the encodings there are; and, in the same encoding, what would be sent of it.
pub fn compressed_message(data: &[u8]) {
    let kinds = Compressions::all();
    for kind in kinds.iter().filter(|kind| *kind != Compression::Identity) {
        match message(&framed(1, data)).into_payload(&Encoding::Known(kind), LIMIT) {
            Ok(unpacked) => assert!(unpacked.len() <= LIMIT),
            Err(FramingError::Corrupt(why)) => assert!(!why.is_empty()),
            Err(FramingError::TooLargeUnpacked { limit }) => assert_eq!(limit, LIMIT),
            Err(other) => panic!("{other}"),
        }
        let mut sent = BytesMut::new();
        let write = |buffer: &mut BytesMut| buffer.put_slice(data);
        let packed = compress_into(&mut sent, kind, data.len(), usize::MAX, write);
        packed.expect("there is no limit");
        let again = message(&sent.freeze()).into_payload(&Encoding::Known(kind), data.len());
        assert_eq!(again.expect("it is what was sent"), data);
    }
}

fn framed(flag: u8, payload: &[u8]) -> Bytes {
    let length = u32::try_from(payload.len()).expect("fuzzers give less");
    let mut bytes = BytesMut::new();
    bytes.put_u8(flag);
    bytes.put_u32(length);
    bytes.put_slice(payload);
    bytes.freeze()
}

fn message(framed: &Bytes) -> Message {
    let mut decoder = Decoder::new();
    decoder.push(framed.clone());
    let message = decoder.next(usize::MAX).expect("it is framed well");
    assert!(decoder.is_empty());
    message.expect("it is whole")
}
