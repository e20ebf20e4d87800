//! A subchannel, the network that it is in, and calls that use it as a channel's do.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use highball_core::ConnectivityState::{Connecting, Ready};
use highball_core::{Address, Backoff, ConnectivityState};
use highball_subchannel::{Link, Options, Report, State, Subchannel};
use highball_transport::client::{ClientOptions, Connection, Slot};
use highball_transport::{BoxIo, Connector, MemoryListener, MemoryNetwork};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const ADDRESS: &str = "a:1";
/// An empty SETTINGS frame and the acknowledgement of the client's.
const SETTINGS: [u8; 18] = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
/// GOAWAY with last stream 0 and NO_ERROR.
pub(crate) const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// SETTINGS with this MAX_CONCURRENT_STREAMS.
pub(crate) fn streams(limit: u8) -> [u8; 15] {
    [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, limit]
}

/// What a server that lets so many streams be has to say first.
pub(crate) fn settings(limit: u8) -> Vec<u8> {
    [&streams(limit), &SETTINGS[9..]].concat()
}

/// A subchannel and what it reports, with the time since the start.
pub(crate) struct Fixture {
    pub(crate) network: MemoryNetwork,
    pub(crate) subchannel: Option<Subchannel>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) started: Instant,
    attempts: Arc<AtomicUsize>,
}

/// A network that counts the attempts at connections to it.
#[derive(Debug)]
struct Counting(MemoryNetwork, Arc<AtomicUsize>);

impl Connector for Counting {
    fn connect<'a>(
        &'a self,
        address: &'a Address,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.connect(address)
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let (network, attempts) = (MemoryNetwork::new(), Arc::<AtomicUsize>::default());
        let options = Options {
            connector: Arc::new(Counting(network.clone(), attempts.clone())),
            client: ClientOptions::default(),
            backoff: Backoff {
                jitter: 0.0,
                ..Backoff::default()
            },
            min_connect_timeout: Duration::from_secs(20),
            max_connections: 4,
        };
        let (report, reports) = mpsc::unbounded_channel();
        let report = move |said| report.send(said).expect("the test listens");
        let subchannel = Subchannel::spawn(Address::tcp(ADDRESS), options.into(), 1, report);
        Self {
            network,
            subchannel: Some(subchannel),
            reports,
            started: Instant::now(),
            attempts,
        }
    }

    pub(crate) fn subchannel(&self) -> &Subchannel {
        self.subchannel.as_ref().expect("it has not been let go")
    }

    /// The next state reported, and the milliseconds since the start.
    pub(crate) async fn next(&mut self) -> (ConnectivityState, u128) {
        match self.reports.recv().await.expect("there is another report") {
            Report::State(state) => {
                let state = state.connectivity();
                (state, self.started.elapsed().as_millis())
            }
            other => panic!("want a state, not {other:?}"),
        }
    }

    pub(crate) async fn expect(&mut self, state: ConnectivityState) {
        assert_eq!(self.next().await.0, state);
    }

    /// How many connections it has tried to make.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    /// What has been reported by now.
    pub(crate) async fn said(&mut self) -> String {
        settle().await;
        let mut said = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            said.push(match report {
                Report::State(State::TransientFailure(_)) => "TRANSIENT_FAILURE".to_owned(),
                Report::State(state) => state.to_string(),
                Report::Grown(_) => "+1".to_owned(),
                Report::Shrunk => "-1".to_owned(),
            });
        }
        said.join(" ")
    }

    pub(crate) async fn ready(&mut self, listener: &mut MemoryListener) -> BoxIo {
        self.subchannel().connect();
        let mut io = listener.accept().await.expect("somebody connects");
        io.write_all(&SETTINGS).await.expect("somebody reads");
        self.expect(Connecting).await;
        self.expect(Ready).await;
        io
    }

    /// A subchannel that may have so many connections, and its first, on which so many streams may be.
    pub(crate) async fn scaled(max: usize, limit: u8) -> (Self, MemoryListener, BoxIo) {
        let mut fixture = Self::new();
        fixture.subchannel().allow_connections(max);
        let mut listener = fixture.network.listen(ADDRESS);
        fixture.subchannel().connect();
        let io = accept(&mut listener, limit).await;
        assert_eq!(fixture.said().await, "CONNECTING READY");
        (fixture, listener, io)
    }

    pub(crate) fn link(&self) -> Arc<Link> {
        self.subchannel().link().clone()
    }

    /// A call that looks for a stream, as a channel's does.
    pub(crate) async fn call(&self) -> Call {
        let link = self.link();
        let call = tokio::spawn(async move {
            let connection = link.connection()?;
            match connection.free_slot() {
                Some(slot) => Some((connection, slot)),
                None => link.slot(&connection).await,
            }
        });
        settle().await;
        Call(call)
    }

    /// The stream of a call that finds one at once.
    pub(crate) async fn stream(&self) -> Stream {
        self.call().await.served().await
    }

    /// How many streams each connection has, oldest first.
    pub(crate) fn streams(&self) -> Vec<usize> {
        let connections = self.link().connections();
        connections.iter().map(Connection::streams).collect()
    }
}

/// The next connection, with a server that lets so many streams be.
pub(crate) async fn accept(listener: &mut MemoryListener, limit: u8) -> BoxIo {
    let mut io = listener.accept().await.expect("somebody connects");
    say(&mut io, &settings(limit)).await;
    io
}

/// Sends these bytes, and lets them arrive.
pub(crate) async fn say(io: &mut BoxIo, bytes: &[u8]) {
    io.write_all(bytes).await.expect("somebody reads");
    settle().await;
}

/// Gives everything that can happen without the clock the time to happen.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A place for a stream, and where.
pub(crate) type Stream = (Connection, Slot);

/// A call on a task of its own.
pub(crate) struct Call(JoinHandle<Option<Stream>>);

impl Call {
    pub(crate) async fn waits(&self) -> bool {
        settle().await;
        !self.0.is_finished()
    }

    /// It has a stream by now.
    pub(crate) async fn served(self) -> Stream {
        assert!(!self.waits().await, "it still waits");
        self.0
            .await
            .expect("it does not panic")
            .expect("there is a connection")
    }

    /// It has been told by now that there is no connection.
    pub(crate) async fn sent_away(self) -> bool {
        !self.waits().await && self.0.await.expect("it does not panic").is_none()
    }

    /// What it has come to, or that it still waits.
    pub(crate) fn come_to(self) -> Result<Option<Stream>, Self> {
        match self.0.is_finished() {
            true => Ok(self
                .0
                .now_or_never()
                .expect("it is finished")
                .expect("it does not panic")),
            false => Err(self),
        }
    }

    pub(crate) async fn gives_up(self) {
        self.0.abort();
        settle().await;
    }
}
