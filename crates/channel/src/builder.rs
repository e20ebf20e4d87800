//! From a target and a few choices to a channel.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use highball_balancer::{Policy, Registry};
use highball_core::{Backoff, mailbox};
use highball_resolver::{ProxySettings, ResolverFactory, ResolverOptions, ResolverRegistry};
use highball_transport::client::{ClientOptions, Keepalive};
use highball_transport::{ChannelCredentials, Compression, Connector};

use crate::activity::Activity;
use crate::authority::{authority, chosen_authority};
use crate::build_error::BuildError;
use crate::call_credentials::{AnyCallCredentials, CallCredentials};
use crate::channel::{CallDefaults, Channel, Handle};
use crate::driver::{Configs, Driver, Setup, Shared};
use crate::interceptor::{AnyInterceptor, ClientInterceptor};
use crate::picker_slot::PickerSlot;
use crate::service_config::ServiceConfig;
use crate::state::ChannelState;
use crate::way::way;

/// How long a channel goes without a call before it lets go of its connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The least time an attempt to connect is given.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How many connections a subchannel has at most, whatever the service config says.
const MAX_CONNECTIONS_PER_SUBCHANNEL: usize = 10;

/// How many attempts a call makes at most, whatever its policy says.
const MAX_CALL_ATTEMPTS: u32 = 5;

/// Builds a [`Channel`]: the target, the credentials, and what differs from the defaults.
///
/// Building is quick: nothing is resolved and nothing connected. Only [`credentials`](Self::credentials) (or
/// [`insecure`](Self::insecure), for none) must be chosen.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use highball_channel::Channel;
/// use highball_channel::resolver::{ManualResolver, Resolution};
///
/// let servers = ManualResolver::new("example");
/// servers.update(Resolution::new(["127.0.0.1:50050", "127.0.0.1:50051"]));
/// let channel = Channel::builder("example:///echo")
///     .insecure()
///     .resolver(servers)
///     .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
///     .build()?;
/// assert_eq!(channel.target(), "example:///echo");
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct ChannelBuilder {
    target: String,
    credentials: Option<Credentials>,
    calls: CallDefaults,
    resolvers: ResolverRegistry,
    resolver_options: ResolverOptions,
    policies: Registry,
    service_config: Option<String>,
    use_resolved_config: bool,
    authority: Option<String>,
    /// `None`: the system's network.
    connector: Option<Arc<dyn Connector>>,
    /// `None`: what the environment says, unless the way to servers is the application's own.
    proxy: Option<ProxySettings>,
    client: ClientOptions,
    backoff: Backoff,
    min_connect_timeout: Duration,
    max_connections: usize,
    idle_timeout: Option<Duration>,
    retries: bool,
    seed: Option<u64>,
}

