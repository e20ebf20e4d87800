//! Whatever happens to a subchannel of several connections, in whatever order.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use highball_core::ConnectivityState::{self, Connecting, Idle, Ready, TransientFailure};
use highball_subchannel::{Report, State};
use highball_transport::{BoxIo, MemoryListener};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use crate::rig::{ADDRESS, Call, Fixture, GOAWAY, Stream, settings, settle, streams};

#[derive(Clone, Debug)]
enum Step {
    /// The policy wants a connection.
    Connect,
    /// The service config allows so many.
    Allow(usize),
    /// A call comes.
    Call,
    /// The call at this place in the queue is given up.
    GiveUp(usize),
    /// A call that has a stream ends.
    End(usize),
    /// The server answers an attempt: so many streams.
    Accept(u8),
    /// The server turns an attempt away.
    Refuse,
    /// The server says of a connection: so many streams from here on.
    Resize(usize, u8),
    GoAway(usize),
    Cut(usize),
    /// So many milliseconds pass.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Connect),
        1 => (0..6_usize).prop_map(Step::Allow),
        6 => Just(Step::Call),
        1 => place.clone().prop_map(Step::GiveUp),
        3 => place.clone().prop_map(Step::End),
        5 => (0..3_u8).prop_map(Step::Accept),
        1 => Just(Step::Refuse),
        1 => (place.clone(), 0..4_u8).prop_map(|(at, limit)| Step::Resize(at, limit)),
        1 => place.clone().prop_map(Step::GoAway),
        1 => place.prop_map(Step::Cut),
        2 => (1..3000_u64).prop_map(Step::Wait),
    ]
}

/// A subchannel beside the simplest model of it.
struct Model {
    fixture: Fixture,
    listener: MemoryListener,
    /// As reported.
    state: ConnectivityState,
    allowed: usize,
    /// The attempt that is under way.
    attempt: Option<BoxIo>,
    /// The servers' ends of the connections, oldest first.
    servers: Vec<BoxIo>,
    /// Those of connections that drain.
    draining: Vec<BoxIo>,
    waiting: VecDeque<Call>,
    held: Vec<Stream>,
}

impl Model {
    fn new() -> Self {
        let fixture = Fixture::new();
        Self {
            listener: fixture.network.listen(ADDRESS),
            fixture,
            state: Idle,
            allowed: 1,
            attempt: None,
            servers: Vec::new(),
            draining: Vec::new(),
            waiting: VecDeque::new(),
            held: Vec::new(),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Connect => self.fixture.subchannel().connect(),
            Step::Allow(connections) => {
                self.allowed = connections.clamp(1, 4);
                self.fixture.subchannel().allow_connections(connections);
            }
            Step::Call => self.waiting.push_back(self.fixture.call().await),
            Step::GiveUp(at) if at < self.waiting.len() => {
                let call = self.waiting.remove(at).expect("it is in the queue");
                call.gives_up().await;
            }
            Step::End(at) if at < self.held.len() => drop(self.held.remove(at)),
            Step::Accept(limit) => {
                if let Some(mut io) = self.attempt.take() {
                    let _ = io.write_all(&settings(limit)).await;
                    self.servers.push(io);
                }
            }
            Step::Refuse => drop(self.attempt.take()),
            Step::Resize(at, limit) if at < self.servers.len() => {
                let _ = self.servers[at].write_all(&streams(limit)).await;
            }
            Step::GoAway(at) if at < self.servers.len() => {
                let mut io = self.servers.remove(at);
                let _ = io.write_all(&GOAWAY).await;
                self.draining.push(io);
            }
            Step::Cut(at) if at < self.servers.len() => drop(self.servers.remove(at)),
            Step::Wait(time) if self.attempt.is_none() => {
                tokio::time::sleep(Duration::from_millis(time)).await;
            }
            Step::GiveUp(_)
            | Step::End(_)
            | Step::Resize(..)
            | Step::GoAway(_)
            | Step::Cut(_)
            | Step::Wait(_) => {}
        }
        settle().await;
        self.look().await;
    }

    /// Takes in what has come of a step, and checks what must hold.
    async fn look(&mut self) {
        while let Some(Ok(io)) = self.listener.accept().now_or_never() {
            assert!(self.attempt.is_none(), "two attempts at a time");
            let connections = self.servers.len();
            assert!(connections == 0 || connections < self.allowed);
            self.attempt = Some(io);
        }
        let mut served = Vec::new();
        let mut still = VecDeque::new();
        for call in std::mem::take(&mut self.waiting) {
            match call.come_to() {
                Ok(Some(stream)) => {
                    assert!(still.is_empty(), "somebody has been overtaken");
                    served.push(stream);
                }
                Ok(None) => {}
                Err(call) => still.push_back(call),
            }
        }
        self.waiting = still;
        self.held.extend(served);
        while let Ok(report) = self.fixture.reports.try_recv() {
            if let Report::State(state) = report {
                assert_ne!(state.connectivity(), self.state, "nothing new");
                assert_ne!(state, State::Shutdown);
                self.state = state.connectivity();
            }
        }
        let connections = self.fixture.link().connections();
        assert_eq!(connections.len(), self.servers.len());
        match (connections.is_empty(), &self.attempt) {
            (false, _) => assert_eq!(self.state, Ready),
            (true, Some(_)) => assert_eq!(self.state, Connecting),
            (true, None) => assert!(matches!(self.state, Idle | TransientFailure)),
        }
        let oldest = self.fixture.link().connection();
        assert_eq!(oldest.is_some(), !connections.is_empty());
        assert!(oldest.is_none_or(|oldest| oldest.is(&connections[0])));
        if connections.is_empty() {
            assert!(self.waiting.is_empty(), "nobody waits for nothing");
        }
        for connection in &connections {
            let free = connection.max_streams().unwrap_or(usize::MAX) > connection.streams();
            assert!(
                !free || self.waiting.is_empty(),
                "a stream and a call for it"
            );
        }
    }

    /// In the end everybody is served or sent away, and the connections are idle.
    async fn end(mut self) {
        for at in (0..self.servers.len()).rev() {
            self.step(Step::Resize(at, 1)).await;
        }
        for _ in 0..100 {
            if self.waiting.is_empty() && self.held.is_empty() {
                break;
            }
            self.step(Step::Accept(1)).await;
            self.step(Step::End(0)).await;
            // Less than an attempt is given.
            self.step(Step::Wait(19_000)).await;
        }
        assert!(self.waiting.is_empty() && self.held.is_empty());
        assert!(self.fixture.streams().iter().all(|streams| *streams == 0));
        self.fixture.subchannel = None;
        drop((self.attempt, self.servers, self.draining));
        settle().await;
        assert_eq!(self.fixture.network.open_connections(ADDRESS), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a105_the_state_the_order_and_the_streams_are_right_whatever_happens(
        script in prop::collection::vec(step(), 0..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        runtime.block_on(async {
            let mut model = Model::new();
            for step in script {
                model.step(step).await;
            }
            model.end().await;
        });
    }
}
