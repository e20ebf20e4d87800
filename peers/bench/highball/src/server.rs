//! The server's side: what generated code does, by hand.

use bench_kit::{Echo, Result};
use futures::{StreamExt, stream};
use highball_server::{
    IncomingCall, Request, Response, ResponseStream, Server, Service, Status, Streaming,
};
use tokio::net::TcpListener;

/// Serves `bench.Echo`.
pub async fn serve(listener: TcpListener) -> Result<()> {
    Ok(Server::builder()
        .add_service(EchoService)
        .serve(listener)
        .await?)
}

struct EchoService;

impl Service for EchoService {
    fn name(&self) -> &str {
        "bench.Echo"
    }

    fn call(&self, method: &str, call: IncomingCall) {
        match method {
            "Unary" => highball_server::unary(call, async |request: Request<Echo>| {
                Ok(Response::new(request.into_message()))
            }),
            "ServerStream" => highball_server::server_streaming(call, server_stream),
            "ClientStream" => highball_server::client_streaming(call, client_stream),
            "Bidi" => highball_server::bidi_streaming(call, bidi),
            _ => highball_server::unknown_method(call),
        }
    }
}

async fn server_stream(request: Request<Echo>) -> Result<Response<ResponseStream<Echo>>, Status> {
    let message = request.into_message();
    let replies = stream::iter((0..message.replies).map(move |_| Ok(message.clone())));
    Ok(Response::new(replies.boxed()))
}

async fn client_stream(request: Request<Streaming<Echo>>) -> Result<Response<Echo>, Status> {
    let mut requests = request.into_message();
    let mut last = Echo::default();
    while let Some(request) = requests.message().await? {
        last = request;
    }
    Ok(Response::new(last))
}

async fn bidi(request: Request<Streaming<Echo>>) -> Result<Response<ResponseStream<Echo>>, Status> {
    Ok(Response::new(request.into_message().boxed()))
}
