//! TLS at the server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::current::Current;
use super::roots::store_of;
use super::{Certificates, H2, Identity, TlsError, auth_info, crypto, explained, require_h2};
use crate::connect::BoxIo;
use crate::credentials::{Secured, ServerCredentials};

/// How long a client that is refused has to take note.
const PATIENCE: Duration = Duration::from_secs(1);

/// TLS for a server: what it shows of itself, and which clients it lets in. Cheap to clone; clones are the
/// same credentials.
///
/// ```
/// # use highball_transport::{Certificates, Identity, TlsError, TlsServerCredentials};
/// # fn serve(chain: &str, key: &str, clients: &str) -> Result<(), TlsError> {
/// let credentials = TlsServerCredentials::builder(Identity::from_pem(chain, key)?)
///     .require_client_certificate(Certificates::from_pem(clients)?)
///     .build()?;
/// // When the certificate is renewed:
/// let renewed = TlsServerCredentials::new(Identity::from_pem_files("chain.pem", "key.pem")?)?;
/// credentials.replace(&renewed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsServerCredentials(Arc<Current<ServerConfig>>);

impl TlsServerCredentials {
    /// Shows `identity`, and lets in anybody.
    ///
    /// # Errors
    ///
    /// Those of [`TlsServerBuilder::build`].
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        Self::builder(identity).build()
    }

    /// Starts to put credentials together: the server shows `identity`.
    pub fn builder(identity: Identity) -> TlsServerBuilder {
        TlsServerBuilder {
            identity,
            clients: Clients::Anonymous,
        }
    }

    /// The way out, for what the builder does not have, such as an identity for each of several names:
    /// takes a configuration of rustls 0.23, whose versions are not this crate's. ALPN is set to `h2`.
    pub fn from_rustls(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![H2.to_vec()];
        Self(Arc::new(Current::new(config)))
    }

    /// From here on these credentials, and all their clones, show and let in what `other` does. For
    /// certificates that are renewed while the server runs.
    ///
    /// Connections that are there, and handshakes that have begun, are left as they are.
    pub fn replace(&self, other: &Self) {
        self.0.store(other.0.load());
    }
}

impl ServerCredentials for TlsServerCredentials {
    fn handshake(&self, io: BoxIo) -> BoxFuture<'_, io::Result<Secured>> {
        Box::pin(async move {
            let accept = TlsAcceptor::from(self.0.load()).accept(io);
            let mut io = match accept.into_fallible().await {
                Ok(io) => io,
                Err((error, mut io)) => {
                    see_off(&mut io).await;
                    return Err(explained(error, "client"));
                }
            };
            let (_, session) = io.get_ref();
            if let Err(error) = require_h2(session, "client") {
                let _ = io.shutdown().await;
                return Err(error);
            }
            Ok(Secured {
                auth_info: auth_info(session),
                io: Box::new(io),
            })
        })
    }
}

/// Lets the client read the alert that says why it is refused. A socket that is closed while bytes of the
/// client lie unread in it sends RST, which makes the client's system throw away what it has not read yet;
/// and a TLS 1.3 client sends on before it can know.
async fn see_off(io: &mut BoxIo) {
    let farewell = async {
        io.shutdown().await?;
        let mut space = [0; 1024];
        while io.read(&mut space).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(PATIENCE, farewell).await;
}

/// What a server's TLS credentials are put together with.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct TlsServerBuilder {
    identity: Identity,
    clients: Clients,
}

/// What clients show of themselves.
#[derive(Clone, Debug)]
enum Clients {
    /// Nothing.
    Anonymous,
    /// A certificate of one of these authorities, or nothing.
    MayShow(Certificates),
    /// A certificate of one of these authorities.
    MustShow(Certificates),
}

impl TlsServerBuilder {
    /// Lets in only clients with a certificate of one of these authorities (mTLS).
    pub fn require_client_certificate(mut self, authorities: Certificates) -> Self {
        self.clients = Clients::MustShow(authorities);
        self
    }

    /// Asks clients for a certificate, and lets in those without one, too: handlers decide what they may
    /// do, by their [`AuthInfo`](highball_core::AuthInfo). Refuses certificates of other authorities.
    pub fn accept_client_certificate(mut self, authorities: Certificates) -> Self {
        self.clients = Clients::MayShow(authorities);
        self
    }

    /// The credentials.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says what is wrong with what was given.
    pub fn build(self) -> Result<TlsServerCredentials, TlsError> {
        let provider = crypto::provider()?;
        let (authorities, may_be_anonymous) = match &self.clients {
            Clients::Anonymous => (None, true),
            Clients::MayShow(authorities) => (Some(authorities), true),
            Clients::MustShow(authorities) => (Some(authorities), false),
        };
        let verifier = match authorities {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(authorities) => {
                let roots = Arc::new(store_of(authorities)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                match may_be_anonymous {
                    true => verifier.allow_unauthenticated(),
                    false => verifier,
                }
                .build()
                .map_err(|error| TlsError::Root(error.to_string()))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Rustls(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.identity.chain(), self.identity.key())
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsServerCredentials::from_rustls(config))
    }
}
