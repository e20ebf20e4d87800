//! The closed loop: each task does one thing after the other, as often as it can.

use std::sync::Arc;
use std::time::Instant;

use crate::{ClientOptions, Echo, Kind, Meter, Peer, PingPong, Result};

/// Does what `options` say until it is dropped, or fails.
pub(crate) async fn forever<P: Peer>(
    peer: P,
    options: ClientOptions,
    meter: Arc<Meter>,
) -> Result<()> {
    let request = request(&options);
    let mut ping_pong = match options.kind {
        Kind::Bidi => Some(peer.ping_pong().await?),
        _ => None,
    };
    loop {
        let started = Instant::now();
        match (options.kind, &mut ping_pong) {
            (Kind::Unary, _) => check(&request, &peer.unary(request.clone()).await?)?,
            (Kind::Cold, _) => {
                let peer = P::connect(options.port).await?;
                check(&request, &peer.unary(request.clone()).await?)?;
            }
            (Kind::Bidi, Some(ping_pong)) => {
                check(&request, &ping_pong.round(request.clone()).await?)?;
            }
            (Kind::ServerStream, _) => {
                peer.server_stream(request.clone(), &meter).await?;
                continue;
            }
            (Kind::ClientStream, _) => {
                let sent = peer.client_stream(request.clone(), options.messages, &meter);
                check(&request, &sent.await?)?;
                continue;
            }
            (Kind::Bidi, None) => return Err("no call to play ping-pong on".into()),
        }
        meter.round(started);
    }
}

/// Makes `calls` unary calls, one after the other.
pub(crate) async fn sequence<P: Peer>(peer: &P, request: &Echo, calls: u64) -> Result<()> {
    for _ in 0..calls {
        check(request, &peer.unary(request.clone()).await?)?;
    }
    Ok(())
}

/// Opens `channels` channels, one after the other, and makes one unary call on each.
pub(crate) async fn cold_sequence<P: Peer>(port: u16, request: &Echo, channels: u64) -> Result<()> {
    for _ in 0..channels {
        let peer = P::connect(port).await?;
        check(request, &peer.unary(request.clone()).await?)?;
    }
    Ok(())
}

/// The message that `options` ask for.
pub(crate) fn request(options: &ClientOptions) -> Echo {
    let is_streamed = options.kind == Kind::ServerStream;
    Echo {
        payload: vec![b'x'; options.payload],
        replies: if is_streamed { options.messages } else { 0 },
    }
}

/// A reply that is not the request is no work done.
fn check(request: &Echo, reply: &Echo) -> Result<()> {
    if request.payload.len() == reply.payload.len() {
        Ok(())
    } else {
        Err("the reply is not what was sent".into())
    }
}
