//! What reads bytes without a connection.

use bytes::Bytes;
use highball_channel::ServiceConfig;
use highball_channel::policy::Registry;
use highball_channel::resolver::Target;
use highball_core::{MetadataMap, decode_timeout, encode_timeout};
use highball_transport::framing::{Decoder, FramingError};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The largest message that the decoder is to accept: small, so that it is met.
const LIMIT: usize = 100;

/// gRPC's length-prefixed messages. The first byte says where the rest is cut.
pub fn frame_decoder(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    let whole = messages([stream]);
    assert_eq!(messages(stream.chunks(usize::from(*cut).max(1))), whole);
    assert_eq!(messages(stream.chunks(1)), whole);
}

/// The messages in these pieces of a stream, and how it ended.
fn messages<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<(), FramingError>) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next(LIMIT) {
                Ok(Some(message)) => messages.push(format!("{message:?}")),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    let end = decoder.finish();
    (messages, end)
}

/// Header fields, one a line: a name, a colon, a value.
pub fn metadata(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(1000) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let Ok(read) = MetadataMap::from_wire(headers) else {
        return;
    };
    let _ = format!("{read:?}");
    let again = MetadataMap::from_wire(read.clone().into_wire());
    assert_eq!(again.expect("it was legal before"), read);
}

/// `grpc-timeout`.
pub fn grpc_timeout(data: &[u8]) {
    let Ok(time) = decode_timeout(data) else {
        return;
    };
    assert!((2..=9).contains(&data.len()), "eight digits and a unit");
    let sent_on = encode_timeout(time);
    let again = decode_timeout(sent_on.as_bytes()).expect("it is legal");
    assert!(again >= time, "{time:?} became {again:?}");
}

/// A channel's target.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Target::parse(text) {
        Ok(target) => {
            let scheme = target.scheme();
            assert!(!scheme.is_empty() && !scheme.contains(|c: char| c.is_ascii_uppercase()));
            assert!(target.to_string().starts_with(scheme));
            let authority = target.default_authority();
            assert!(authority.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}

/// A service config, as JSON.
pub fn service_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ServiceConfig::parse(text, &Registry::builtin()) {
        Ok(config) => assert!(!config.policy().name().is_empty()),
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}
