//! A resolver for a file of addresses, one per line, that picks up edits.
//!
//! What to watch for: the calls follow the file while the channel stays the same. The resolver is fourteen
//! lines; `Polling` brings the rest: when to ask, backoff, time-outs, keeping the last good answer.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::time::Duration;

use highball_channel::resolver::{Lookup, Polling, Resolution, Target};
use highball_channel::{Channel, Status};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start_here};

struct AddressFile;

impl Lookup for AddressFile {
    fn scheme(&self) -> &str {
        "file"
    }

    async fn lookup(&self, target: &Target) -> Result<Resolution, Status> {
        let path = format!("/{}", target.endpoint());
        let text = tokio::fs::read_to_string(&path).await;
        let text = text.map_err(|error| Status::unavailable(format!("{path}: {error}")))?;
        Ok(text.lines().filter(|line| !line.is_empty()).collect())
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let one = start_here(EchoWithAddress::new("server one")).await?;
    let two = start_here(EchoWithAddress::new("server two")).await?;
    let file = std::env::temp_dir().join(format!("highball-addresses-{}", std::process::id()));
    std::fs::write(&file, &one.address)?;

    let resolver = Polling::new(AddressFile).every(Duration::from_millis(20));
    let target = format!("file://{}", file.display());
    let channel = Channel::builder(target)
        .insecure()
        .resolver(resolver)
        .build()?;
    let echo = EchoClient::new(channel);

    println!("the file says server one");
    call_until(&echo, "server one").await?;
    std::fs::write(&file, &two.address)?;
    println!("the file says server two");
    call_until(&echo, "server two").await?;
    std::fs::remove_file(&file)?;
    println!("the file is gone: the last good answer stays");
    tokio::time::sleep(Duration::from_millis(100)).await;
    call_until(&echo, "server two").await
}

/// Calls until this server answers, which the file's edit may take a moment to bring about.
async fn call_until(echo: &EchoClient, server: &str) -> Outcome {
    for _ in 0..500 {
        let hello = EchoRequest {
            message: "hello".to_owned(),
        };
        let reply = echo.unary_echo(hello).await?.into_message().message;
        if reply.ends_with(&format!("(from {server})")) {
            println!("  {reply}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{server} never answered").into())
}
