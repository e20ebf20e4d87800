//! A conversation that its client breaks off.
//!
//! What to watch for: there is no `cancel` to call. Dropping the stream (or the future of a call) is the
//! cancellation: the server is told with RST_STREAM, and its handler is dropped. The connection stays.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start_here};

#[tokio::main]
async fn main() -> Outcome {
    let server = start_here(EchoWithAddress::new("the server")).await?;
    let target = format!("passthrough:///{}", server.address);
    let echo = EchoClient::new(Channel::builder(target).insecure().build()?);

    let (say, requests) = highball_channel::messages();
    let mut replies = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await?;
    for text in ["hello", "world"] {
        say.send(EchoRequest {
            message: text.to_owned(),
        })
        .await?;
        let reply = replies.message().await?.ok_or("the server hung up")?;
        println!("said {text}, heard {}", reply.message);
    }
    println!("hanging up");
    drop(replies);
    say.closed().await;
    println!("the request stream was dropped as well");

    let reply = echo
        .unary_echo(EchoRequest {
            message: "still there?".to_owned(),
        })
        .await?;
    println!("{}", reply.message().message);
    Ok(())
}
