//! The echo service that demos and tests run: it says which listener answered.

use futures::{StreamExt, TryStreamExt, stream};
use highball_server::{Request, Response, ResponseStream, Status, Streaming};

use crate::{Echo, EchoRequest, EchoResponse};

/// How often a message comes back over a server's stream.
const REPEATS: usize = 10;

/// An echo with a return address: a unary reply ends in ` (from localhost:50051)`.
///
/// The other three kinds do what gRPC's examples do: ten times the message, the last message received,
/// each message as it comes.
///
/// ```
/// use highball_echo::{EchoServer, EchoWithAddress};
///
/// let service = EchoServer::new(EchoWithAddress::new("localhost:50051"));
/// let server = highball_server::Server::builder().add_service(service);
/// ```
#[derive(Clone, Debug)]
pub struct EchoWithAddress {
    address: String,
}

impl EchoWithAddress {
    /// An echo that calls itself `address`: the one its listener was configured with, not the one the
    /// system made of it.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }
}

impl Echo for EchoWithAddress {
    async fn unary_echo(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let message = format!("{} (from {})", request.message().message, self.address);
        Ok(Response::new(EchoResponse { message }))
    }

    async fn server_streaming_echo(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        let replies = vec![Ok(echo(request.into_message())); REPEATS];
        Ok(Response::new(Box::pin(stream::iter(replies))))
    }

    async fn client_streaming_echo(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        let mut requests = request.into_message();
        let mut last = EchoRequest::default();
        while let Some(request) = requests.message().await? {
            last = request;
        }
        Ok(Response::new(echo(last)))
    }

    async fn bidirectional_streaming_echo(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        Ok(Response::new(request.into_message().map_ok(echo).boxed()))
    }
}

fn echo(request: EchoRequest) -> EchoResponse {
    EchoResponse {
        message: request.message,
    }
}
