//! Whom a client trusts.

use rustls::RootCertStore;

use super::{Certificates, TlsError};

/// The authorities that a client trusts, from where it was told to take them.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    pub(super) own: Vec<Certificates>,
    pub(super) native: bool,
    pub(super) webpki: bool,
}

impl Roots {
    /// The store that handshakes look into. Where nothing was chosen, the system's authorities or else
    /// Mozilla's are trusted, as far as they are compiled in.
    pub(super) fn store(&self) -> Result<RootCertStore, TlsError> {
        let chosen = !self.own.is_empty() || self.native || self.webpki;
        let mut store = RootCertStore::empty();
        for certificates in &self.own {
            add(&mut store, certificates)?;
        }
        if self.native || (!chosen && cfg!(feature = "tls-native-roots")) {
            add_native(&mut store)?;
        }
        if self.webpki || (!chosen && cfg!(not(feature = "tls-native-roots"))) {
            add_webpki(&mut store);
        }
        if store.is_empty() {
            let how = "name some with .roots(…), or enable the feature \
                       `tls-native-roots` or `tls-webpki-roots`";
            return Err(TlsError::NoRoots(how.to_owned()));
        }
        Ok(store)
    }
}

/// A store of these and no others.
pub(super) fn store_of(certificates: &Certificates) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    add(&mut store, certificates)?;
    Ok(store)
}

fn add(store: &mut RootCertStore, certificates: &Certificates) -> Result<(), TlsError> {
    for certificate in certificates.iter() {
        let added = store.add(certificate.clone());
        added.map_err(|error| TlsError::Root(error.to_string()))?;
    }
    Ok(())
}

/// A system's store may hold what is of no use; it is passed over.
#[cfg(feature = "tls-native-roots")]
fn add_native(store: &mut RootCertStore) -> Result<(), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let mut why = "the system has none".to_owned();
        for error in found.errors {
            why.push_str(&format!(": {error}"));
        }
        return Err(TlsError::NoRoots(why));
    }
    Ok(())
}

#[cfg(not(feature = "tls-native-roots"))]
fn add_native(_: &mut RootCertStore) -> Result<(), TlsError> {
    Ok(())
}

#[cfg(feature = "tls-webpki-roots")]
fn add_webpki(store: &mut RootCertStore) {
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
}

#[cfg(not(feature = "tls-webpki-roots"))]
fn add_webpki(_: &mut RootCertStore) {}
