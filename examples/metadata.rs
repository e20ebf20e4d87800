//! Metadata in both directions: with the request, before the reply and after it.
//!
//! What to watch for: a key may have several values, in order; a key that ends in `-bin` has bytes. Keys of
//! gRPC's own are refused before anything is sent, and secrets do not show in logs.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::{Channel, MetadataMap, Request};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse};
use highball_examples::{Outcome, start_here};
use highball_server::{Response, Status};

/// Sends metadata back.
struct Mirror;

impl Echo for Mirror {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let (mut before, mut after) = (MetadataMap::new(), MetadataMap::new());
        for place in request.metadata().get_all("stop") {
            before.append("passed", place)?;
        }
        let load = request.metadata().get_bin("load-bin").unwrap_or_default();
        after.insert_bin("unloaded-bin", &load)?;
        let message = request.into_message().message;
        Ok(Response::new(EchoResponse { message })
            .with_metadata(before)
            .with_trailers(after))
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let server = start_here(Mirror).await?;
    let target = format!("passthrough:///{}", server.address);
    let echo = EchoClient::new(Channel::builder(target).insecure().build()?);

    let mut request = Request::new(EchoRequest {
        message: "all aboard".to_owned(),
    })
    .with_metadata("stop", "Barstow")?
    .with_metadata("stop", "Needles")?
    .with_metadata("conductor-token", "s3cret")?;
    request
        .metadata_mut()
        .insert_bin("load-bin", b"\x00\xff coal")?;
    println!("sending {:?}", request.metadata());

    let reply = echo.unary_echo(request).await?;
    println!("reply: {}", reply.message().message);
    println!(
        "before it: {:?}",
        reply.metadata().get_all("passed").collect::<Vec<_>>()
    );
    println!("after it: {:?}", reply.trailers().get_bin("unloaded-bin"));

    let refused = Request::new(())
        .with_metadata("grpc-status", "0")
        .expect_err("it is gRPC's own");
    println!("refused: {refused}");
    Ok(())
}
