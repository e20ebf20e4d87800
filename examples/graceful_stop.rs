//! A server that is asked to stop in the middle of a conversation.
//!
//! What to watch for: the conversation goes on to its end, while new calls go nowhere: the listener is
//! closed. The stop returns when the last call has ended.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use highball_channel::{Channel, Request};
use highball_echo::{EchoClient, EchoRequest, EchoWithAddress};
use highball_examples::{Outcome, start_here};

#[tokio::main]
async fn main() -> Outcome {
    let running = start_here(EchoWithAddress::new("the server")).await?;
    let target = format!("passthrough:///{}", running.address);
    let echo = EchoClient::new(Channel::builder(target).insecure().build()?);

    let (say, requests) = highball_channel::messages();
    let mut replies = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await?;
    say.send(EchoRequest {
        message: "one".to_owned(),
    })
    .await?;
    println!(
        "heard {}",
        replies
            .message()
            .await?
            .ok_or("the server hung up")?
            .message
    );

    let server = running.server;
    let stopping = tokio::spawn(async move { server.graceful_stop().await });
    println!("the server is asked to stop");
    let refused = loop {
        match echo
            .unary_echo(EchoRequest {
                message: "new".to_owned(),
            })
            .await
        {
            Ok(_) => tokio::task::yield_now().await,
            Err(status) => break status,
        }
    };
    println!("a new call: {}", refused.code());

    say.send(EchoRequest {
        message: "two".to_owned(),
    })
    .await?;
    println!(
        "heard {}",
        replies
            .message()
            .await?
            .ok_or("the server hung up")?
            .message
    );
    drop(say);
    println!("the end: {:?}", replies.message().await?);
    stopping.await?;
    println!("the server has stopped");
    Ok(())
}
