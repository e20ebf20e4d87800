//! The order in which addresses are tried: shuffled if asked, flattened, without duplicates, address
//! families interleaved.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use highball_core::{Address, Endpoint, Network};

use super::shuffle::shuffled;

/// From endpoints to the addresses to try, in order. Endpoints are shuffled if there is randomness to do
/// it with; the addresses inside one keep their order (gRFC A61).
pub(super) fn in_order(endpoints: &[Endpoint], rng: Option<&mut fastrand::Rng>) -> Vec<Address> {
    if let [endpoint] = endpoints
        && let [address] = endpoint.addresses()
    {
        // A petiole's child has one endpoint, and that mostly one address.
        return vec![address.clone()];
    }
    let endpoints = match rng {
        Some(rng) => shuffled(endpoints, rng),
        None => endpoints.iter().collect(),
    };
    let addresses = endpoints.into_iter().flat_map(Endpoint::addresses);
    let mut seen = HashSet::new();
    let unique = addresses.filter(|address| seen.insert(*address)).cloned();
    interleave(unique.collect())
}

/// What Happy Eyeballs alternates between.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// Host names and sockets that are not IP.
    Other,
}

/// One address of each family in turn, families in the order in which they first appear
/// (RFC 8305 section 4, with a first address family count of 1).
fn interleave(addresses: Vec<Address>) -> Vec<Address> {
    let n_addresses = addresses.len();
    let mut families: Vec<(Family, Vec<Address>)> = Vec::new();
    for address in addresses {
        let family = family(&address);
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, members)) => members.push(address),
            None => families.push((family, vec![address])),
        }
    }
    let mut queues: Vec<_> = families.into_iter().map(|(_, m)| m.into_iter()).collect();
    let mut interleaved = Vec::with_capacity(n_addresses);
    while interleaved.len() < n_addresses {
        interleaved.extend(queues.iter_mut().filter_map(Iterator::next));
    }
    interleaved
}

/// The family that packets to this address belong to: an IPv4 address in IPv6 clothes is IPv4.
fn family(address: &Address) -> Family {
    if address.network() != Network::Tcp {
        return Family::Other;
    }
    match without_zone(address.text()).parse::<SocketAddr>() {
        Ok(socket) if socket.ip().to_canonical().is_ipv4() => Family::V4,
        Ok(socket) if matches!(socket.ip(), IpAddr::V6(_)) => Family::V6,
        Ok(_) | Err(_) => Family::Other,
    }
}

/// `[fe80::1%eth0]:80` without its zone, which the standard library reads only as a number.
fn without_zone(text: &str) -> String {
    match text
        .split_once('%')
        .and_then(|(ip, rest)| Some((ip, rest.split_once(']')?.1)))
    {
        Some((ip, port)) => format!("{ip}]{port}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(addresses: &[&str]) -> Vec<String> {
        let endpoints: Vec<_> = addresses.iter().map(|text| Endpoint::from(*text)).collect();
        in_order(&endpoints, None)
            .iter()
            .map(Address::to_string)
            .collect()
    }

    const V4: [&str; 3] = ["1.1.1.1:1", "2.2.2.2:2", "3.3.3.3:3"];
    const MAPPED: &str = "[::ffff:192.168.0.1]:1";
    const V6: [&str; 3] = ["[::1]:1", "[fe80::1%eth0]:2", "[fe80::2%1]:3"];

    #[test]
    fn a61_families_take_turns_with_ipv4_first() {
        let input = [V4[0], V4[1], V4[2], MAPPED, V6[0], V6[1], V6[2], "host:1"];
        let expected = [V4[0], V6[0], "host:1", V4[1], V6[1], V4[2], V6[2], MAPPED];
        assert_eq!(order(&input), expected);
    }

    #[test]
    fn a61_families_take_turns_with_ipv6_first() {
        let input = [V6[0], V4[0], V4[1], V4[2], MAPPED, V6[1], V6[2], "host:1"];
        let expected = [V6[0], V4[0], "host:1", V6[1], V4[1], V6[2], V4[2], MAPPED];
        assert_eq!(order(&input), expected);
    }

    #[test]
    fn a61_families_take_turns_with_names_first() {
        let input = ["host:1", V6[0], V4[0], V4[1], "unix:/s", V6[1]];
        let expected = ["host:1", V6[0], V4[0], "unix:/s", V6[1], V4[1]];
        assert_eq!(order(&input), expected);
    }

    #[test]
    fn the_addresses_of_all_endpoints_are_tried_once_each() {
        let endpoints = [
            Endpoint::new(["a:1", "b:1"]),
            Endpoint::new(["b:1", "c:1", "a:1"]),
        ];
        let order: Vec<_> = in_order(&endpoints, None)
            .iter()
            .map(Address::to_string)
            .collect();
        assert_eq!(order, ["a:1", "b:1", "c:1"]);
    }

    proptest! {
        #[test]
        fn interleaving_is_a_permutation(picks in proptest::collection::vec(0_u8..30, 0..40)) {
            let mut addresses: Vec<_> = picks
                .iter()
                .map(|n| match n % 3 {
                    0 => Address::tcp(format!("10.0.0.{n}:1")),
                    1 => Address::tcp(format!("[::{n}]:1")),
                    _ => Address::tcp(format!("host{n}:1")),
                })
                .collect();
            let mut interleaved = interleave(addresses.clone());
            let key = |address: &Address| address.text().to_owned();
            addresses.sort_by_key(key);
            interleaved.sort_by_key(key);
            prop_assert_eq!(addresses, interleaved);
        }
    }
}
