//! The map itself: keys in lower case, several values to a key, order kept.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{UndecodableBinary, binary, key};
use crate::Status;

/// The metadata of a call: what the application sends along with its messages.
///
/// Keys are lower-cased on insertion. A key that ends in `-bin` has bytes for values, any other key has
/// printable ASCII. Several values of one key keep their order. Keys that belong to HTTP or gRPC are
/// refused. `Debug` shows neither bytes nor secrets (`authorization`, `cookie`, `*-token`).
///
/// ```
/// use highball_core::MetadataMap;
///
/// let mut metadata = MetadataMap::new();
/// metadata.append("trace-id", "7")?;
/// metadata.append_bin("blob-bin", b"\0\xff")?;
/// assert_eq!(metadata.get("trace-id"), Some("7"));
/// assert_eq!(metadata.get_bin("blob-bin").as_deref(), Some(&b"\0\xff"[..]));
/// # Ok::<(), highball_core::InvalidMetadata>(())
/// ```
#[derive(Clone, Default)]
pub struct MetadataMap {
    /// `-bin` values are kept as they travel, one base64 text to a field. Boxed, because most calls have
    /// no metadata and all of them carry several of these maps from hand to hand.
    headers: Option<Box<HeaderMap>>,
}

/// A key or value that an application may not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// The key is empty.
    #[error("there is an empty key in the header")]
    EmptyKey,
    /// The key has a character outside `0-9a-z-_.`.
    #[error("header key {0:?} contains illegal characters not in [0-9a-z-_.]")]
    IllegalKey(String),
    /// The key belongs to HTTP or to gRPC itself.
    #[error("header key {0:?} is reserved for HTTP or gRPC")]
    ReservedKey(String),
    /// The value has a character outside printable ASCII.
    #[error("header key {0:?} contains value with non-printable ASCII characters")]
    IllegalValue(String),
    /// A text was given for a `-bin` key, or bytes for another one.
    #[error("header key {0:?}: keys that end in \"-bin\" take bytes, all others take text")]
    WrongKind(String),
    /// There are as many different keys as a map may have: 8192.
    #[error("header key {0:?} is one too many")]
    TooManyKeys(String),
}

/// No peer accepts a header list with as many keys; several such maps still fit into one.
const MOST_KEYS: usize = 8192;

impl From<InvalidMetadata> for Status {
    /// INTERNAL, as gRPC ends a call whose metadata cannot be sent.
    fn from(invalid: InvalidMetadata) -> Self {
        Self::internal(invalid.to_string()).with_source(invalid)
    }
}

/// One key and one of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A key with text for a value.
    Ascii(&'a str, &'a str),
    /// A `-bin` key with bytes for a value.
    Binary(&'a str, Bytes),
}

impl MetadataMap {
    /// A map with nothing in it. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values there are, over all keys.
    pub fn len(&self) -> usize {
        self.headers.as_ref().map_or(0, |headers| headers.len())
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets `key` to this one text, whatever it was.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidMetadata> {
        let (name, value) = ascii(key, value)?;
        self.room_for(&name)?.insert(name, value);
        Ok(())
    }

    /// Adds a text to the values of `key`.
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), InvalidMetadata> {
        let (name, value) = ascii(key, value)?;
        self.room_for(&name)?.append(name, value);
        Ok(())
    }

    /// Sets a `-bin` key to these bytes, whatever it was.
    pub fn insert_bin(&mut self, key: &str, value: &[u8]) -> Result<(), InvalidMetadata> {
        let name = binary_name(key)?;
        self.room_for(&name)?.insert(name, binary::encode(value));
        Ok(())
    }

