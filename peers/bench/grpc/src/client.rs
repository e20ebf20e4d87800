//! The client's side, as generated code has it: calls are streams of items.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_kit::{Echo, Meter, Peer, PingPong, Result, requests};
use futures::StreamExt;
use grpc::client::{
    CallOptions, Channel, ChannelOptions, ConnectivityState, Invoke, RecvStream,
    ResponseStreamItem, SendOptions, SendStream,
};
use grpc::core::RequestHeaders;
use grpc::credentials::LocalChannelCredentials;

use crate::message::{Received, Sent};
use crate::nodelay;

/// Longer than any call takes, short enough to be one that users set.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A channel. Its policy is `pick_first`: the service config cannot be set.
#[derive(Clone)]
pub struct Client(Channel);

/// An open call.
pub struct Conversation {
    requests: <Channel as Invoke>::SendStream,
    replies: <Channel as Invoke>::RecvStream,
}

impl Client {
    async fn open(&self, method: &str) -> Conversation {
        let mut options = CallOptions::new();
        options.set_deadline(Instant::now() + TIMEOUT);
        let headers = RequestHeaders::new().with_method_name(method);
        let (requests, replies) = self.0.invoke(headers, options).await;
        Conversation { requests, replies }
    }
}

impl Conversation {
    async fn send(&mut self, message: Echo, is_last: bool) -> Result<()> {
        let options = SendOptions::new().with_final_msg(is_last);
        let sent = self.requests.send(&Sent(message), options).await;
        sent.map_err(|()| "the call is over".into())
    }

    /// The next message; `None` at the end, if that is a good one.
    async fn next(&mut self) -> Result<Option<Echo>> {
        let mut message = Received::default();
        loop {
            match self.replies.recv(&mut message).await {
                ResponseStreamItem::Headers(_) => {}
                ResponseStreamItem::Message => return Ok(Some(message.0)),
                ResponseStreamItem::Trailers(trailers) => {
                    let status = trailers.into_status();
                    return status
                        .map(|()| None)
                        .map_err(|status| format!("{status:?}").into());
                }
                ResponseStreamItem::StreamClosed => return Err("no trailers".into()),
            }
        }
    }

    /// The only message, and the status behind it.
    async fn single(&mut self) -> Result<Echo> {
        let reply = self.next().await?.ok_or("no reply")?;
        match self.next().await? {
            None => Ok(reply),
            Some(_) => Err("two replies".into()),
        }
    }
}

impl Peer for Client {
    type PingPong = Conversation;

    async fn connect(port: u16) -> Result<Self> {
        let mut channel = Channel::new(
            format!("dns:///127.0.0.1:{port}"),
            LocalChannelCredentials::new_arc(),
            ChannelOptions::default(),
        );
        // Its `wait_for_state_change` is not written yet.
        while channel.get_state(true) != ConnectivityState::Ready {
            tokio::task::yield_now().await;
        }
        nodelay::set_everywhere()?;
        Ok(Self(channel))
    }

    async fn unary(&self, message: Echo) -> Result<Echo> {
        let mut call = self.open("/bench.Echo/Unary").await;
        call.send(message, true).await?;
        call.single().await
    }

    async fn server_stream(&self, message: Echo, meter: &Meter) -> Result<()> {
        let mut call = self.open("/bench.Echo/ServerStream").await;
        call.send(message, true).await?;
        while call.next().await?.is_some() {
            meter.message();
        }
        Ok(())
    }

    async fn client_stream(&self, message: Echo, count: u32, meter: &Arc<Meter>) -> Result<Echo> {
        let mut call = self.open("/bench.Echo/ClientStream").await;
        let mut messages = requests(message, count, meter).enumerate();
        while let Some((index, message)) = messages.next().await {
            call.send(message, index + 1 == count as usize).await?;
        }
        call.single().await
    }

    async fn ping_pong(&self) -> Result<Conversation> {
        Ok(self.open("/bench.Echo/Bidi").await)
    }
}

impl PingPong for Conversation {
    async fn round(&mut self, message: Echo) -> Result<Echo> {
        self.send(message, false).await?;
        self.next()
            .await?
            .ok_or_else(|| "the server hung up".into())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}
