//! One server, reached by its address and by a name that only this program's own resolver knows.
//!
//! What to watch for: the scheme of the target picks the resolver. `passthrough` hands the address on as it
//! is; `example` is the resolver below, a dozen lines on `Polling`.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::resolver::{Lookup, Polling, Resolution, Target};
use highball_channel::{Channel, Status};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start_here};

/// Knows one name.
struct Names {
    address: String,
}

impl Lookup for Names {
    fn scheme(&self) -> &str {
        "example"
    }

    async fn lookup(&self, target: &Target) -> Result<Resolution, Status> {
        match target.endpoint() {
            "resolver.example.grpc.io" => Ok(Resolution::new([self.address.as_str()])),
            other => Err(Status::unavailable(format!(
                "no server is called {other:?}"
            ))),
        }
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let server = start_here(EchoWithAddress::new("the server")).await?;
    for target in [
        format!("passthrough:///{}", server.address),
        "example:///resolver.example.grpc.io".to_owned(),
        "example:///nobody".to_owned(),
    ] {
        println!("calling through {target}");
        let names = Polling::new(Names {
            address: server.address.clone(),
        });
        let channel = Channel::builder(target)
            .insecure()
            .resolver(names)
            .build()?;
        let echo = EchoClient::new(channel);
        for _ in 0..2 {
            let hello = EchoRequest {
                message: "this is examples/name_resolving".to_owned(),
            };
            match echo.unary_echo(hello).await {
                Ok(reply) => println!("  {}", reply.message().message),
                Err(status) => println!("  {status}"),
            }
        }
    }
    Ok(())
}
