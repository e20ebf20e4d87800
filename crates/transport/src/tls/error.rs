//! Credentials that cannot be made.

use std::io;
use std::path::PathBuf;

/// Why there are no TLS credentials to be had from what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no certificate in what should hold some.
    #[error("no certificate in the PEM (no BEGIN CERTIFICATE)")]
    NoCertificate,
    /// There is no private key in what should hold one.
    #[error("no private key in the PEM (no BEGIN PRIVATE KEY)")]
    NoPrivateKey,
    /// What should be PEM is none.
    #[error("malformed PEM: {0}")]
    Pem(String),
    /// A certificate and its key do not go together, or the key is of an unknown kind.
    #[error("the identity is of no use: {0}")]
    Identity(String),
    /// The certificate of an authority is none.
    #[error("a trusted certificate is of no use: {0}")]
    Root(String),
    /// Nobody is trusted, so nobody could be talked to.
    #[error("no certificate authority is trusted: {0}")]
    NoRoots(String),
    /// The name that servers are to be asked for is none.
    #[error("{0:?} is no name that a certificate can be for")]
    ServerName(String),
    /// rustls was built without cryptography.
    #[error(
        "no cryptography: enable the feature `tls-ring` or `tls-aws-lc`, \
         or install a default provider of rustls"
    )]
    NoCryptoProvider,
    /// The cryptography that there is cannot do TLS.
    #[error("rustls: {0}")]
    Rustls(String),
}
