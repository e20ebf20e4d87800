//! The flags of the `custom_load_balancer` examples.

use std::net::ToSocketAddrs as _;

/// Sends every n-th call to the second of two echo servers.
#[derive(Debug, clap::Parser)]
pub(crate) struct Flags {
    /// How many calls to make.
    #[arg(long, default_value_t = 9)]
    pub(crate) calls: usize,
    /// Every how many calls the second server is chosen; 0 is never.
    #[arg(long, default_value_t = 3)]
    pub(crate) choose_second: u32,
    /// How many seconds the servers have to come up.
    #[arg(long, default_value_t = 10)]
    pub(crate) timeout: u64,
    /// Where the two servers are.
    #[arg(long, value_name = "A,B", value_parser = two_addresses, default_value = "localhost:50050,localhost:50051")]
    pub(crate) addresses: [String; 2],
}

pub(crate) fn two_addresses(text: &str) -> Result<[String; 2], String> {
    let addresses: Vec<String> = text.split(',').map(str::to_owned).collect();
    for address in &addresses {
        address
            .to_socket_addrs()
            .map_err(|error| format!("{address:?}: {error}"))?;
    }
    let count = addresses.len();
    addresses
        .try_into()
        .map_err(|_| format!("want two addresses, host:port,host:port; got {count}"))
}
