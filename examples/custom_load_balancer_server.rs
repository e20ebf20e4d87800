//! The two servers of the custom load balancer, in one process, until Ctrl-C.
//!
//! What to watch for: start it, then `custom_load_balancer_client` in another terminal; stop it while the
//! client runs, and start it again.
//!
//! ```text
//! cargo run --example custom_load_balancer_server
//! ```

#![expect(clippy::print_stdout, reason = "a demo prints")]

mod flags;

use clap::Parser as _;
use highball_examples::{Outcome, start};

/// Two echo servers, until Ctrl-C.
#[derive(Debug, clap::Parser)]
struct ServerFlags {
    /// Where the two servers listen.
    #[arg(long, value_name = "A,B", value_parser = flags::two_addresses, default_value = "localhost:50050,localhost:50051")]
    addresses: [String; 2],
}

#[tokio::main]
async fn main() -> Outcome {
    let [first, second] = ServerFlags::parse().addresses;
    let servers = [start(&first).await?, start(&second).await?];
    for running in &servers {
        println!("serving on {}", running.address);
    }
    tokio::signal::ctrl_c().await?;
    for running in servers {
        running.server.graceful_stop().await;
    }
    Ok(())
}
