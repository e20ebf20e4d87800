//! Certificates and private keys, from PEM.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Certificates: of authorities that are trusted, or a chain that is shown. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<[CertificateDer<'static>]>);

impl Certificates {
    /// Reads all certificates of a PEM text; what else is in it does not matter.
    ///
    /// # Errors
    ///
    /// [`TlsError::NoCertificate`], [`TlsError::Pem`].
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_ref()).collect();
        let found = found.map_err(|error| malformed(error, TlsError::NoCertificate))?;
        match found.is_empty() {
            true => Err(TlsError::NoCertificate),
            false => Ok(Self(found.into())),
        }
    }

    /// Reads a file of PEM. Blocks while it does.
    ///
    /// # Errors
    ///
    /// Those of [`from_pem`](Self::from_pem), and [`TlsError::File`].
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::from_pem(read(path.as_ref())?)
    }

    /// Takes certificates in DER.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(certificates.into_iter().map(CertificateDer::from).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.0.len())
    }
}

/// What an end shows of itself: a chain of certificates, its own first, and the private key of that one.
/// Cheap to clone.
///
/// Its debug output does not show the key.
#[derive(Clone)]
pub struct Identity {
    chain: Certificates,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// Reads a chain and a key (PKCS #8, PKCS #1 or SEC 1) from PEM. Both may be in the same text.
    ///
    /// That they belong together is seen when credentials are made of them.
    ///
    /// # Errors
    ///
    /// [`TlsError::NoCertificate`], [`TlsError::NoPrivateKey`], [`TlsError::Pem`].
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let chain = Certificates::from_pem(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|error| malformed(error, TlsError::NoPrivateKey))?;
        let key = Arc::new(key);
        Ok(Self { chain, key })
    }

    /// Reads two files of PEM. Blocks while it does.
    ///
    /// # Errors
    ///
    /// Those of [`from_pem`](Self::from_pem), and [`TlsError::File`].
    pub fn from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        Self::from_pem(read(chain.as_ref())?, read(key.as_ref())?)
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().cloned().collect()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

fn malformed(error: PemError, none: TlsError) -> TlsError {
    match error {
        PemError::NoItemsFound => none,
        other => TlsError::Pem(other.to_string()),
    }
}
