//! Two echo servers and a client whose policy, chosen by service config, sends every n-th call to the second.
//!
//! What to watch for: two replies from the first server, then one from the second, over and over; the tally
//! at the end. The exit code is 0 only if the shares are exact. `--choose-second 2` alternates, and
//! `RUST_LOG=channel=debug,balancer=debug` is for `custom_load_balancer_client`, which prints its log.
//!
//! ```text
//! cargo run --release --example custom_load_balancer -- --calls 12 --choose-second 4
//! ```

#![expect(clippy::print_stdout, reason = "a demo prints")]

mod every_nth;
mod flags;

use clap::Parser as _;
use highball_examples::{Outcome, start};

#[tokio::main]
async fn main() -> Outcome {
    let flags = flags::Flags::parse();
    let [first, second] = &flags.addresses;
    let (first, second) = (start(first).await?, start(second).await?);
    let addresses = [first.address, second.address];
    let channel = every_nth::channel(&addresses, flags.choose_second)?;
    every_nth::run(channel, &addresses, &flags).await
}
