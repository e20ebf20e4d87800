//! Who is at the other end of a connection, and how sure that is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::Address;

/// The other end of a connection: its address, and what its handshake has shown. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    address: Address,
    auth_info: AuthInfo,
}

impl Peer {
    /// A peer at `address`.
    pub fn new(address: Address, auth_info: AuthInfo) -> Self {
        Self(Arc::new(Parts { address, auth_info }))
    }

    /// Where it is, as the network tells.
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// What is known of it beyond that.
    pub fn auth_info(&self) -> &AuthInfo {
        &self.0.auth_info
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.address.fmt(f)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("address", self.address())
            .field("auth_info", self.auth_info())
            .finish()
    }
}

/// How well what travels on a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityLevel {
    /// Not at all: anybody on the way can read and change it.
    NoSecurity,
    /// Nobody can change it unnoticed.
    IntegrityOnly,
    /// Nobody can read it, or change it unnoticed.
    PrivacyAndIntegrity,
}

impl fmt::Display for SecurityLevel {
    /// The value of the metric label `grpc.security_level` (gRFC A94).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecurity => "none",
            Self::IntegrityOnly => "integrity_only",
            Self::PrivacyAndIntegrity => "privacy_and_integrity",
        })
    }
}

/// What a connection's security handshake has brought to light.
///
/// ```
/// use highball_core::{AuthInfo, SecurityLevel};
///
/// let plaintext = AuthInfo::insecure();
/// assert_eq!(plaintext.security_level(), SecurityLevel::NoSecurity);
/// assert!(!plaintext.allows_call_credentials());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthInfo {
    protocol: Cow<'static, str>,
    security_level: SecurityLevel,
    /// `None`: nothing. Boxed, for plaintext has none of it.
    shown: Option<Box<Shown>>,
}

/// What a peer has shown, and by what.
#[derive(Clone, Default, PartialEq, Eq)]
struct Shown {
    certificates: Vec<Bytes>,
    names: Vec<String>,
    cipher_suite: Option<Cow<'static, str>>,
}

impl AuthInfo {
    /// What `protocol`, which may be one of a user's own, has achieved.
    pub fn new(protocol: impl Into<Cow<'static, str>>, security_level: SecurityLevel) -> Self {
        Self {
            protocol: protocol.into(),
            security_level,
            shown: None,
        }
    }

    /// There was no handshake.
    pub fn insecure() -> Self {
        Self::new("insecure", SecurityLevel::NoSecurity)
    }

    /// The bytes do not leave this machine.
    pub fn local(security_level: SecurityLevel) -> Self {
        Self::new("local", security_level)
    }

    /// Adds the certificates that the peer has shown, in DER, its own first.
    #[must_use]
    pub fn with_certificates(mut self, chain: impl IntoIterator<Item = Bytes>) -> Self {
        self.show().certificates.extend(chain);
        self
    }

    /// Adds the names that the peer's certificate is for.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.show().names.extend(names);
        self
    }

    /// Sets what encrypts: `TLS13_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn with_cipher_suite(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.show().cipher_suite = Some(name.into());
        self
    }

    /// `tls`, `local`, `insecure`, or the name of a user's own.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// How well what travels is protected.
    pub fn security_level(&self) -> SecurityLevel {
        self.security_level
    }

    /// The peer's certificates in DER, its own first; empty if it has shown none.
    ///
    /// They have been verified: their chain ends at an authority that this end trusts.
    pub fn certificates(&self) -> &[Bytes] {
        self.shown.as_ref().map_or(&[], |shown| &shown.certificates)
    }

    /// The DNS names, URIs (SPIFFE ids among them) that the peer's own certificate is for.
    ///
    /// For a handler that authorizes its clients by name.
    pub fn names(&self) -> &[String] {
        self.shown.as_ref().map_or(&[], |shown| &shown.names)
    }

    /// What encrypts, if anything does and it is known: `TLS13_AES_256_GCM_SHA384`.
    pub fn cipher_suite(&self) -> Option<&str> {
        self.shown.as_ref()?.cipher_suite.as_deref()
    }

    fn show(&mut self) -> &mut Shown {
        self.shown.get_or_insert_default()
    }

    /// Whether secrets may travel: nobody on the way can read them, or there is no way, for they stay on
    /// this machine.
    pub fn allows_call_credentials(&self) -> bool {
        self.security_level == SecurityLevel::PrivacyAndIntegrity || self.protocol == "local"
    }

    /// The `:scheme` of requests.
    pub fn is_https(&self) -> bool {
        !matches!(&*self.protocol, "insecure" | "local")
    }
}

impl Default for AuthInfo {
    fn default() -> Self {
        Self::insecure()
    }
}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo")
            .field("protocol", &self.protocol)
            .field("security_level", &self.security_level)
            .field("certificates", &self.certificates().len())
            .field("names", &self.names())
            .field("cipher_suite", &self.cipher_suite())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_in_private_or_not_beyond_this_machine() {
        let level = SecurityLevel::NoSecurity;
        assert!(AuthInfo::local(level).allows_call_credentials());
        assert!(!AuthInfo::insecure().allows_call_credentials());
        let own = |level| AuthInfo::new("own", level).allows_call_credentials();
        assert!(own(SecurityLevel::PrivacyAndIntegrity));
        assert!(!own(SecurityLevel::IntegrityOnly));
        assert!(!own(SecurityLevel::NoSecurity));
    }

    #[test]
    fn a_peer_reads_as_its_address_and_its_debug_output_is_short() {
        let auth_info = AuthInfo::new("tls", SecurityLevel::PrivacyAndIntegrity)
            .with_certificates([Bytes::from_static(&[0x30; 1000])])
            .with_names(["client.example".to_owned()])
            .with_cipher_suite("TLS13_AES_128_GCM_SHA256");
        let peer = Peer::new(Address::tcp("10.0.0.1:443"), auth_info);
        assert_eq!(peer.to_string(), "10.0.0.1:443");
        let text = format!("{peer:?}");
        assert!(
            text.contains("client.example") && text.len() < 250,
            "{text}"
        );
    }

    #[test]
    fn a94_levels_are_named_as_in_metrics() {
        let levels = [
            SecurityLevel::NoSecurity,
            SecurityLevel::IntegrityOnly,
            SecurityLevel::PrivacyAndIntegrity,
        ];
        let names = levels.map(|level| level.to_string());
        assert_eq!(names, ["none", "integrity_only", "privacy_and_integrity"]);
        assert!(levels.is_sorted());
    }
}
