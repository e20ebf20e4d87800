//! Things that are kept and do nothing: what do they hold?

use std::time::Duration;

use clap::ValueEnum;
use futures::stream::{self, StreamExt};

use crate::{Echo, Failure, Peer, PingPong, Result};

/// As many streams as every server allows on a connection.
const STREAMS_PER_CONNECTION: usize = 100;

/// Connections that are open before the first parked stream, so that they are not counted with it.
const CONNECTIONS: usize = 100;

/// Channels that are open before the first that counts, so that what they share is not counted.
const FIRST_CHANNELS: usize = 20;

/// Channels that count.
const CHANNELS: usize = 1_000;

/// How many are opened together.
const AT_A_TIME: usize = 100;

/// Longer than either end has something to do after the last reply.
const SETTLING: Duration = Duration::from_millis(500);

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Thing {
    /// 10 000 calls of `Bidi` on 100 connections, after one round trip each.
    ParkedStreams,
    /// 1 000 channels after one unary call each.
    IdleChannels,
}

/// What is there already.
pub(crate) struct Kept<P: Peer> {
    thing: Thing,
    port: u16,
    peers: Vec<P>,
    conversations: Vec<P::PingPong>,
}

impl<P: Peer> Kept<P> {
    /// What there must be before something is added.
    pub(crate) async fn start(thing: Thing, port: u16) -> Result<Self> {
        let mut kept = Self {
            thing,
            port,
            peers: Vec::new(),
            conversations: Vec::new(),
        };
        kept.add_channels(match thing {
            Thing::ParkedStreams => CONNECTIONS,
            Thing::IdleChannels => FIRST_CHANNELS,
        })
        .await?;
        tokio::time::sleep(SETTLING).await;
        Ok(kept)
    }

    /// Adds as many as are counted; returns how many.
    pub(crate) async fn grow(&mut self) -> Result<usize> {
        let added = match self.thing {
            Thing::ParkedStreams => self.add_streams().await?,
            Thing::IdleChannels => self.add_channels(CHANNELS).await?,
        };
        tokio::time::sleep(SETTLING).await;
        Ok(added)
    }

    async fn add_channels(&mut self, count: usize) -> Result<usize> {
        let port = self.port;
        self.peers.reserve(count);
        let channels = (0..count).map(|_| async move {
            let peer = P::connect(port).await?;
            peer.unary(message()).await?;
            Ok::<_, Failure>(peer)
        });
        let mut channels = stream::iter(channels).buffer_unordered(AT_A_TIME);
        while let Some(peer) = channels.next().await {
            self.peers.push(peer?);
        }
        Ok(count)
    }

    async fn add_streams(&mut self) -> Result<usize> {
        let count = self.peers.len() * STREAMS_PER_CONNECTION;
        self.conversations.reserve(count);
        let streams = (0..count).map(|index| {
            let peer = self.peers[index % self.peers.len()].clone();
            async move {
                let mut conversation = peer.ping_pong().await?;
                conversation.round(message()).await?;
                Ok::<_, Failure>(conversation)
            }
        });
        let mut streams = stream::iter(streams).buffer_unordered(AT_A_TIME);
        while let Some(conversation) = streams.next().await {
            self.conversations.push(conversation?);
        }
        Ok(count)
    }
}

fn message() -> Echo {
    Echo {
        payload: vec![b'x'; 32],
        replies: 0,
    }
}
