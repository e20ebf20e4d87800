//! From an address to a connection that is ready for calls.
//!
//! ```text
//!   dial ──► security handshake ──► preface + SETTINGS out ──► the first frame in must be SETTINGS ──► READY
//! ```

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use highball_core::{Address, Network, Peer, Status, ThroughProxy};
use http::HeaderValue;
use http::uri::{Authority, Scheme};

use super::end::Loss;
use super::keepalive::{self, Complaints};
use super::same_headers::SameHeaders;
use super::shared::{Parts, Shared};
use super::task::ConnectionTask;
use super::{ClientOptions, Connection, ConnectionEnd, Lost};
use crate::connect::{BoxIo, Connector};
use crate::credentials::{Secured, host_of};
use crate::dial::dial;
use crate::keepalive::set_user_timeout;
use crate::settings;
use crate::tap::{Facts, Role, Tap, TapHandle, WireEnd, tap};

type H2 = client::Connection<Tap, Bytes>;

/// Connects to `address` and waits until the server has sent its SETTINGS: only then does an HTTP/2
/// server stand behind the port, and only then has it accepted this end's TLS certificate.
///
/// Spawns one task for the connection, on the runtime it is called on. Not bounded in time: the caller
/// is. Dropping the future closes the socket at once.
///
/// # Errors
///
/// [`ConnectError`] when dialling fails, when the connection cannot be secured, or when what answers does
/// not speak HTTP/2.
pub async fn connect(
    connector: &dyn Connector,
    address: &Address,
    options: &ClientOptions,
) -> Result<(Connection, ConnectionEnd), ConnectError> {
    let failed = |stage, source| ConnectError::new(address.clone(), stage, source);
    let io = dial(connector, address, &options.user_agent)
        .await
        .map_err(|source| failed(ConnectStage::Dialing, source))?;
    let at = io.peer();
    if let Some(keepalive) = &options.keepalive {
        set_user_timeout(&*io, keepalive.timeout);
    }
    let (authority, secured) = secure(io, address, options)
        .await
        .map_err(|source| failed(ConnectStage::Handshake, source))?;
    let peer = Peer::new(at, secured.auth_info);
    let (tap, handle) = tap(secured.io, Role::Client);
    let (sender, h2) = preface(tap, &handle, options)
        .await
        .map_err(|source| failed(ConnectStage::Preface, source))?;
    let security = peer.auth_info().protocol();
    tracing::debug!(target: "transport", %address, %peer, security, "connection established");
    let loss = Arc::<Loss>::default();
    let shared = Arc::new(Shared::new(Parts {
        address: address.clone(),
        authority,
        scheme: match peer.auth_info().is_https() {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        },
        same_headers: SameHeaders::new(user_agent(options.user_agent.clone())),
        peer,
        credentials: Arc::clone(&options.credentials),
        max_header_list_size: options.max_header_list_size,
        last_stream_id: options.last_stream_id,
        sender,
        facts: Arc::clone(handle.facts()),
        loss: Arc::clone(&loss),
    }));
    let time = keepalive::time(options);
    watch_goaway(&shared, time, &options.complaints);
    let vigil = keepalive::vigil(options, time);
    let task = ConnectionTask::new(h2, handle, Arc::clone(&shared), vigil, options.windows);
    // In a box: on its way to the heap and at its end, a task is moved seven times.
    tokio::spawn(Box::pin(task.run()));
    Ok((Connection::new(shared), ConnectionEnd { loss }))
}

/// Makes sure of the server, by the name that it is asked for.
async fn secure(
    io: BoxIo,
    address: &Address,
    options: &ClientOptions,
) -> io::Result<(Authority, Secured)> {
    let authority = authority(address, options)?;
    let name = host_of(&authority);
    let secured = options.credentials.handshake(io, name).await?;
    Ok((authority, secured))
}

/// Whom to ask a server for: the user's choice, else what its address says, else what the target says.
fn authority(address: &Address, options: &ClientOptions) -> io::Result<Authority> {
    let own = address.server_name();
    match (
        &options.authority,
        own.filter(|_| !options.ignore_server_names),
    ) {
        (_, Some(name)) => name.parse().map_err(|_| {
            let text = format!("{name:?} is no authority that a server can be asked for");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }),
        (Some(authority), None) => Ok(authority.clone()),
        (None, None) if address.network() == Network::Tcp => {
            let localhost = |_| Authority::from_static("localhost");
            Ok(address.text().parse().unwrap_or_else(localhost))
        }
        (None, None) => Ok(Authority::from_static("localhost")),
    }
}

/// Sends the preface and drives h2 until the server's SETTINGS are there and applied.
async fn preface(
    tap: Tap,
    handle: &TapHandle,
    options: &ClientOptions,
) -> io::Result<(SendRequest<Bytes>, H2)> {
    let (sender, mut h2) = builder(options)
        .handshake(tap)
        .await
        .map_err(|error| not_http2(handle.facts(), Some(error)))?;
    poll_fn(|cx| poll_settings(&mut h2, handle, cx)).await?;
    Ok((sender, h2))
}

