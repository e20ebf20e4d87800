//! Credentials of calls: metadata that tells a server on whose behalf a call is made.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use highball_core::{InvalidMetadata, MetadataMap, Peer, Status};

/// Gives each call the metadata that proves on whose behalf it is made: a token, say.
///
/// For a whole channel by [`ChannelBuilder::call_credentials`](crate::ChannelBuilder::call_credentials),
/// for one call by [`Request::with_credentials`](crate::Request::with_credentials); both may be set. Asked
/// once for each attempt at a call, when it has a connection; may be called concurrently. A token that is
/// good for a while should be kept, and fetched anew before it is not.
///
/// ```
/// use highball_channel::{CallCredentials, CallCredentialsError, MetadataMap, RequestInfo};
///
/// #[derive(Debug)]
/// struct Signed;
///
/// impl CallCredentials for Signed {
///     async fn metadata(&self, call: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
///         let mut metadata = MetadataMap::new();
///         metadata.insert("x-signed-for", call.audience())?;
///         Ok(metadata)
///     }
/// }
/// ```
pub trait CallCredentials: fmt::Debug + Send + Sync + 'static {
    /// The metadata to add. The call's deadline bounds the wait for it.
    ///
    /// # Errors
    ///
    /// A [`Status`] ends the call with that status, where it is one that others than the application may
    /// produce (gRFC A54). Any other error ends it with UNAUTHENTICATED. Neither is tried again.
    fn metadata(
        &self,
        call: &RequestInfo<'_>,
    ) -> impl Future<Output = Result<MetadataMap, CallCredentialsError>> + Send;

    /// Whether the metadata is a secret. If so, as it is by default, it never travels where others could
    /// read it: only on encrypted connections, and on those that do not leave this machine.
    fn requires_security(&self) -> bool {
        true
    }
}

/// Why there are no credentials for a call: a [`Status`], or anything else.
pub type CallCredentialsError = Box<dyn Error + Send + Sync>;

/// The call that credentials are for.
#[derive(Clone, Debug)]
pub struct RequestInfo<'a> {
    audience: String,
    path: &'a str,
    peer: &'a Peer,
}

impl<'a> RequestInfo<'a> {
    /// `path` is that of the method: `/package.Service/Method`.
    pub(crate) fn new(authority: &str, path: &'a str, peer: &'a Peer) -> Self {
        let host = authority.strip_suffix(":443").unwrap_or(authority);
        let service = path.rfind('/').map_or("", |slash| &path[..slash]);
        let audience = format!("https://{host}{service}");
        Self {
            audience,
            path,
            peer,
        }
    }

    /// Whom a token should be good for: `https://host/package.Service`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The method that is called: `/package.Service/Method`.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The server that will be called.
    pub fn peer(&self) -> &Peer {
        self.peer
    }
}

/// A token that does not change, as OAuth 2.0 sends it: `authorization: Bearer …`.
#[derive(Clone)]
pub struct BearerToken(MetadataMap);

impl BearerToken {
    /// Credentials of this token.
    ///
    /// # Errors
    ///
    /// If it has characters that metadata cannot carry.
    pub fn new(token: &str) -> Result<Self, InvalidMetadata> {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", &format!("Bearer {token}"))?;
        Ok(Self(metadata))
    }
}

impl CallCredentials for BearerToken {
    async fn metadata(&self, _: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        Ok(self.0.clone())
    }
}

impl fmt::Debug for BearerToken {
    /// Does not show the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

/// Call credentials of any kind. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AnyCallCredentials(Arc<dyn Erased>);

impl AnyCallCredentials {
    pub(crate) fn new(credentials: impl CallCredentials) -> Self {
        Self(Arc::new(credentials))
    }

    pub(crate) fn requires_security(&self) -> bool {
        self.0.requires_security()
    }

    /// The metadata, or the status that the call ends with.
    pub(crate) async fn metadata(&self, call: &RequestInfo<'_>) -> Result<MetadataMap, Status> {
        let secure = call.peer.auth_info().allows_call_credentials();
        if self.requires_security() && !secure {
            let text = "transport: cannot send secure credentials on an insecure connection";
            return Err(Status::unauthenticated(text));
        }
        self.0.metadata(call).await.map_err(status)
    }
}

impl fmt::Debug for AnyCallCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn status(error: CallCredentialsError) -> Status {
    match error.downcast::<Status>() {
        Ok(status) if status.code().is_restricted_for_control_plane() => {
            let text = "transport: received per-RPC creds error with illegal status";
            Status::internal(format!("{text}: {status}")).with_source(*status)
        }
        Ok(status) => *status,
        Err(other) => {
            let text = format!("transport: per-RPC creds failed due to error: {other}");
            Status::unauthenticated(text)
        }
    }
}

/// What [`CallCredentials`] is behind a pointer.
trait Erased: fmt::Debug + Send + Sync {
    fn metadata<'a>(
        &'a self,
        call: &'a RequestInfo<'_>,
    ) -> BoxFuture<'a, Result<MetadataMap, CallCredentialsError>>;
    fn requires_security(&self) -> bool;
}

impl<T: CallCredentials> Erased for T {
    fn metadata<'a>(
        &'a self,
        call: &'a RequestInfo<'_>,
    ) -> BoxFuture<'a, Result<MetadataMap, CallCredentialsError>> {
        Box::pin(CallCredentials::metadata(self, call))
    }

    fn requires_security(&self) -> bool {
        CallCredentials::requires_security(self)
    }
}

#[cfg(test)]
mod tests {
    use highball_core::{Address, AuthInfo};

    use super::*;

    #[test]
    fn the_audience_is_the_service_at_its_host() {
        let peer = Peer::new(Address::tcp("10.0.0.1:443"), AuthInfo::insecure());
        for (authority, path, expected) in [
            ("host:443", "/pkg.Svc/Method", "https://host/pkg.Svc"),
            ("host:8443", "/pkg.Svc/Method", "https://host:8443/pkg.Svc"),
            ("host", "/a/b/Method", "https://host/a/b"),
        ] {
            let info = RequestInfo::new(authority, path, &peer);
            assert_eq!(info.audience(), expected);
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = BearerToken::new("s3cret").unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
        assert!(BearerToken::new("line\nbreak").is_err());
    }

    #[test]
    fn a54_a_provider_may_not_end_a_call_as_the_application_does() {
        let text = |error: CallCredentialsError| status(error).to_string();
        assert_eq!(
            text(Status::unavailable("no token server").into()),
            "UNAVAILABLE: no token server"
        );
        assert_eq!(
            text(Status::not_found("key").into()),
            "INTERNAL: transport: received per-RPC creds error with illegal status: NOT_FOUND: key"
        );
        assert_eq!(
            text("expired".into()),
            "UNAUTHENTICATED: transport: per-RPC creds failed due to error: expired"
        );
    }
}
