//! A server that a test speaks for, frame by frame.

use std::time::Duration;

use highball_channel::transport::{BoxIo, MemoryListener};
use highball_channel::{Channel, Request, Status};
use highball_echo::{EchoRequest, EchoResponse};
use highball_testkit::peer::{Frame, Peer};
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::world::{A, World, message, nothing_is_left, who_with};

/// How long a script waits for a connection; with paused time that is no time at all.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A channel to a server that the test scripts.
pub(crate) struct Script {
    pub(crate) world: World,
    pub(crate) listener: MemoryListener,
    pub(crate) channel: Channel,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::configured("{}")
    }

    pub(crate) fn configured(config: &str) -> Self {
        let world = World::new();
        let listener = world.network.listen(A);
        world.resolve(&[A]);
        let builder = world.builder().default_service_config(config);
        let channel = builder.build().expect("the test's config makes sense");
        Self {
            world,
            listener,
            channel,
        }
    }

    pub(crate) fn call(&self) -> JoinHandle<Result<String, Status>> {
        self.call_with(Request::new(message("x")))
    }

    pub(crate) fn call_with(
        &self,
        request: Request<EchoRequest>,
    ) -> JoinHandle<Result<String, Status>> {
        let channel = self.channel.clone();
        tokio::spawn(async move { who_with(&channel, request).await })
    }

    pub(crate) async fn accept(&mut self) -> Peer<BoxIo> {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let io = accepted.expect("the channel connects in time");
        Peer::server(io.expect("nobody else listens"), &[]).await
    }

    pub(crate) async fn end(self, peers: impl IntoIterator<Item = Peer<BoxIo>>) {
        drop((peers.into_iter().collect::<Vec<_>>(), self.listener));
        nothing_is_left(self.world, self.channel).await;
    }
}

/// A whole reply from server A.
pub(crate) fn reply(stream: u32) -> [Frame; 3] {
    let payload = EchoResponse {
        message: format!("x (from {A})"),
    };
    [
        opening(stream),
        framed(stream, &payload.encode_to_vec()),
        success(stream),
    ]
}

/// The headers of a response that brings messages.
pub(crate) fn opening(stream: u32) -> Frame {
    let fields = [(":status", "200"), ("content-type", "application/grpc")];
    Frame::headers(stream, &fields, false)
}

/// One message with this payload.
pub(crate) fn framed(stream: u32, payload: &[u8]) -> Frame {
    let length = u8::try_from(payload.len()).expect("it is short");
    Frame::data(stream, [&[0, 0, 0, 0, length], payload].concat(), false)
}

/// The trailers of a call that ended well.
pub(crate) fn success(stream: u32) -> Frame {
    Frame::headers(stream, &[("grpc-status", "0")], true)
}

/// The bytes of the next DATA frame of a stream.
pub(crate) async fn data(peer: &mut Peer<BoxIo>, stream: u32) -> Vec<u8> {
    let frame = peer
        .until(|frame| frame.stream() == stream && matches!(frame, Frame::Data { .. }))
        .await;
    match frame {
        Frame::Data { data, .. } => data.to_vec(),
        other => unreachable!("{other:?} is no DATA"),
    }
}