impl ChannelBuilder {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            credentials: None,
            calls: CallDefaults {
                credentials: Vec::new(),
                interceptors: Vec::new(),
                max_attempts: MAX_CALL_ATTEMPTS,
                compression: Compression::Identity,
            },
            resolvers: ResolverRegistry::builtin(),
            resolver_options: ResolverOptions::default(),
            policies: Registry::builtin(),
            service_config: None,
            use_resolved_config: true,
            authority: None,
            connector: None,
            proxy: None,
            client: ClientOptions::default(),
            backoff: Backoff::default(),
            min_connect_timeout: MIN_CONNECT_TIMEOUT,
            max_connections: MAX_CONNECTIONS_PER_SUBCHANNEL,
            idle_timeout: Some(IDLE_TIMEOUT),
            retries: true,
            seed: None,
        }
    }

    /// Speaks plaintext. Anybody on the way can read and change what is sent.
    pub fn insecure(mut self) -> Self {
        self.credentials = Some(Credentials::Insecure);
        self
    }

    /// Secures connections: by TLS, by [`LocalCredentials`](crate::LocalCredentials), or in a way of one's
    /// own.
    pub fn credentials(mut self, credentials: impl ChannelCredentials) -> Self {
        self.credentials = Some(Credentials::Secure(Arc::new(credentials)));
        self
    }

    /// Gives every call these credentials as well: see [`CallCredentials`]. The calls that the channel makes
    /// itself, to ask servers for their health (gRFC A17) and their load, get them too; a server that cannot be asked
    /// for want of them is in bad health.
    pub fn call_credentials(mut self, credentials: impl CallCredentials) -> Self {
        let credentials = AnyCallCredentials::new(credentials);
        self.calls.credentials.push(credentials);
        self
    }

    /// Puts an interceptor around every call, inside of those that were added before: see
    /// [`ClientInterceptor`]. A channel without any pays nothing for it.
    pub fn interceptor(mut self, interceptor: impl ClientInterceptor) -> Self {
        self.calls
            .interceptors
            .push(AnyInterceptor::new(interceptor));
        self
    }

    /// Adds a resolver for the targets of its scheme, before the built-in ones.
    pub fn resolver(mut self, factory: impl ResolverFactory) -> Self {
        self.resolvers.register(factory);
        self
    }

    /// Replaces what resolvers are told, such as how host names become addresses.
    pub fn resolver_options(mut self, options: ResolverOptions) -> Self {
        self.resolver_options = options;
        self
    }

    /// Adds a balancing policy, which a service config chooses by its name.
    pub fn policy<P: Policy>(mut self) -> Self {
        self.policies.register::<P>();
        self
    }

    /// Sets the service config that holds where the resolver brings none (gRFC A21).
    pub fn default_service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(json.into());
        self
    }

    /// Ignores the service configs that the resolver brings.
    pub fn disable_service_config(mut self) -> Self {
        self.use_resolved_config = false;
        self
    }

    /// Sets the `:authority` of calls, which is also the name that TLS asks servers for, instead of what the
    /// resolver makes of the target and of what it says of single addresses.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Replaces the way to servers: the operating system's TCP and Unix sockets. The environment's proxy is
    /// then left aside.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// Sets the proxy that servers are reached through (HTTP `CONNECT`, gRFC A1), instead of what the
    /// environment says in `HTTPS_PROXY` and `NO_PROXY` when the channel is built.
    ///
    /// Names of the scheme `dns` are left to the proxy, and not looked up. Unix sockets and this machine itself
    /// are reached directly all the same. TLS runs through the tunnel, with the server.
    ///
    /// ```
    /// # use highball_channel::{Channel, resolver::{BadProxy, ProxySettings}};
    /// let proxy = ProxySettings::new("http://user:secret@proxy.example:3128")?.bypass(".corp,10.0.0.0/8");
    /// let builder = Channel::builder("echo.example:50051").insecure().proxy(proxy);
    /// # Ok::<(), BadProxy>(())
    /// ```
    ///
    /// Only with the feature `proxy`. Without it, servers are reached directly; where the environment names a proxy for
    /// a channel's target, that is in the log when the channel is built.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, settings: ProxySettings) -> Self {
        self.proxy = Some(settings);
        self
    }

    /// Reaches all servers directly, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Some(ProxySettings::none());
        self
    }

    /// Puts `name` in front of the `user-agent`: `name highball/<version>`.
    pub fn user_agent(mut self, name: &str) -> Self {
        self.client.user_agent = format!("{name} {}", ClientOptions::default().user_agent).into();
        self
    }

    /// Replaces how each connection is set up: its windows and limits.
    pub fn client_options(mut self, options: ClientOptions) -> Self {
        self.client = options;
        self
    }

    /// Asks servers that are silent whether they are still there, and lets go of connections to those that do
    /// not answer (gRFC A8). Without it a server that vanishes without a word is noticed only by deadlines.
    ///
    /// Servers restrict how often they may be asked: see [`Keepalive`]. Goes behind
    /// [`client_options`](Self::client_options), which replace it.
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.client.keepalive = Some(keepalive);
        self
    }

    /// Replaces the delays between attempts to connect: 1 s × 1.6 ± 20 %, at most 120 s.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Replaces the least time an attempt to connect is given: 20 s.
    pub fn min_connect_timeout(mut self, timeout: Duration) -> Self {
        self.min_connect_timeout = timeout;
        self
    }

    /// Replaces the cap on the connections to one address, which a service config lets grow with the number of calls
    /// (`connectionScaling.maxConnectionsPerSubchannel`, gRFC A105): 10. With 1 they do not grow at all.
    pub fn max_connections_per_subchannel(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Replaces the time without a call after which the channel goes idle: 30 minutes, as in grpc-go and
    /// grpc-java. `None`: never. At least a millisecond.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Replaces how many attempts a call makes at most, the first included, whatever its policy says: 5.
    /// Less than 2 stands for 5, too.
    pub fn max_call_attempts(mut self, attempts: u32) -> Self {
        self.calls.max_attempts = match attempts {
            0 | 1 => MAX_CALL_ATTEMPTS,
            attempts => attempts,
        };
        self
    }

    /// Retries no call, whatever its policy says. Attempts that no server has seen are made again all the
    /// same: that is no retry (gRFC A6).
    pub fn disable_retries(mut self) -> Self {
        self.retries = false;
        self
    }

    /// Compresses the messages of calls, those that become shorter. A call may say otherwise
    /// ([`CallOptions::compression`](crate::CallOptions::compression)). Servers that do not know it answer
    /// UNIMPLEMENTED, and there is no asking them beforehand.
    ///
    /// Responses are unpacked in any case, whatever this build knows: what that is depends on the features
    /// `gzip`, `deflate` and `zstd`, and servers are told.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.calls.compression = compression;
        self
    }

    /// Makes shuffles, rotations and jitter repeatable, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self.resolver_options.seed = seed;
        self
    }

    /// Builds the channel. Neither blocks nor connects; spawns the channel's task on the current runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says which of the choices makes no sense, and what to choose instead.
    pub fn build(self) -> Result<Channel, BuildError> {
        let runtime = tokio::runtime::Handle::try_current()?;
        let (target, factory) = self.resolvers.find(&self.target)?;
        let credentials = self.credentials.ok_or(BuildError::NoCredentials)?;
        if matches!(credentials, Credentials::Insecure)
            && self
                .calls
                .credentials
                .iter()
                .any(AnyCallCredentials::requires_security)
        {
            return Err(BuildError::InsecureCallCredentials);
        }
        let mut calls = self.calls;
        if !self.retries {
            calls.max_attempts = 1;
        }
        let default = self.service_config.as_deref();
        let default = default
            .map(|json| ServiceConfig::parse(json, &self.policies))
            .transpose()?;
        let chosen = chosen_authority(self.authority, credentials.server_name())?;
        let mut client = self.client;
        client.ignore_server_names = chosen.is_some();
        if let Credentials::Secure(credentials) = credentials {
            client.credentials = credentials;
        }
        let authority = authority(chosen, &*factory, &target)?;
        client.authority = Some(authority.clone());
        let (connector, proxy) = way(&target, self.connector, self.proxy);
        let (driver, inbox) = mailbox();
        let setup = Setup {
            target: target.clone(),
            factory: proxy.delegate(factory),
            resolver_options: self.resolver_options,
            subchannels: Arc::new(highball_subchannel::Options {
                connector,
                client,
                backoff: self.backoff,
                min_connect_timeout: self.min_connect_timeout,
                max_connections: self.max_connections,
            }),
            call_credentials: calls.credentials.clone(),
            configs: Configs::new(self.policies, default, self.use_resolved_config),
            idle_timeout: self.idle_timeout,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
            messages: driver.clone(),
        };
        let shared = Arc::new(Shared {
            slot: PickerSlot::new(),
            activity: Activity::new(),
            state: ChannelState::idle(),
        });
        // In a box: on its way to the heap and at its end, a task is moved seven times.
        let mut task = Box::new(Driver::new(shared.clone(), setup, inbox));
        runtime.spawn(async move { task.run().await });
        Ok(Channel::new(Handle::new(
            shared, driver, target, authority, calls,
        )))
    }
}

/// How connections are secured.
enum Credentials {
    Insecure,
    Secure(Arc<dyn ChannelCredentials>),
}

impl Credentials {
    fn server_name(&self) -> Option<&str> {
        match self {
            Self::Insecure => None,
            Self::Secure(credentials) => credentials.server_name(),
        }
    }
}

impl fmt::Debug for ChannelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder")
            .field("target", &self.target)
            .field("resolvers", &self.resolvers)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}
