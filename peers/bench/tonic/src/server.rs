//! The server's side.

use bench_kit::{Echo, Result};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::generated::echo_server::{self, EchoServer};

/// Serves `bench.Echo`.
pub async fn serve(listener: TcpListener) -> Result<()> {
    // What `Server::serve` does with an address.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = EchoServer::new(EchoService);
    Ok(Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming)
        .await?)
}

struct EchoService;

#[tonic::async_trait]
impl echo_server::Echo for EchoService {
    type ServerStreamStream = BoxStream<'static, Result<Echo, Status>>;
    type BidiStream = Streaming<Echo>;

    async fn unary(&self, request: Request<Echo>) -> Result<Response<Echo>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn server_stream(
        &self,
        request: Request<Echo>,
    ) -> Result<Response<Self::ServerStreamStream>, Status> {
        let message = request.into_inner();
        let replies = stream::iter((0..message.replies).map(move |_| Ok(message.clone())));
        Ok(Response::new(replies.boxed()))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<Echo>>,
    ) -> Result<Response<Echo>, Status> {
        let mut requests = request.into_inner();
        let mut last = Echo::default();
        while let Some(request) = requests.message().await? {
            last = request;
        }
        Ok(Response::new(last))
    }

    async fn bidi(
        &self,
        request: Request<Streaming<Echo>>,
    ) -> Result<Response<Self::BidiStream>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}