fn poll_settings(h2: &mut H2, handle: &TapHandle, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let polled = Pin::new(h2).poll(cx);
    let facts = handle.facts();
    if polled.is_pending() && facts.settings_seen() {
        // Their acknowledgement is left to the connection's task, to be written with the first calls.
        return Poll::Ready(Ok(()));
    }
    let _ = handle.poll_flush(cx);
    match polled {
        Poll::Ready(result) => Poll::Ready(Err(not_http2(facts, result.err()))),
        Poll::Pending if handle.is_write_broken() => Poll::Ready(Err(not_http2(facts, None))),
        Poll::Pending => Poll::Pending,
    }
}

/// Why there is no HTTP/2 server, as the tap saw it or else as h2 says it.
fn not_http2(facts: &Facts, error: Option<h2::Error>) -> io::Error {
    match (facts.end(), error) {
        (Some(WireEnd::Violation(violation)), _) => {
            io::Error::new(io::ErrorKind::InvalidData, violation)
        }
        (Some(WireEnd::Read(error) | WireEnd::Write(error)), _) => {
            io::Error::new(error.kind(), error)
        }
        (Some(WireEnd::Eof) | None, None) | (Some(WireEnd::Eof), Some(_)) => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "EOF")
        }
        (None, Some(error)) => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

/// The server's GOAWAY goes to the owner before h2 turns new streams away. `time` is what the connection keeps
/// to between two PINGs.
fn watch_goaway(shared: &Arc<Shared>, time: Option<Duration>, complaints: &Complaints) {
    let told = Arc::downgrade(shared);
    let complaints = complaints.shared();
    shared.facts.on_goaway(move |goaway| {
        let Some(shared) = told.upgrade() else { return };
        let lost = Lost::GoAway {
            code: goaway.code,
            debug: goaway.debug.clone(),
        };
        let (address, last_stream) = (&shared.address, goaway.last_stream);
        if goaway.code == Reason::ENHANCE_YOUR_CALM {
            if let (b"too_many_pings", Some(time)) = (&goaway.debug[..], time) {
                complaints.add(time);
            }
            // The server finds fault with this client: somebody should look at its settings.
            tracing::warn!(target: "transport", %address, last_stream, reason = %lost, "goaway received");
        } else {
            tracing::debug!(target: "transport", %address, last_stream, reason = %lost, "goaway received");
        }
        shared.lose(lost);
    });
}

/// Every setting that h2 has, at the client.
fn builder(options: &ClientOptions) -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .data_frame_budget(settings::CLIENT_DATA_FRAME_BUDGET)
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(settings::RESET_STREAMS_KEPT)
        .reset_stream_duration(settings::RESET_STREAMS_KEPT_FOR)
        .max_concurrent_streams(0)
        .max_header_list_size(settings::h2_header_list_limit(options.max_header_list_size))
        .header_table_size(settings::HEADER_TABLE_SIZE)
        .max_frame_size(settings::MAX_FRAME_SIZE)
        .initial_window_size(options.windows.stream())
        .initial_connection_window_size(options.windows.connection())
        .initial_max_send_streams(settings::STREAMS_BEFORE_SETTINGS as usize)
        .max_send_buffer_size(settings::MAX_SEND_BUFFER);
    builder
}

/// What a header cannot carry is left out.
fn user_agent(text: Cow<'static, str>) -> HeaderValue {
    let text: Bytes = match text {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    };
    let is_legal = |byte: &u8| matches!(byte, b' '..=b'~');
    let legal = match text.iter().all(is_legal) {
        true => text,
        false => text.iter().copied().filter(is_legal).collect(),
    };
    HeaderValue::from_maybe_shared(legal).expect("printable ASCII is legal in a header")
}

/// How far an attempt to connect came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectStage {
    /// Making the byte stream.
    Dialing,
    /// Securing it, and making sure of the server.
    Handshake,
    /// Waiting for the server's SETTINGS.
    Preface,
}

/// An attempt to connect failed.
#[derive(Debug, thiserror::Error)]
#[error("connection error: desc = \"{text}\"")]
pub struct ConnectError {
    /// Where to.
    pub address: Address,
    /// At which stage.
    pub stage: ConnectStage,
    text: String,
    #[source]
    source: io::Error,
}

impl ConnectError {
    fn new(address: Address, stage: ConnectStage, source: io::Error) -> Self {
        let what = match stage {
            ConnectStage::Dialing => "transport: Error while dialing",
            ConnectStage::Handshake => "transport: authentication handshake failed",
            ConnectStage::Preface => "error reading server preface",
        };
        Self {
            text: format!("{what}: {}: {source}", ThroughProxy::route(&address)),
            address,
            stage,
            source,
        }
    }
}

impl From<ConnectError> for Status {
    /// `UNAVAILABLE`, with the error for its source.
    fn from(error: ConnectError) -> Self {
        Self::unavailable(error.to_string()).with_source(error)
    }
}
