//! TLS for both ends, by rustls.
//!
//! ```text
//!   Certificates, Identity ──► TlsChannelCredentials ─┐                      ┌─► Secured: TLS stream,
//!                                                     ├─ handshake ─ ALPN h2 ┤   AuthInfo with the peer's
//!   Certificates, Identity ──► TlsServerCredentials ──┘                      └─► certificates
//!                                      ▲
//!               replace: handshakes from here on are made with what is new
//! ```
//!
//! TLS 1.3 and 1.2. Both ends insist on HTTP/2 (ALPN `h2`), as gRPC asks; a peer that agrees to nothing
//! is not talked to. Sessions are not resumed: a connection lives long, so that resuming would save
//! little, and every handshake looks at the certificates of the day.
//!
//! rustls' types stay inside, but for the `from_rustls` of both ends: the way out for whoever needs what
//! is not here.

mod certificates;
mod channel;
mod crypto;
mod current;
mod error;
mod roots;
mod server;

use std::io;

use bytes::Bytes;
use highball_core::{Address, AuthInfo, SecurityLevel};
use rustls::CommonState;
use rustls::pki_types::CertificateDer;

pub use certificates::{Certificates, Identity};
pub use channel::{TlsChannelBuilder, TlsChannelCredentials};
pub use error::TlsError;
pub use server::{TlsServerBuilder, TlsServerCredentials};

use crate::connect::{BoxIo, Io};

/// HTTP/2, as ALPN names it.
const H2: &[u8] = b"h2";

/// rustls is content with a peer that chooses no protocol; gRPC is not.
fn require_h2(session: &CommonState, peer: &str) -> io::Result<()> {
    if session.alpn_protocol() == Some(H2) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "cannot check peer: missing selected ALPN property: \
             the {peer} speaks TLS, but has not agreed to HTTP/2 (\"h2\")"
        ),
    ))
}

/// What a finished handshake has shown.
fn auth_info(session: &CommonState) -> AuthInfo {
    let chain = session.peer_certificates().unwrap_or_default();
    let der = |certificate: &CertificateDer<'_>| Bytes::copy_from_slice(certificate);
    let auth_info = AuthInfo::new("tls", SecurityLevel::PrivacyAndIntegrity)
        .with_certificates(chain.iter().map(der))
        .with_names(chain.first().map(names).unwrap_or_default());
    let suite = session.negotiated_cipher_suite();
    match suite.and_then(|suite| suite.suite().as_str()) {
        Some(name) => auth_info.with_cipher_suite(name),
        None => auth_info,
    }
}

/// The DNS names and the URIs that a certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let dns = certificate.valid_dns_names();
    let uris = certificate.valid_uri_names();
    dns.chain(uris).map(str::to_owned).collect()
}

/// Says in other words what rustls says of a peer that speaks something else.
fn explained(error: io::Error, peer: &str) -> io::Error {
    let rustls = error.get_ref().and_then(|error| error.downcast_ref());
    let text = match rustls {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            format!("the {peer} does not speak TLS")
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("the {peer} closed the connection amid the TLS handshake")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

impl Io for tokio_rustls::client::TlsStream<BoxIo> {
    fn peer(&self) -> Address {
        self.get_ref().0.peer()
    }
}

impl Io for tokio_rustls::server::TlsStream<BoxIo> {
    fn peer(&self) -> Address {
        self.get_ref().0.peer()
    }
}
