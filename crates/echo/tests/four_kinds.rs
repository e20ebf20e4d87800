//! The four kinds of call, from the generated client to the generated server and back, over HTTP/2 on
//! loopback.

use futures::{StreamExt, TryStreamExt, stream};
use highball_channel::{Channel, Code, Request};
use highball_echo::{EchoClient, EchoRequest, EchoResponse, EchoServer, EchoWithAddress};
use highball_server::Server;

const NAME: &str = "localhost:50051";

/// A client of a server that runs until the test's runtime is dropped.
async fn client() -> EchoClient {
    let listener = highball_server::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let target = format!("passthrough:///{}", listener.local_addr());
    let service = EchoServer::new(EchoWithAddress::new(NAME));
    let server = Server::builder().add_service(service).build();
    tokio::spawn(server.serve(listener));
    let channel = Channel::builder(&target).insecure().build();
    EchoClient::new(channel.expect("a good target"))
}

fn say(message: &str) -> EchoRequest {
    EchoRequest {
        message: message.to_owned(),
    }
}

fn say_all(messages: &'static [&'static str]) -> Request<impl stream::Stream<Item = EchoRequest>> {
    Request::new(stream::iter(messages).map(|message| say(message)))
}

fn heard(replies: Vec<EchoResponse>) -> Vec<String> {
    replies.into_iter().map(|reply| reply.message).collect()
}

#[tokio::test]
async fn a_unary_reply_names_the_listener() {
    let reply = client().await.unary_echo(say("hello")).await.unwrap();
    assert_eq!(reply.message().message, "hello (from localhost:50051)");
}

#[tokio::test]
async fn server_streaming_repeats_the_message_ten_times() {
    let replies = client().await.server_streaming_echo(say("hello")).await;
    let replies = replies.unwrap().try_collect().await.unwrap();
    assert_eq!(heard(replies), ["hello"; 10]);
}

#[tokio::test]
async fn client_streaming_answers_with_the_last_message() {
    let reply = client()
        .await
        .client_streaming_echo(say_all(&["a", "b", "c"]))
        .await;
    assert_eq!(reply.unwrap().message().message, "c");
}

#[tokio::test]
async fn client_streaming_of_nothing_answers_with_nothing() {
    let reply = client().await.client_streaming_echo(say_all(&[])).await;
    assert_eq!(reply.unwrap().message().message, "");
}

#[tokio::test]
async fn bidirectional_streaming_answers_each_message() {
    let replies = client()
        .await
        .bidirectional_streaming_echo(say_all(&["a", "b", "c"]))
        .await;
    let replies = replies.unwrap().try_collect().await.unwrap();
    assert_eq!(heard(replies), ["a", "b", "c"]);
}

#[tokio::test]
async fn bidirectional_streaming_answers_before_the_next_request() {
    let (mut requests, stream) = futures::channel::mpsc::channel(1);
    let mut replies = client()
        .await
        .bidirectional_streaming_echo(Request::new(stream))
        .await
        .unwrap();
    for message in ["a", "b"] {
        requests.try_send(say(message)).unwrap();
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.message, message);
    }
    drop(requests);
    assert_eq!(replies.message().await, Ok(None));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unimplemented() {
    let listener = highball_server::bind("127.0.0.1:0").await.unwrap();
    let target = format!("passthrough:///{}", listener.local_addr());
    tokio::spawn(Server::builder().build().serve(listener));
    let client = EchoClient::new(Channel::builder(&target).insecure().build().unwrap());
    let status = client.unary_echo(say("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}
