//! Metadata and statuses larger than a client accepts: they are named as such, and nothing is cut in silence.

use crate::support::client::{Client, Reply, framed, request};
use crate::support::{World, settle};

/// What a client that accepts 500 bytes of header list is told in reply.
async fn narrow(world: &World, request: http::request::Builder, text: &str) -> Reply {
    let mut builder = h2::client::Builder::new();
    builder.max_header_list_size(500);
    let client = Client::connect_with(&world.network, &mut builder).await;
    settle().await;
    client.send_all(request, [framed(&text.to_owned())]).await
}

#[tokio::test(start_paused = true)]
async fn a_status_larger_than_the_client_accepts_says_so_and_what_it_was() {
    let world = World::new();
    let reply = narrow(&world, request("Fail"), &"x".repeat(500)).await;
    let status = reply.status();
    assert!(
        status.starts_with("13 the server's metadata exceeds the client's limit (")
            && status.ends_with(" vs. 500 bytes); its status was FAILED_PRECONDITION"),
        "{status}"
    );
    assert!(reply.is_trailers_only());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn trailers_larger_than_the_client_accepts_say_so_behind_the_messages() {
    let world = World::new();
    let reply = narrow(&world, request("Broken"), &"x".repeat(500)).await;
    assert_eq!(reply.texts(), ["one", "two"]);
    assert!(
        reply
            .status()
            .starts_with("13 the server's metadata exceeds")
    );
    assert!(!reply.is_trailers_only());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn headers_larger_than_the_client_accepts_end_the_call_and_say_so() {
    let world = World::new();
    let echo = request("Echo").header("x-echo", "1".repeat(500));
    let reply = narrow(&world, echo, "hi").await;
    assert_eq!(reply.http, 200);
    let text = "13 the server's metadata exceeds the client's limit (";
    assert!(reply.status().starts_with(text), "{reply:?}");
    assert!(reply.is_trailers_only() && reply.messages.is_empty());
    world.end().await;
}
