//! Certificates for tests of TLS: an authority of one's own, and what it issues.
//!
//! ```
//! use highball_testkit::certificates::Authority;
//!
//! let authority = Authority::new("Test CA");
//! let server = authority.issue(&["localhost", "127.0.0.1"]);
//! assert!(server.chain.contains("BEGIN CERTIFICATE"));
//! assert!(server.key.contains("BEGIN PRIVATE KEY"));
//! ```

use std::fmt;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// At the time of the test.
    Now,
    /// Until some time ago.
    Past,
    /// In some time.
    Future,
}

impl Authority {
    /// An authority of this name. Two of the same name are different authorities.
    ///
    /// # Panics
    ///
    /// If the machine has no randomness.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names: host names, IP addresses, URIs. Good for servers and for clients.
    ///
    /// # Panics
    ///
    /// If one of the names is none.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, Validity::Now)
    }

    /// A certificate that holds at another time.
    ///
    /// # Panics
    ///
    /// If one of the names is none.
    pub fn issue_for(&self, names: &[&str], validity: Validity) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let (from, to) = match validity {
            Validity::Now => (2020, 4000),
            Validity::Past => (2001, 2002),
            Validity::Future => (3990, 4000),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn alternative(name: &str) -> SanType {
    let text = || Ia5String::try_from(name).expect("an ASCII name");
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI(text()),
        Err(_) => SanType::DnsName(text()),
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}
