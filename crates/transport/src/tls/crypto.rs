//! Which cryptography rustls uses.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::TlsError;

/// The process's default provider if somebody has installed one, else the one that is compiled in.
pub(super) fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(Arc::clone(installed));
    }
    compiled_in()
        .map(Arc::new)
        .ok_or(TlsError::NoCryptoProvider)
}

/// Of two, the one that rustls itself prefers.
#[cfg(feature = "tls-aws-lc")]
fn compiled_in() -> Option<CryptoProvider> {
    Some(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
fn compiled_in() -> Option<CryptoProvider> {
    Some(rustls::crypto::ring::default_provider())
}

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
fn compiled_in() -> Option<CryptoProvider> {
    None
}
