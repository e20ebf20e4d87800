//! The client of the custom load balancer, for the servers of `custom_load_balancer_server`.
//!
//! What to watch for: the same replies as with everything in one process. With `RUST_LOG=channel=debug`,
//! `balancer=trace` or `subchannel=debug` it shows how it gets there: resolver, policy, subchannels, pickers.
//!
//! ```text
//! RUST_LOG=channel=debug,subchannel=debug cargo run --example custom_load_balancer_client
//! ```

#![expect(clippy::print_stdout, reason = "a demo prints")]

mod every_nth;
mod flags;

use clap::Parser as _;
use highball_examples::Outcome;

#[tokio::main]
async fn main() -> Outcome {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let flags = flags::Flags::parse();
    let channel = every_nth::channel(&flags.addresses, flags.choose_second)?;
    every_nth::run(channel, &flags.addresses, &flags).await
}