    /// Adds bytes to the values of a `-bin` key.
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), InvalidMetadata> {
        let name = binary_name(key)?;
        self.room_for(&name)?.append(name, binary::encode(value));
        Ok(())
    }

    /// The first text of `key`; `None` too for a `-bin` key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key).next()
    }

    /// The texts of `key`, in order; none for a `-bin` key.
    pub fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        let key = key.to_ascii_lowercase();
        let headers = self.headers.as_ref().filter(|_| !key::is_binary(&key));
        headers
            .map(|headers| headers.get_all(key))
            .into_iter()
            .flatten()
            .filter_map(|value| value.to_str().ok())
    }

    /// The first value of a `-bin` key.
    pub fn get_bin(&self, key: &str) -> Option<Bytes> {
        self.get_all_bin(key).next()
    }

    /// The values of a `-bin` key, in order.
    pub fn get_all_bin<'a>(&'a self, key: &str) -> impl Iterator<Item = Bytes> + use<'a> {
        let key = key.to_ascii_lowercase();
        let headers = self.headers.as_ref().filter(|_| key::is_binary(&key));
        headers
            .map(|headers| headers.get_all(key))
            .into_iter()
            .flatten()
            .filter_map(|value| binary::decode(value.as_bytes()))
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.headers
            .as_ref()
            .is_some_and(|headers| headers.contains_key(key.to_ascii_lowercase()))
    }

    /// Takes all values of `key` out; says whether there were any.
    pub fn remove(&mut self, key: &str) -> bool {
        self.headers
            .as_mut()
            .is_some_and(|headers| headers.remove(key.to_ascii_lowercase()).is_some())
    }

    /// Adds all values of `other` behind those that are here. Keys beyond the 8192nd are left out.
    pub fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let mut current = None;
        for (name, value) in other.into_wire() {
            current = name.or(current);
            if let Some(name) = &current
                && let Ok(headers) = self.room_for(name)
            {
                headers.append(name, value);
            }
        }
    }

    /// The map to put `name` into, unless it is new to a map that is full.
    fn room_for(&mut self, name: &HeaderName) -> Result<&mut HeaderMap, InvalidMetadata> {
        let headers = self.headers.get_or_insert_default();
        if headers.keys_len() < MOST_KEYS || headers.contains_key(name) {
            return Ok(headers);
        }
        Err(InvalidMetadata::TooManyKeys(name.as_str().to_owned()))
    }

    /// Every key with every value. The values of one key come together and in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.fields().filter_map(|(name, value)| {
            let name = name.as_str();
            if key::is_binary(name) {
                binary::decode(value.as_bytes()).map(|bytes| Entry::Binary(name, bytes))
            } else {
                value.to_str().ok().map(|text| Entry::Ascii(name, text))
            }
        })
    }

    /// The metadata among the headers of a received frame: gRPC's own keys are left out, `-bin` values are
    /// checked and split at commas. Values of other keys that are not printable ASCII are left out.
    ///
    /// For transports; an application never needs it.
    pub fn from_wire(mut headers: HeaderMap) -> Result<Self, UndecodableBinary> {
        let is_hidden = |name: &&HeaderName| key::is_hidden(name.as_str());
        // Most replies have no metadata: nothing is taken out of a map that can be dropped as it is.
        if headers.keys().all(|name| is_hidden(&name)) {
            return Ok(Self::default());
        }
        // A reply has one or two of them: no list is made.
        while let Some(unwanted) = headers.keys().find(is_hidden).cloned() {
            headers.remove(unwanted);
        }
        let in_bytes: Vec<HeaderName> = headers
            .keys()
            .filter(|name| key::is_binary(name.as_str()))
            .cloned()
            .collect();
        for name in in_bytes {
            normalize(&mut headers, name)?;
        }
        Ok(Self {
            headers: Some(headers.into()),
        })
    }

    /// The header fields to send, `-bin` values in base64.
    ///
    /// For transports; an application never needs it.
    pub fn into_wire(self) -> HeaderMap {
        self.headers.map(|headers| *headers).unwrap_or_default()
    }

    fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().flat_map(|headers| headers.iter())
    }
}

/// Replaces the fields of a `-bin` key by one field a value, each in unpadded base64.
fn normalize(headers: &mut HeaderMap, name: HeaderName) -> Result<(), UndecodableBinary> {
    let undecodable = || UndecodableBinary {
        key: name.as_str().to_owned(),
    };
    let mut values = Vec::new();
    for field in headers.get_all(&name) {
        for value in binary::split(field.as_bytes()) {
            values.push(binary::encode(
                &binary::decode(value).ok_or_else(undecodable)?,
            ));
        }
    }
    headers.remove(&name);
    for value in values {
        headers.append(name.clone(), value);
    }
    Ok(())
}

