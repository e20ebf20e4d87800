//! Details of a status: from a handler to the caller, whatever happens to them on the way.

use std::time::Duration;

use highball_channel::details::{ErrorInfo, RetryInfo};
use highball_channel::{Code, Request, Status};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer};
use highball_server::{Response, Server};

use crate::world::{A, World, message, nothing_is_left, who_with};

/// Refuses every call with details: as many bytes of them as the message says.
struct Refusing;

impl Echo for Refusing {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let size = request.message().message.parse().unwrap_or(0);
        let info = ErrorInfo {
            reason: "STOCKOUT".to_owned(),
            domain: "x".repeat(size),
            ..ErrorInfo::default()
        };
        Err(Status::resource_exhausted("sold out")
            .with_detail(&info)
            .with_detail(&RetryInfo::after(Duration::from_secs(30))))
    }
}

async fn refusal(bytes: usize) -> Status {
    let mut world = World::new();
    let server = Server::builder().add_service(EchoServer::new(Refusing));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let request = Request::new(message(&bytes.to_string()));
    let status = who_with(&channel, request).await.expect_err("it refuses");
    nothing_is_left(world, channel).await;
    status
}

#[tokio::test(start_paused = true)]
async fn details_reach_the_caller_by_their_type() {
    let status = refusal(8).await;
    assert_eq!(status.to_string(), "RESOURCE_EXHAUSTED: sold out");
    let retry: RetryInfo = status.detail().unwrap();
    assert_eq!(retry.delay(), Some(Duration::from_secs(30)));
    let info: ErrorInfo = status.detail().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.len()), ("STOCKOUT", 8));
}

#[tokio::test(start_paused = true)]
async fn details_larger_than_the_client_accepts_are_named_and_not_cut() {
    // More than the channel accepts, though HTTP/2 below it takes four times as much.
    let status = refusal(30_000).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let text = "peer header list size exceeded limit (16384 bytes)";
    assert_eq!(status.message(), text);
    // More than that: the server knows, and sends a status that fits.
    let status = refusal(60_000).await;
    assert_eq!(status.code(), Code::Internal);
    let text = status.message();
    assert!(
        text.contains("the server's metadata exceeds the client's limit"),
        "{text}"
    );
    assert!(
        text.ends_with("its status was RESOURCE_EXHAUSTED"),
        "{text}"
    );
}
