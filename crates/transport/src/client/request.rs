//! The head of a call: all that travels in its request headers.

use std::time::Duration;

use highball_core::{GivenUp, MetadataMap, Status};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::OpenError;
use super::shared::Shared;
use crate::compression::{Compression, Compressions, GRPC_ACCEPT_ENCODING};
use crate::framing::{DEFAULT_RECEIVE_LIMIT, GRPC_ENCODING};
use crate::response::header_list_size;

/// What a call starts with. Cheap to build: path and authority are shared, not copied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// `:path`: `/package.Service/Method`.
    pub path: PathAndQuery,
    /// `:authority`.
    pub authority: Authority,
    /// The time that is left until the call's deadline, measured when the stream is opened; sent as
    /// `grpc-timeout`, rounded up. `Some(Duration::ZERO)` ends the call without touching the wire.
    pub timeout: Option<Duration>,
    /// The application's metadata.
    pub metadata: MetadataMap,
    /// How many attempts came before this one: `grpc-previous-rpc-attempts`, sent if not 0.
    pub previous_attempts: u32,
    /// The largest message the caller accepts, in bytes; 4 MiB by default.
    pub max_receive_message: usize,
    /// What the call's messages are compressed by: `grpc-encoding`, sent unless it is the identity. Whoever
    /// frames them compresses them.
    pub compression: Compression,
    /// What the response may be compressed by: `grpc-accept-encoding`; all that this build knows by default.
    pub accepted: Compressions,
}

const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Room that is made for metadata in advance.
const MOST_AT_ONCE: usize = 256;

impl RequestHead {
    /// A head without deadline and metadata.
    pub fn new(authority: Authority, path: PathAndQuery) -> Self {
        Self {
            path,
            authority,
            timeout: None,
            metadata: MetadataMap::new(),
            previous_attempts: 0,
            max_receive_message: DEFAULT_RECEIVE_LIMIT,
            compression: Compression::Identity,
            accepted: Compressions::all(),
        }
    }

    /// Fails if no time is left.
    pub(super) fn check_time(&self) -> Result<(), OpenError> {
        match self.timeout {
            Some(Duration::ZERO) => {
                let text = "the deadline passed before the stream was opened";
                let status = Status::deadline_exceeded(text);
                Err(OpenError::Failed(
                    status.with_source(GivenUp::DeadlinePassed),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The request that h2 sends; pseudo headers first, then gRPC's own, then the application's.
    pub(super) fn into_request(self, shared: &Shared) -> Request<()> {
        let (headers, path, authority) = self.headers(shared);
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(shared.scheme.clone());
        uri.authority = Some(authority);
        uri.path_and_query = Some(path);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() =
            Uri::from_parts(uri).expect("scheme, authority and path are all there");
        *request.headers_mut() = headers;
        request
    }

    fn headers(self, shared: &Shared) -> (HeaderMap, PathAndQuery, Authority) {
        let mut headers = shared.same_headers.of(self.timeout);
        if self.compression != Compression::Identity {
            let name = HeaderValue::from_static(self.compression.name());
            headers.insert(GRPC_ENCODING, name);
        }
        if self.accepted != Compressions::all() {
            headers.insert(GRPC_ACCEPT_ENCODING, self.accepted.header_value());
        }
        if self.previous_attempts > 0 {
            headers.insert(PREVIOUS_ATTEMPTS, self.previous_attempts.into());
        }
        if !self.metadata.is_empty() {
            // Room for keys: the values may be more than a map can have of these.
            headers.reserve(self.metadata.len().min(MOST_AT_ONCE));
            let mut metadata = self.metadata.into_wire();
            // Of a relay's own caller: how often it has tried says nothing of this call.
            metadata.remove(PREVIOUS_ATTEMPTS);
            headers.extend(metadata);
        }
        (headers, self.path, self.authority)
    }
}

/// Fails if the server accepts no headers of that size.
pub(super) fn check_size(
    request: &Request<()>,
    has_metadata: bool,
    shared: &Shared,
) -> Result<(), OpenError> {
    let most = shared.facts.max_header_list_size();
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |name| name.as_str().len());
    let pseudo = path + authority + PSEUDO_HEADERS;
    if !has_metadata && pseudo + shared.same_headers.longest() <= most as usize {
        return Ok(());
    }
    if pseudo + header_list_size(request.headers()) > most as usize {
        return Err(OpenError::Failed(Status::internal(format!(
            "header list size to send violates the maximum size ({most} bytes) set by server"
        ))));
    }
    Ok(())
}

/// The size of `:method: POST`, `:scheme: https` and the names of `:path` and `:authority`, as header
/// lists are counted.
const PSEUDO_HEADERS: usize = 4 * 32 + 7 + 4 + 7 + 5 + 5 + 10;
