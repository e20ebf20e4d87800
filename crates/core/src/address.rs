//! Where to connect to: one address of one server.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{Attributes, MetadataMap};

/// The kind of socket an [`Address`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// `host:port`; a host name is looked up when the connection is made.
    Tcp,
    /// The path of a Unix domain socket.
    Unix,
    /// A name in Linux's abstract socket namespace.
    UnixAbstract,
}

/// One address of an [`Endpoint`](crate::Endpoint): what a subchannel connects to.
///
/// Equality, and so the identity of a subchannel, is by network, text, server name, metadata and attributes
/// (gRFC A61). Cheap to clone.
///
/// ```
/// use highball_core::Address;
///
/// assert_eq!(Address::from("127.0.0.1:50051"), Address::tcp("127.0.0.1:50051"));
/// assert_eq!(Address::from("unix:/run/echo.sock"), Address::unix("/run/echo.sock"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Parts>);

#[derive(Clone, PartialEq)]
struct Parts {
    network: Network,
    text: Arc<str>,
    server_name: Option<Arc<str>>,
    /// Boxed, for hardly any address has some.
    metadata: Option<Box<MetadataMap>>,
    attributes: Attributes,
}

impl Address {
    /// An address for TCP: `ip:port` or `host:port`.
    pub fn tcp(host_and_port: impl Into<Arc<str>>) -> Self {
        Self::new(Network::Tcp, host_and_port.into())
    }

    /// The path of a Unix domain socket.
    pub fn unix(path: impl Into<Arc<str>>) -> Self {
        Self::new(Network::Unix, path.into())
    }

    /// A name in the abstract socket namespace (Linux), without a leading `@` or NUL.
    pub fn unix_abstract(name: impl Into<Arc<str>>) -> Self {
        Self::new(Network::UnixAbstract, name.into())
    }

    fn new(network: Network, text: Arc<str>) -> Self {
        Self(Arc::new(Parts {
            network,
            text,
            server_name: None,
            metadata: None,
            attributes: Attributes::default(),
        }))
    }

    /// The name to ask this server for: its `:authority` and TLS name, instead of the channel's.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).server_name = Some(name.into());
        self
    }

    /// Replaces the metadata of this server: what is sent with every call to it, behind all else.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        let metadata = (!metadata.is_empty()).then(|| Box::new(metadata));
        Arc::make_mut(&mut self.0).metadata = metadata;
        self
    }

    /// Replaces the attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        Arc::make_mut(&mut self.0).attributes = attributes;
        self
    }

    /// The kind of socket.
    pub fn network(&self) -> Network {
        self.0.network
    }

    /// `host:port`, a path or an abstract name, without a scheme.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The name to ask this server for, if it is not the channel's.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// What is sent with every call to this server, if anything.
    pub fn metadata(&self) -> Option<&MetadataMap> {
        self.0.metadata.as_deref()
    }

    /// Facts about this address.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }
}

impl Eq for Parts {}

/// Metadata and attributes have no hash; equal addresses still hash alike.
impl Hash for Parts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.network.hash(state);
        self.text.hash(state);
        self.server_name.hash(state);
    }
}

impl From<&str> for Address {
    /// `unix:path`, `unix:///absolute/path` and `unix-abstract:name` name sockets; anything else is
    /// taken for `host:port`, unchecked.
    fn from(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("unix-abstract:") {
            Self::unix_abstract(name)
        } else if let Some(rest) = text.strip_prefix("unix://") {
            // What stands between `//` and the next slash is an authority, not part of the path.
            Self::unix(&rest[rest.find('/').unwrap_or(rest.len())..])
        } else if let Some(path) = text.strip_prefix("unix:") {
            Self::unix(path)
        } else {
            Self::tcp(text)
        }
    }
}

impl From<&String> for Address {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        // By hand where it is IPv4: it is done for every connection, at both ends.
        let std::net::SocketAddr::V4(v4) = address else {
            return Self::tcp(address.to_string());
        };
        let mut text = Short::default();
        for (octet, end) in v4.ip().octets().into_iter().zip(*b"...:") {
            text.push_decimal(octet.into());
            text.push(end);
        }
        text.push_decimal(v4.port());
        Self::tcp(text.as_str())
    }
}

/// Room for `255.255.255.255:65535`, without an allocation.
#[derive(Default)]
struct Short {
    text: [u8; 21],
    len: usize,
}

impl Short {
    fn push(&mut self, byte: u8) {
        self.text[self.len] = byte;
        self.len += 1;
    }

    fn push_decimal(&mut self, number: u16) {
        if number > 9 {
            self.push_decimal(number / 10);
        }
        self.push(b'0' + (number % 10) as u8);
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.len]).expect("digits, dots and a colon")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        match self.network() {
            Network::Tcp => f.pad(text),
            Network::Unix => write!(f, "unix:{text}"),
            Network::UnixAbstract => write!(f, "unix-abstract:{text}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(name) = self.server_name() {
            write!(f, " as {name}")?;
        }
        if let Some(metadata) = self.metadata() {
            write!(f, " {metadata:?}")?;
        }
        if !self.attributes().is_empty() {
            write!(f, " {:?}", self.attributes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_read_from_the_text() {
        for (input, network, text) in [
            ("unix:a", Network::Unix, "a"),
            ("unix:///abs", Network::Unix, "/abs"),
            ("unix://a/b/c", Network::Unix, "/b/c"),
            ("unix-abstract:name", Network::UnixAbstract, "name"),
            ("localhost:50051", Network::Tcp, "localhost:50051"),
            ("[::1]:80", Network::Tcp, "[::1]:80"),
            ("", Network::Tcp, ""),
        ] {
            let address = Address::from(input);
            assert_eq!(
                (address.network(), address.text()),
                (network, text),
                "{input:?}"
            );
        }
    }

    #[test]
    fn identity_covers_server_name_metadata_and_attributes() {
        let plain = Address::tcp("a:1");
        assert_eq!(plain, Address::from("a:1"));
        assert_ne!(plain, plain.clone().with_server_name("b"));
        let mut metadata = MetadataMap::new();
        assert_eq!(plain, plain.clone().with_metadata(metadata.clone()));
        metadata.append("k", "v").unwrap();
        let with = |metadata: &MetadataMap| plain.clone().with_metadata(metadata.clone());
        assert_eq!(with(&metadata), with(&metadata));
        assert_ne!(plain, with(&metadata));
        assert_ne!(
            plain,
            plain
                .clone()
                .with_attributes(Attributes::default().with(1_u8))
        );
    }
}
