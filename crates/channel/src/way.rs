//! The way to a channel's servers: through which network, and whether a proxy stands in it.

use std::sync::{Arc, LazyLock};

use highball_resolver::{ProxySettings, Target};
use highball_transport::{Connector, SystemConnector};

/// It has nothing to tell apart: one for all channels.
static SYSTEM: LazyLock<Arc<dyn Connector>> = LazyLock::new(|| Arc::new(SystemConnector));

/// What was chosen, else the system's network; the environment's proxy stands in that only.
pub(crate) fn way(
    target: &Target,
    connector: Option<Arc<dyn Connector>>,
    proxy: Option<ProxySettings>,
) -> (Arc<dyn Connector>, ProxySettings) {
    let proxy = proxy.unwrap_or_else(|| match connector {
        Some(_) => ProxySettings::none(),
        None => environment(target),
    });
    let connector = connector.unwrap_or_else(|| SYSTEM.clone());
    (connector, proxy)
}

/// The environment's proxy, as far as this build can follow it; who relies on it is told, where it cannot.
fn environment(target: &Target) -> ProxySettings {
    let settings = ProxySettings::from_env();
    if cfg!(feature = "proxy") {
        return settings;
    }
    if settings.concerns(target) {
        tracing::warn!(
            target: "channel",
            %target,
            "the environment names a proxy, and servers are reached directly: this build is without the feature `proxy`"
        );
    }
    ProxySettings::none()
}