fn ascii(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidMetadata> {
    let name = key::check(key)?;
    if key::is_binary(name.as_str()) {
        return Err(InvalidMetadata::WrongKind(name.as_str().to_owned()));
    }
    let illegal = || InvalidMetadata::IllegalValue(name.as_str().to_owned());
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(illegal());
    }
    let value = HeaderValue::from_str(value).map_err(|_| illegal())?;
    Ok((name, value))
}

fn binary_name(key: &str) -> Result<HeaderName, InvalidMetadata> {
    let name = key::check(key)?;
    if key::is_binary(name.as_str()) {
        Ok(name)
    } else {
        Err(InvalidMetadata::WrongKind(name.as_str().to_owned()))
    }
}

impl PartialEq for MetadataMap {
    fn eq(&self, other: &Self) -> bool {
        match (&self.headers, &other.headers) {
            (Some(one), Some(other)) => one == other,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl fmt::Debug for MetadataMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.fields().map(|(name, value)| {
            let shown = if key::is_secret(name.as_str()) {
                "<redacted>"
            } else {
                value.to_str().unwrap_or("?")
            };
            (name.as_str(), shown)
        });
        f.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_lower_cased_and_values_keep_their_order() {
        let mut metadata = MetadataMap::new();
        metadata.append("X-Many", "one").unwrap();
        metadata.append("x-other", "z").unwrap();
        metadata.append("x-MANY", "two").unwrap();
        assert_eq!(
            metadata.get_all("x-many").collect::<Vec<_>>(),
            ["one", "two"]
        );
        metadata.insert("x-many", "three").unwrap();
        assert_eq!(metadata.get_all("X-MANY").collect::<Vec<_>>(), ["three"]);
        assert!(metadata.remove("X-Many") && !metadata.contains_key("x-many"));
        assert_eq!(metadata.len(), 1);
    }

    #[test]
    fn a_map_takes_no_more_keys_than_fit_into_a_request() {
        let mut metadata = MetadataMap::new();
        for number in 0..MOST_KEYS {
            metadata.append(&format!("k{number}"), "v").unwrap();
        }
        assert_eq!(
            metadata.append("another", "v").unwrap_err().to_string(),
            "header key \"another\" is one too many"
        );
        assert!(metadata.insert_bin("another-bin", b"v").is_err());
        metadata
            .append("k0", "a second value is no new key")
            .unwrap();
        let mut others = MetadataMap::new();
        others.append("another", "v").unwrap();
        others.append("k1", "v").unwrap();
        metadata.merge(others);
        assert_eq!(metadata.len(), MOST_KEYS + 2);
    }

    #[test]
    fn reserved_keys_are_refused() {
        for key in [
            ":path",
            "content-type",
            "TE",
            "user-agent",
            "connection",
            "host",
            "grpc-status",
            "grpc-previous-rpc-attempts",
        ] {
            let error = MetadataMap::new().insert(key, "v").unwrap_err();
            assert_eq!(
                error,
                InvalidMetadata::ReservedKey(key.to_ascii_lowercase()),
                "{key}"
            );
        }
        for key in ["grpc-retry-pushback-ms", "x-grpc"] {
            MetadataMap::new().insert(key, "1").unwrap();
        }
        MetadataMap::new()
            .insert_bin("grpc-trace-bin", b"1")
            .unwrap();
    }

    #[test]
    fn bad_keys_and_values_are_refused_with_grpcs_texts() {
        let mut metadata = MetadataMap::new();
        let mut refuse = |key, value| metadata.insert(key, value).unwrap_err().to_string();
        assert_eq!(refuse("", "v"), "there is an empty key in the header");
        assert_eq!(
            refuse("spaced key", "v"),
            "header key \"spaced key\" contains illegal characters not in [0-9a-z-_.]"
        );
        assert_eq!(
            refuse("k", "tab\t"),
            "header key \"k\" contains value with non-printable ASCII characters"
        );
        assert!(refuse("k-bin", "text").contains("take bytes"));
        assert!(metadata.insert_bin("k", b"bytes").is_err());
        assert!(metadata.is_empty());
    }

    #[test]
    fn received_binary_values_are_split_and_accepted_padded_or_not() {
        let mut headers = HeaderMap::new();
        headers.append("k-bin", HeaderValue::from_static("AQ==,Ag, Aw"));
        headers.append("k-bin", HeaderValue::from_static("BA"));
        headers.append("text", HeaderValue::from_static("a,b"));
        headers.append("grpc-status", HeaderValue::from_static("0"));
        let metadata = MetadataMap::from_wire(headers).unwrap();
        let values: Vec<_> = metadata
            .get_all_bin("k-bin")
            .map(|value| value[0])
            .collect();
        assert_eq!(values, [1, 2, 3, 4]);
        assert_eq!(metadata.get("text"), Some("a,b"));
        assert!(!metadata.contains_key("grpc-status"));
    }

    #[test]
    fn keys_that_grpc_keeps_for_itself_are_not_seen_on_receipt() {
        let mut headers = HeaderMap::new();
        for key in ["grpc-timeout", "grpc-yet-unknown", "te"] {
            headers.append(key, HeaderValue::from_static("1"));
        }
        for key in ["grpc-previous-rpc-attempts", "grpc-retry-pushback-ms"] {
            headers.append(key, HeaderValue::from_static("1"));
        }
        let metadata = MetadataMap::from_wire(headers).unwrap();
        assert_eq!(metadata.len(), 2);
        assert_eq!(metadata.get("grpc-previous-rpc-attempts"), Some("1"));
        assert_eq!(metadata.get("grpc-retry-pushback-ms"), Some("1"));
    }

    #[test]
    fn a_received_binary_value_that_is_not_base64_is_named() {
        let mut headers = HeaderMap::new();
        headers.append("k-bin", HeaderValue::from_static("!"));
        let error = MetadataMap::from_wire(headers).unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed binary metadata in header \"k-bin\": not base64"
        );
    }

    #[test]
    fn an_empty_map_is_a_null_pointer_and_equal_to_one_that_was_emptied() {
        assert_eq!(size_of::<MetadataMap>(), size_of::<usize>());
        let mut emptied = MetadataMap::new();
        emptied.insert("k", "v").unwrap();
        assert_ne!(emptied, MetadataMap::new());
        emptied.remove("k");
        assert_eq!(emptied, MetadataMap::new());
        assert!(emptied.is_empty() && emptied.iter().next().is_none());
    }

    #[test]
    fn debug_redacts_secrets_and_bytes() {
        let mut metadata = MetadataMap::new();
        for key in ["authorization", "cookie", "x-api-token"] {
            metadata.insert(key, "s3cret").unwrap();
        }
        metadata.insert_bin("k-bin", b"s3cret").unwrap();
        metadata.insert("plain", "shown").unwrap();
        let shown = format!("{metadata:?}");
        assert!(
            shown.contains("shown") && !shown.contains("s3cret") && !shown.contains("czNj"),
            "{shown}"
        );
    }

    #[test]
    fn merging_appends() {
        let mut metadata = MetadataMap::new();
        metadata.append("k", "1").unwrap();
        let mut more = MetadataMap::new();
        more.append("k", "2").unwrap();
        more.append("k", "3").unwrap();
        metadata.merge(more);
        assert_eq!(metadata.get_all("k").collect::<Vec<_>>(), ["1", "2", "3"]);
    }

    proptest! {
        #[test]
        fn bytes_survive_the_wire(bytes: Vec<u8>) {
            let mut metadata = MetadataMap::new();
            metadata.insert_bin("k-bin", &bytes).unwrap();
            let received = MetadataMap::from_wire(metadata.into_wire()).unwrap();
            prop_assert_eq!(received.get_bin("k-bin").unwrap(), bytes);
        }

        #[test]
        fn arbitrary_keys_and_values_never_panic(key: String, value: String) {
            let mut metadata = MetadataMap::new();
            let _ = metadata.append(&key, &value);
            let _ = metadata.get(&key);
            let _ = metadata.get_bin(&key);
        }
    }
}
