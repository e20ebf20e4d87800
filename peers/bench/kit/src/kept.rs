//! Things that are kept and do nothing: what do they hold?

use std::time::Duration;

use clap::ValueEnum;

use crate::{Echo, Peer, PingPong, Result};

/// As many streams as every server allows on a connection.
const STREAMS_PER_CONNECTION: usize = 100;

/// Connections that are open before the first parked stream, so that they are not counted with it.
const CONNECTIONS: usize = 100;

/// Channels that are open before the first that counts, so that what they share is not counted.
const FIRST_CHANNELS: usize = 20;

/// Channels that count.
const CHANNELS: usize = 1_000;

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
        self.peers.reserve(count);
        for _ in 0..count {
            let peer = P::connect(self.port).await?;
            peer.unary(message()).await?;
            self.peers.push(peer);
        }
        Ok(count)
    }

    /// One after the other: what a burst leaves behind is the connection's, and no stream's.
    async fn add_streams(&mut self) -> Result<usize> {
        let count = self.peers.len() * STREAMS_PER_CONNECTION;
        self.conversations.reserve(count);
        for peer in &self.peers {
            for _ in 0..STREAMS_PER_CONNECTION {
                let mut conversation = peer.ping_pong().await?;
                conversation.round(message()).await?;
                self.conversations.push(conversation);
            }
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
