//! The client's side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bench_kit::{Echo, Meter, Peer, PingPong, Result, requests};
use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Channel, Method, Request, Sender, Streaming, messages};

static UNARY: Method = Method::new("/bench.Echo/Unary");
static SERVER_STREAM: Method = Method::new("/bench.Echo/ServerStream");
static CLIENT_STREAM: Method = Method::new("/bench.Echo/ClientStream");
static BIDI: Method = Method::new("/bench.Echo/Bidi");

/// Longer than any call takes, short enough to be one that users set.
const TIMEOUT: Duration = Duration::from_secs(60);

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// A channel.
#[derive(Clone, Debug)]
pub struct Client(Channel);

/// An open call of `Bidi`.
pub struct Conversation {
    requests: Sender<Echo>,
    replies: Streaming<Echo>,
}

fn request<T>(message: T) -> Request<T> {
    Request::new(message).with_timeout(TIMEOUT)
}

impl Peer for Client {
    type PingPong = Conversation;

    async fn connect(port: u16) -> Result<Self> {
        let servers = ManualResolver::new("bench");
        servers.update(Resolution::new([format!("127.0.0.1:{port}").as_str()]));
        let channel = Channel::builder("bench:///echo")
            .insecure()
            .resolver(servers)
            .default_service_config(ROUND_ROBIN)
            .build()?;
        Ok(Self(channel))
    }

    async fn unary(&self, message: Echo) -> Result<Echo> {
        let reply = self.0.unary(&UNARY, request(message)).await?;
        Ok(reply.into_message())
    }

    async fn server_stream(&self, message: Echo, meter: &Meter) -> Result<()> {
        let call = self
            .0
            .server_streaming::<_, Echo>(&SERVER_STREAM, request(message));
        let mut replies = call.await?;
        while replies.message().await?.is_some() {
            meter.message();
        }
        Ok(())
    }

    async fn client_stream(&self, message: Echo, count: u32, meter: &Arc<Meter>) -> Result<Echo> {
        let messages = request(requests(message, count, meter));
        let reply = self.0.client_streaming(&CLIENT_STREAM, messages).await?;
        Ok(reply.into_message())
    }

    async fn ping_pong(&self) -> Result<Conversation> {
        let (sender, messages) = messages();
        let replies = self.0.bidi_streaming(&BIDI, request(messages)).await?;
        Ok(Conversation {
            requests: sender,
            replies,
        })
    }
}

impl PingPong for Conversation {
    async fn round(&mut self, message: Echo) -> Result<Echo> {
        self.requests
            .send(message)
            .await
            .map_err(|unsent| unsent.to_string())?;
        let reply = self.replies.message().await?;
        reply.ok_or_else(|| "the server hung up".into())
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}
