//! A resolver in 15 lines and a policy in 80, by a program whose only Highball dependency is
//! `highball-channel`.
//!
//! The resolver knows targets like `ports:///localhost:50050,50051`. The policy sends each call to the
//! endpoint that its `shard` metadata names. Start two servers first, then watch where the calls go:
//!
//! ```text
//! cargo run --example custom_load_balancer_server
//! cargo run --manifest-path examples/outside/Cargo.toml
//! ```

mod ports;
mod sharded;

use std::time::Duration;

use highball_channel::{Channel, Method, Request};

const UNARY_ECHO: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");

/// `EchoRequest` and `EchoResponse`: generated code would bring them.
#[derive(Clone, PartialEq, prost::Message)]
struct Echo {
    #[prost(string, tag = "1")]
    message: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).unwrap_or("ports:///localhost:50050,50051".to_owned());
    let channel = Channel::builder(target)
        .insecure()
        .resolver(ports::ports())
        .policy::<sharded::Sharded>()
        .default_service_config(r#"{"loadBalancingConfig": [{"sharded": {}}]}"#)
        .build()?;
    for shard in ["0", "1", "0", "1"] {
        let request = Request::new(Echo { message: format!("to shard {shard}") })
            .with_metadata("shard", shard)?
            .with_wait_for_ready(true)
            .with_timeout(Duration::from_secs(5));
        let reply = channel.unary::<_, Echo>(&UNARY_ECHO, request).await?;
        println!("{}", reply.message().message);
    }
    Ok(())
}
