//! Two resolvers for one target: where its servers are, and where the proxy is.
//!
//! ```text
//!   target's resolver ── endpoints ────────────┐
//!                                              ├──► each address that needs it, through each of the proxy's
//!   proxy's (dns; from the first need on) ─────┘
//!
//!   rejected, for what one of them has said ──► the other is asked again
//!   requests for re-resolution              ──► both
//!   errors of either                        ──► the channel
//! ```

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::future::BoxFuture;
use highball_core::{Address, Endpoint, Network, Status, ThroughProxy};

use super::{Proxy, ProxySettings};
use crate::host_port::HostPort;
use crate::{
    Ack, Dns, Inbox, Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates, pair,
};

/// Sends on what the target's resolver says, with the proxy in it.
pub(super) struct Delegated {
    target: Box<dyn Resolver>,
    settings: Arc<ProxySettings>,
    options: ResolverOptions,
}

/// One of the two resolvers, which runs while it is listened to.
struct Child {
    /// Gone when it has ended; its last word stands.
    run: Option<BoxFuture<'static, ()>>,
    inbox: Inbox,
    /// The last of what it has said that was no error.
    said: Option<Resolution>,
}

/// Both, and what they have said.
struct Pair {
    settings: Arc<ProxySettings>,
    options: ResolverOptions,
    target: Child,
    /// There from the first address on that needs it.
    proxy: Option<Child>,
}

/// Who has said something.
enum Who {
    Target,
    Proxy,
}

impl Delegated {
    pub(super) fn new(
        target: Box<dyn Resolver>,
        settings: Arc<ProxySettings>,
        options: ResolverOptions,
    ) -> Self {
        Self {
            target,
            settings,
            options,
        }
    }
}

impl Resolver for Delegated {
    fn run(self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut pair = Pair {
                settings: self.settings,
                options: self.options,
                target: Child::start(self.target),
                proxy: None,
            };
            loop {
                match updates.unless_requested(poll_fn(|cx| pair.poll(cx))).await {
                    Some((who, (resolution, ack))) => {
                        pair.hear(who, resolution, ack, &updates).await;
                    }
                    None => pair.request(),
                }
            }
        })
    }
}

impl Pair {
    /// What one of the two says next, and which of them.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Who, (Resolution, Ack))> {
        // First, for it speaks seldom; a target's resolver that is never silent must not drown it.
        if let Some(proxy) = &mut self.proxy
            && let Poll::Ready(said) = proxy.poll(cx)
        {
            return Poll::Ready((Who::Proxy, said));
        }
        self.target.poll(cx).map(|said| (Who::Target, said))
    }

    async fn hear(&mut self, who: Who, resolution: Resolution, ack: Ack, updates: &Updates) {
        let told = match resolution.endpoints {
            Err(_) => Some(resolution),
            Ok(_) => {
                match (&who, &mut self.proxy) {
                    (Who::Proxy, Some(proxy)) => proxy.said = Some(resolution),
                    _ => self.target.said = Some(resolution),
                }
                self.combined()
            }
        };
        let Some(told) = told else {
            return ack.accept();
        };
        let is_error = told.endpoints.is_err();
        match updates.send(told).await {
            Ok(()) => ack.accept(),
            Err(rejected) => {
                let other = match who {
                    Who::Target => self.proxy.as_ref(),
                    Who::Proxy => Some(&self.target),
                };
                if let Some(other) = other.filter(|_| !is_error) {
                    other.inbox.request_resolution();
                }
                ack.reject(rejected);
            }
        }
    }

    fn request(&self) {
        for child in std::iter::once(&self.target).chain(&self.proxy) {
            child.inbox.request_resolution();
        }
    }

    /// What is to be told; `None` while the proxy is needed and nobody knows where it is.
    fn combined(&mut self) -> Option<Resolution> {
        let said = self.target.said.as_ref()?;
        let endpoints = said.endpoints.as_ref().ok()?;
        let mut needs = endpoints.iter().flat_map(Endpoint::addresses);
        let proxy = match needs.find_map(|address| proxy_for(&self.settings, address).transpose()) {
            None => return Some(said.clone()),
            Some(Err(status)) => return Some(Resolution::error(status)),
            Some(Ok(proxy)) => proxy,
        };
        let resolved = match &self.proxy {
            Some(child) => child.said.as_ref()?.endpoints.as_ref().ok()?,
            None => match Child::of_proxy(proxy, &self.options) {
                Ok(child) => {
                    self.proxy = Some(child);
                    return None;
                }
                Err(status) => return Some(Resolution::error(status)),
            },
        };
        let proxies: Vec<_> = resolved
            .iter()
            .flat_map(Endpoint::addresses)
            .map(|at| through(at, proxy))
            .collect();
        let endpoints = endpoints
            .iter()
            .map(|endpoint| self.proxied(endpoint, &proxies));
        let mut combined = said.clone();
        combined.endpoints = Ok(endpoints.collect());
        Some(combined)
    }

    /// The endpoint, each address that needs it through each of the proxy's.
    fn proxied(&self, endpoint: &Endpoint, proxies: &[ThroughProxy]) -> Endpoint {
        let mut addresses = Vec::new();
        for address in endpoint.addresses() {
            match proxy_for(&self.settings, address) {
                Ok(Some(_)) => addresses.extend(proxies.iter().map(|proxy| {
                    let attributes = address.attributes().clone().with(proxy.clone());
                    address.clone().with_attributes(attributes)
                })),
                _ => addresses.push(address.clone()),
            }
        }
        Endpoint::new(addresses).with_attributes(endpoint.attributes().clone())
    }
}

impl Child {
    fn start(resolver: Box<dyn Resolver>) -> Self {
        let (updates, inbox) = pair();
        Self {
            run: Some(resolver.run(updates)),
            inbox,
            said: None,
        }
    }

    /// The resolver of a proxy's host.
    fn of_proxy(proxy: &Proxy, options: &ResolverOptions) -> Result<Self, Status> {
        let target = Target::parse(&format!("dns:///{}", proxy.at()));
        let resolver = target.and_then(|target| Dns.build(&target, options));
        Ok(Self::start(resolver?))
    }

    /// What it says next; never, if it has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Resolution, Ack)> {
        loop {
            if let Poll::Ready(Some(said)) = self.inbox.poll_recv(cx) {
                return Poll::Ready(*said);
            }
            let Some(run) = &mut self.run else {
                return Poll::Pending;
            };
            ready!(run.as_mut().poll(cx));
            // Its last word may be there.
            self.run = None;
        }
    }
}

/// The proxy that an address is reached through.
fn proxy_for<'a>(
    settings: &'a ProxySettings,
    address: &Address,
) -> Result<Option<&'a Proxy>, Status> {
    match HostPort::parse(address.text()) {
        Ok(server) if address.network() == Network::Tcp => {
            let proxy = settings.proxy_for(&server);
            proxy.map_err(|bad| Status::unavailable(bad.to_string()).with_source(bad))
        }
        _ => Ok(None),
    }
}

fn through(at: &Address, proxy: &Proxy) -> ThroughProxy {
    let through = ThroughProxy::new(at.text());
    match proxy.user_info() {
        Some(user_info) => through.with_user_info(Arc::clone(user_info)),
        None => through,
    }
}
