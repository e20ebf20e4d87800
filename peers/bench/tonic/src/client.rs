//! The client's side.

use std::sync::Arc;
use std::time::Duration;

use bench_kit::{Echo, Meter, Peer, PingPong, Result, requests};
use futures::SinkExt;
use futures::channel::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use crate::generated::echo_client::EchoClient;

/// Longer than any call takes, short enough to be one that users set.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A channel.
#[derive(Clone, Debug)]
pub struct Client(EchoClient<Channel>);

/// An open call of `Bidi`.
#[derive(Debug)]
pub struct Conversation {
    requests: mpsc::Sender<Echo>,
    replies: Streaming<Echo>,
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

impl Client {
    /// A handle whose methods can be called: they take `&mut self`.
    fn echo(&self) -> EchoClient<Channel> {
        self.0.clone()
    }
}

impl Peer for Client {
    type PingPong = Conversation;

    async fn connect(port: u16) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
        Ok(Self(EchoClient::new(endpoint.connect().await?)))
    }

    async fn unary(&self, message: Echo) -> Result<Echo> {
        let reply = self.echo().unary(request(message)).await?;
        Ok(reply.into_inner())
    }

    async fn server_stream(&self, message: Echo, meter: &Meter) -> Result<()> {
        let reply = self.echo().server_stream(request(message)).await?;
        let mut replies = reply.into_inner();
        while replies.message().await?.is_some() {
            meter.message();
        }
        Ok(())
    }

    async fn client_stream(&self, message: Echo, count: u32, meter: &Arc<Meter>) -> Result<Echo> {
        let messages = request(requests(message, count, meter));
        let reply = self.echo().client_stream(messages).await?;
        Ok(reply.into_inner())
    }

    async fn ping_pong(&self) -> Result<Conversation> {
        let (sender, messages) = mpsc::channel(1);
        let reply = self.echo().bidi(request(messages)).await?;
        Ok(Conversation {
            requests: sender,
            replies: reply.into_inner(),
        })
    }
}

impl PingPong for Conversation {
    async fn round(&mut self, message: Echo) -> Result<Echo> {
        self.requests.send(message).await?;
        let reply = self.replies.message().await?;
        reply.ok_or_else(|| "the server hung up".into())
    }
}
