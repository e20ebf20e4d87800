//! `ipv4:` and `ipv6:`: the addresses are in the target itself.

use highball_core::Address;

use crate::fixed::Fixed;
use crate::host_port::HostPort;
use crate::target::authority_of;
use crate::{BadTarget, Resolver, ResolverFactory, ResolverOptions, Target};

/// A list of IP addresses with commas between, each with a port or with 443:
/// `ipv4:10.0.0.1:50051,10.0.0.2:50051`, `ipv6:[2001:db8::1]:50051,[2001:db8::2]`.
///
/// Each address is an endpoint, in the order of the list.
#[derive(Clone, Copy, Debug)]
pub enum Ip {
    /// The scheme `ipv4`.
    V4,
    /// The scheme `ipv6`.
    V6,
}

impl ResolverFactory for Ip {
    fn scheme(&self) -> &str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// The first address: a list is none that a server could recognise itself by.
    fn authority(&self, target: &Target) -> String {
        let endpoint = target.endpoint().replacen("%25", "%", 1);
        authority_of(endpoint.split(',').next().unwrap_or_default())
    }

    fn build(
        &self,
        target: &Target,
        _options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        let scheme = self.scheme();
        if !target.authority().is_empty() {
            let reason = format!("{scheme}: write {scheme}:ADDRESS:PORT, without \"//\"");
            return Err(BadTarget::refused(reason));
        }
        let addresses = target.endpoint().split(',').map(|text| self.address(text));
        Ok(Fixed::resolver(addresses.collect::<Result<Vec<_>, _>>()?))
    }
}

impl Ip {
    fn address(self, text: &str) -> Result<Address, BadTarget> {
        let scheme = self.scheme();
        let refused = |why: String| BadTarget::refused(format!("{scheme}: {why}"));
        // Zones may be written as in a URI (RFC 6874) or plain.
        let text = text.replacen("%25", "%", 1);
        let parsed = HostPort::parse(&text).map_err(|bad| refused(bad.to_string()))?;
        match (self, parsed.ip()) {
            (Self::V4, Some(ip)) if ip.is_ipv4() => Ok(Address::tcp(parsed.to_string())),
            (Self::V6, Some(ip)) if ip.is_ipv6() => Ok(Address::tcp(parsed.to_string())),
            _ => Err(refused(format!(
                "{text:?} is not an {} address",
                self.family()
            ))),
        }
    }

    fn family(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{only_update, refusal};

    #[tokio::test(start_paused = true)]
    async fn each_address_is_an_endpoint_in_the_order_of_the_list() {
        for (text, addresses) in [
            ("ipv4:10.0.0.1", &["10.0.0.1:443"][..]),
            (
                "ipv4:10.0.0.2:80,10.0.0.1",
                &["10.0.0.2:80", "10.0.0.1:443"],
            ),
            ("ipv4:///10.0.0.1:80", &["10.0.0.1:80"]),
            ("ipv6:::1", &["[::1]:443"]),
            ("ipv6:[::1]", &["[::1]:443"]),
            (
                "ipv6:[::1]:80,2001:db8::1",
                &["[::1]:80", "[2001:db8::1]:443"],
            ),
            ("ipv6:[fe80::1%eth0]:80", &["[fe80::1%eth0]:80"]),
            ("ipv6:[fe80::1%25eth0]:80", &["[fe80::1%eth0]:80"]),
            ("ipv6:///[fe80::1%25eth0]:80", &["[fe80::1%eth0]:80"]),
        ] {
            assert_eq!(only_update(text).await, addresses, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_addresses_is_refused() {
        for (text, why) in [
            ("ipv4:", "ipv4: missing address"),
            ("ipv4:10.0.0.1,", "ipv4: missing address"),
            (
                "ipv4:10.0.0.1:",
                "ipv4: missing port after port-separator colon",
            ),
            ("ipv4:[::1]:80", "ipv4: \"[::1]:80\" is not an IPv4 address"),
            (
                "ipv6:10.0.0.1:80",
                "ipv6: \"10.0.0.1:80\" is not an IPv6 address",
            ),
            (
                "ipv4:localhost:80",
                "ipv4: \"localhost:80\" is not an IPv4 address",
            ),
            (
                "ipv4://10.0.0.1:80",
                "ipv4: write ipv4:ADDRESS:PORT, without \"//\"",
            ),
        ] {
            assert_eq!(refusal(text), why, "{text}");
        }
    }

    #[test]
    fn the_authority_is_the_first_address() {
        for (text, authority) in [
            ("ipv4:10.0.0.1:80,10.0.0.2:80", "10.0.0.1:80"),
            ("ipv6:::1,::2", "[::1]"),
            ("ipv6:[fe80::1%25eth0]:80", "[fe80::1%25eth0]:80"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(Ip::V6.authority(&target), authority);
            assert!(
                authority.parse::<http::uri::Authority>().is_ok(),
                "{authority}"
            );
        }
    }
}
