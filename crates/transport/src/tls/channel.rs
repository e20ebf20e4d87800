//! TLS at the client.

use std::io;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use highball_core::AuthInfo;
use rustls::ClientConfig;
use rustls::client::{Resumption, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tokio_rustls::TlsConnector;

use super::current::Current;
use super::roots::Roots;
use super::{Certificates, H2, Identity, TlsError, auth_info, crypto, explained, require_h2};
use crate::connect::BoxIo;
use crate::credentials::{ChannelCredentials, Secured, host_of};

/// TLS for a channel: whom it trusts, and what it shows of itself. Cheap to clone; clones are the same
/// credentials.
///
/// A server's certificate must be for the host in the channel's `:authority`, or the address's own server
/// name, or what [`server_name`](TlsChannelBuilder::server_name) insists on. Calls with an `:authority` of
/// their own are checked against the certificate of the connection they are to go on.
///
/// ```
/// # use highball_transport::{Certificates, TlsChannelCredentials, TlsError};
/// # fn trust(pem: &str) -> Result<(), TlsError> {
/// let credentials = TlsChannelCredentials::builder()
///     .roots(Certificates::from_pem(pem)?)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsChannelCredentials {
    config: Arc<Current<ClientConfig>>,
    server_name: Option<Arc<str>>,
}

impl TlsChannelCredentials {
    /// TLS as the world at large does it: the system's authorities (feature `tls-native-roots`) or else
    /// Mozilla's (`tls-webpki-roots`) are trusted, and nothing is shown.
    ///
    /// # Errors
    ///
    /// Those of [`TlsChannelBuilder::build`].
    pub fn new() -> Result<Self, TlsError> {
        Self::builder().build()
    }

    /// Starts to put credentials together.
    pub fn builder() -> TlsChannelBuilder {
        TlsChannelBuilder::default()
    }

    /// The way out, for what the builder does not have: takes a configuration of rustls 0.23, whose
    /// versions are not this crate's. ALPN is set to `h2`.
    pub fn from_rustls(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![H2.to_vec()];
        Self {
            config: Arc::new(Current::new(config)),
            server_name: None,
        }
    }

    /// From here on these credentials, and all their clones, trust and show what `other` does. For
    /// certificates that are renewed while the program runs.
    ///
    /// Connections that are there, and handshakes that have begun, are left as they are. A server name
    /// that these credentials insist on stays.
    pub fn replace(&self, other: &Self) {
        self.config.store(other.config.load());
    }
}

impl ChannelCredentials for TlsChannelCredentials {
    fn handshake<'a>(
        &'a self,
        io: BoxIo,
        server_name: &'a str,
    ) -> BoxFuture<'a, io::Result<Secured>> {
        Box::pin(async move {
            let name = name_of(server_name)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let connector = TlsConnector::from(self.config.load());
            let connected = connector.connect(name, io).await;
            let io = connected.map_err(|error| explained(error, "server"))?;
            let (_, session) = io.get_ref();
            require_h2(session, "server")?;
            Ok(Secured {
                auth_info: auth_info(session),
                io: Box::new(io),
            })
        })
    }

    fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The server's certificate must be for the authority's host, too.
    fn check_authority(&self, auth_info: &AuthInfo, authority: &str) -> Result<(), String> {
        let authority = authority
            .parse()
            .map_err(|_| format!("{authority:?} is no authority"))?;
        let name = name_of(host_of(&authority)).map_err(|error| error.to_string())?;
        let certificate = auth_info.certificates().first();
        let certificate = certificate.ok_or("the server has shown no certificate")?;
        let certificate = CertificateDer::from(&certificate[..]);
        ParsedCertificate::try_from(&certificate)
            .and_then(|certificate| verify_server_name(&certificate, &name))
            .map_err(|error| error.to_string())
    }
}

fn name_of(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::ServerName(host.to_owned()))
}

/// What a channel's TLS credentials are put together with.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct TlsChannelBuilder {
    roots: Roots,
    identity: Option<Identity>,
    server_name: Option<String>,
}

impl TlsChannelBuilder {
    /// Trusts these authorities. May be called more than once, and beside the two below; without any of
    /// the three, those of [`TlsChannelCredentials::new`] are trusted.
    pub fn roots(mut self, authorities: Certificates) -> Self {
        self.roots.own.push(authorities);
        self
    }

    /// Trusts the authorities that the operating system trusts.
    #[cfg(feature = "tls-native-roots")]
    pub fn native_roots(mut self) -> Self {
        self.roots.native = true;
        self
    }

    /// Trusts the authorities that Mozilla trusted when the crate `webpki-roots` was published.
    #[cfg(feature = "tls-webpki-roots")]
    pub fn webpki_roots(mut self) -> Self {
        self.roots.webpki = true;
        self
    }

    /// Shows this to servers that ask who the client is.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Asks servers for `name`, a host name or an IP address, whatever the target says and whatever a
    /// resolver says. It becomes the `:authority` of the channel's calls, too.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The credentials. Reads the system's store of certificates, if that is trusted.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says what is wrong with what was given, or what is missing.
    pub fn build(self) -> Result<TlsChannelCredentials, TlsError> {
        if let Some(name) = &self.server_name {
            name_of(name)?;
        }
        let config = ClientConfig::builder_with_provider(crypto::provider()?)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Rustls(error.to_string()))?
            .with_root_certificates(self.roots.store()?);
        let mut config = match self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => config
                .with_client_auth_cert(identity.chain(), identity.key())
                .map_err(|error| TlsError::Identity(error.to_string()))?,
        };
        config.resumption = Resumption::disabled();
        let credentials = TlsChannelCredentials::from_rustls(config);
        Ok(TlsChannelCredentials {
            server_name: self.server_name.map(Arc::from),
            ..credentials
        })
    }
}
