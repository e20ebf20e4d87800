//! Putting a server together.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use highball_core::Status;
use highball_transport::server::{CallHead, EnforcementPolicy, Keepalive, ServerOptions};
use highball_transport::{Compression, ServerCredentials};

use crate::interceptor::{Chain, ServerInterceptor};
use crate::limits::Terms;
use crate::reflection::{self, Descriptors, ReflectionService, Subject};
use crate::router::Router;
use crate::{Listener, MessageLimits, ServeError, Server, Service};

/// What a server is put together with. [`Server::builder`] starts one.
pub struct ServerBuilder {
    router: Router,
    interceptors: Chain,
    terms: Terms,
    options: ServerOptions,
    credentials: Option<Arc<dyn ServerCredentials>>,
    handshakes: usize,
    grace: Duration,
    descriptors: Option<Descriptors>,
}

impl ServerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::default(),
            interceptors: Chain::default(),
            terms: Terms::default(),
            options: ServerOptions::default(),
            credentials: None,
            handshakes: 1000,
            grace: Duration::from_secs(30),
            descriptors: None,
        }
    }

    /// Serves `service` under its name, with the [message limits](Self::message_limits) and the
    /// [compression](Self::compression) set so far.
    ///
    /// # Panics
    ///
    /// If a service of that name was added before.
    #[must_use]
    pub fn add_service(self, service: impl Service) -> Self {
        let limits = self.terms.limits;
        self.add_service_with(service, limits)
    }

    /// Serves `service` with message limits of its own.
    ///
    /// # Panics
    ///
    /// If a service of that name was added before.
    #[must_use]
    pub fn add_service_with(mut self, service: impl Service, limits: MessageLimits) -> Self {
        let terms = Terms {
            limits,
            ..self.terms
        };
        if let Err(name) = self.router.add(service, terms) {
            panic!("there are two services named {name:?}");
        }
        self
    }

    /// Serves all calls to services that are not added; its [`Service::name`] does not matter. Without one
    /// such calls are UNIMPLEMENTED.
    #[must_use]
    pub fn unknown_service(mut self, service: impl Service) -> Self {
        self.router.set_unknown(service, self.terms);
        self
    }

    /// Offers [reflection](crate::reflection): tools may ask which services there are, all that are added
    /// here, and how to call those that `descriptors` describe.
    ///
    /// It tells everyone who can reach the server what can be called. [`build`](Self::build) panics if a
    /// service of reflection was added by hand.
    #[must_use]
    pub fn reflection(mut self, descriptors: Descriptors) -> Self {
        self.descriptors = Some(descriptors);
        self
    }

    /// The message limits of services that are added from here on.
    #[must_use]
    pub fn message_limits(mut self, limits: MessageLimits) -> Self {
        self.terms.limits = limits;
        self
    }

    /// What the replies of services that are added from here on are compressed by, for clients that can read
    /// it. Without it, replies are compressed as their requests were. A handler may say otherwise:
    /// [`Request::compress_reply`](crate::Request::compress_reply).
    ///
    /// Requests are unpacked in any case, whatever this build knows: what that is depends on the features
    /// `gzip`, `deflate` and `zstd`, and clients are told.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.terms.compression = Some(compression);
        self
    }

    /// Looks at every call before it is routed and may refuse it with a status. Runs on the connection's
    /// task, so it must be quick and must not block.
    #[must_use]
    pub fn tap(
        mut self,
        tap: impl Fn(&CallHead) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        self.router.set_tap(Box::new(tap));
        self
    }

    /// Puts an interceptor around every handler, inside of those that were added before: see
    /// [`ServerInterceptor`]. A server without any pays nothing for it.
    #[must_use]
    pub fn interceptor(mut self, interceptor: impl ServerInterceptor) -> Self {
        self.interceptors.push(interceptor);
        self
    }

    /// How connections are secured: by TLS, by [`LocalCredentials`](crate::LocalCredentials), or in a way
    /// of one's own. Without any, the server speaks plaintext.
    #[must_use]
    pub fn credentials(mut self, credentials: impl ServerCredentials) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// The settings of connections.
    #[must_use]
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// How many calls one client may have open on one connection, and how many handlers one connection runs
    /// at a time; 100 by default.
    #[must_use]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.options.max_concurrent_streams = streams;
        self
    }

    /// When clients that are silent are asked if they are still there: after two hours by default. `None`:
    /// never.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.options.keepalive = keepalive;
        self
    }

    /// How often clients may ask whether the server is still there.
    #[must_use]
    pub fn enforcement_policy(mut self, policy: EnforcementPolicy) -> Self {
        self.options.enforcement_policy = policy;
        self
    }

    /// How long a connection may be without calls before its client is asked to go; for ever by default.
    #[must_use]
    pub fn max_connection_idle(mut self, idle: Duration) -> Self {
        self.options.max_connection_idle = Some(idle);
        self
    }

    /// How old a connection may become, 10 % more or less, before its client is asked to go, and how long its
    /// calls may go on then before they are cut ([`Duration::MAX`]: until they end). Any age by default.
    #[must_use]
    pub fn max_connection_age(mut self, age: Duration, grace: Duration) -> Self {
        self.options.max_connection_age = Some(age);
        self.options.max_connection_age_grace = Some(grace);
        self
    }

    /// How many connections may be amid their handshake; 1000 by default. Further ones are closed.
    #[must_use]
    pub fn max_unfinished_handshakes(mut self, connections: usize) -> Self {
        self.handshakes = connections;
        self
    }

    /// How long a graceful stop waits for running calls before it cuts them; 30 s by default.
    /// [`Duration::MAX`] waits for ever.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The server, which may serve several listeners and is the handle to stop them.
    pub fn build(mut self) -> Server {
        if let Some(descriptors) = self.descriptors.take() {
            let subject = Arc::new(Subject::new(descriptors, self.router.names()));
            for name in reflection::NAMES {
                self = self.add_service(ReflectionService::new(name, Arc::clone(&subject)));
            }
        }
        let mut options = self.options;
        if let Some(credentials) = self.credentials {
            options.credentials = credentials;
        }
        Server::new(
            self.router,
            self.interceptors.build(),
            options,
            self.handshakes,
            self.grace,
        )
    }

    /// [`Server::serve`] of a server that nobody stops.
    ///
    /// # Errors
    ///
    /// Those of [`Server::serve`].
    pub async fn serve(self, listener: impl Listener) -> Result<(), ServeError> {
        self.build().serve(listener).await
    }

    /// [`Server::serve_with_shutdown`].
    ///
    /// # Errors
    ///
    /// Those of [`Server::serve`].
    pub async fn serve_with_shutdown(
        self,
        listener: impl Listener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        self.build().serve_with_shutdown(listener, shutdown).await
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("router", &self.router)
            .field("terms", &self.terms)
            .field("options", &self.options)
            .field("credentials", &self.credentials)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
