//! A byte stream to an address: directly, or through a proxy.

use std::io;

use futures_core::future::BoxFuture;
use highball_core::{Address, ThroughProxy};

use crate::connect::{BoxIo, Connector};
#[cfg(feature = "proxy")]
use crate::tunnel;

/// Connects to `address`: through a proxy, if it has the attribute [`ThroughProxy`].
///
/// # Errors
///
/// Besides those of the connector and the proxy: a build without the feature `proxy` goes through none, and never past
/// one either.
pub(crate) fn dial<'a>(
    connector: &'a dyn Connector,
    address: &'a Address,
    user_agent: &'a str,
) -> BoxFuture<'a, io::Result<BoxIo>> {
    match address.attributes().get::<ThroughProxy>() {
        None => connector.connect(address),
        #[cfg(feature = "proxy")]
        Some(through) => Box::pin(tunnel::connect(connector, address, through, user_agent)),
        #[cfg(not(feature = "proxy"))]
        Some(_) => {
            let _ = user_agent;
            let text = "this build has no way through a proxy: it is without the feature `proxy`";
            Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, text)) })
        }
    }
}

#[cfg(all(test, not(feature = "proxy")))]
mod tests {
    use highball_core::Attributes;

    use super::*;
    use crate::MemoryNetwork;

    #[tokio::test]
    async fn without_the_feature_nobody_goes_past_a_proxy_in_silence() {
        let network = MemoryNetwork::new();
        let _server = network.listen("server:443");
        let _proxy = network.listen("proxy:1");
        let through = Attributes::default().with(ThroughProxy::new("proxy:1"));
        let address = Address::tcp("server:443").with_attributes(through);
        let error = dial(&network, &address, "x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("feature `proxy`"), "{error}");
    }
}
