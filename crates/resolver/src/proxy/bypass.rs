//! The hosts that are reached without the proxy: what `NO_PROXY` lists, and this machine.

use std::net::IpAddr;

use crate::host_port::HostPort;

/// Who goes without the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    /// At this port only.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Ip(IpAddr),
    /// An address, and how many of its leading bits count.
    Range(IpAddr, u8),
    /// What is below a name, and the name itself unless it began with a dot.
    Domain {
        name: String,
        and_itself: bool,
    },
}

impl Bypass {
    /// What cannot be read is left out, as everybody does who reads this variable.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.split(',').filter_map(Rule::parse).collect())
    }

    pub(super) fn covers(&self, server: &HostPort) -> bool {
        let ip = server.ip().map(|ip| ip.to_canonical());
        let host = server.host.trim_end_matches('.').to_ascii_lowercase();
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.0.iter().any(|rule| {
            rule.port.is_none_or(|port| port == server.port) && rule.hosts.have(&host, ip)
        })
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self {
                hosts: Hosts::All,
                port: None,
            });
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            return (u32::from(bits) <= width(address)).then_some(Self {
                hosts: Hosts::Range(address, bits),
                port: None,
            });
        }
        let (host, port) = split_port(&entry)?;
        let hosts = match host.parse::<IpAddr>() {
            Ok(ip) => Hosts::Ip(ip.to_canonical()),
            Err(_) => Hosts::domain(host)?,
        };
        Some(Self { hosts, port })
    }
}

/// A host, without brackets, and its port. An IPv6 address without brackets has none.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    if entry.parse::<IpAddr>().is_ok() {
        return Some((entry, None));
    }
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => Some((host, None)),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((entry, None)),
    }
}

impl Hosts {
    fn domain(text: &str) -> Option<Self> {
        let text = text.strip_prefix('*').unwrap_or(text);
        let name = text.strip_prefix('.').unwrap_or(text).to_owned();
        let and_itself = !text.starts_with('.');
        (!name.is_empty()).then_some(Self::Domain { name, and_itself })
    }

    fn have(&self, host: &str, ip: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Ip(listed) => ip == Some(*listed),
            Self::Range(first, bits) => ip.is_some_and(|ip| same_range(*first, ip, *bits)),
            Self::Domain { name, and_itself } => match host.strip_suffix(name.as_str()) {
                Some("") => *and_itself,
                Some(below) => below.ends_with('.'),
                None => false,
            },
        }
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

/// Whether two addresses of one family have these leading bits in common.
fn same_range(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differing = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            u128::from(u32::from(one) ^ u32::from(other)) << (u128::BITS - u32::BITS)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => u128::from(one) ^ u128::from(other),
        _ => return false,
    };
    differing.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(list: &str, server: &str) -> bool {
        Bypass::parse(list).covers(&HostPort::parse(server).unwrap())
    }

    #[test]
    fn who_is_listed_is_reached_directly_and_nobody_else() {
        for (list, direct, proxied) in [
            ("a.b", "a.b A.b:1 a.b. x.y.a.b", "xa.b a.c b"),
            (".a.b", "x.a.b x.y.a.b:1", "a.b xa.b"),
            ("*.a.b", "x.a.b", "a.b xa.b"),
            ("a.b:8080", "a.b:8080 x.a.b:8080", "a.b:443 a.b"),
            ("10.1.2.3", "10.1.2.3:1", "10.1.2.4:1 a"),
            ("10.1.2.3:80", "10.1.2.3:80", "10.1.2.3:81"),
            ("10.0.0.0/8", "10.255.0.1:1 [::ffff:10.0.0.1]:1", "11.0.0.0"),
            ("0.0.0.0/0", "1.2.3.4", "[2001:db8::1]:1 a"),
            (
                "2001:db8::/33",
                "[2001:db8:7fff::]:1",
                "[2001:db8:8000::]:1",
            ),
            ("2001:db8::1", "[2001:db8::1]:1 2001:db8::1", "2001:db8::2"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", "[2001:db8::1]:81"),
            ("*", "anything 1.2.3.4:5", ""),
            (" b , ,a ", "a b", "c"),
            // What cannot be read says nothing.
            (
                ".,:,a:x,10.0.0.0/33,1.2.3.4/x,[::1",
                "",
                "a 10.0.0.1 1.2.3.4",
            ),
        ] {
            for server in direct.split_whitespace() {
                assert!(covers(list, server), "{list:?} covers {server}");
            }
            for server in proxied.split_whitespace() {
                assert!(!covers(list, server), "{list:?} does not cover {server}");
            }
        }
    }

    #[test]
    fn this_machine_is_always_reached_directly() {
        for server in [
            "localhost",
            "LocalHost.:1",
            ":50051",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(covers("", server), "{server}");
        }
        assert!(!covers("", "localhost.example:1"));
    }

    proptest! {
        #[test]
        fn no_list_and_no_host_make_anything_panic(
            list in any::<String>(),
            entry in "[*.0-9a-f:/\\[\\]]{0,20}",
            server in "[0-9a-zé.]{1,20}(:[0-9]{1,4})?",
        ) {
            if let Ok(server) = HostPort::parse(&server) {
                for list in [list, entry] {
                    Bypass::parse(&list).covers(&server);
                }
            }
        }
    }
}
