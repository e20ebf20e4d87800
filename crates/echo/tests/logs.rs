//! What a channel's life looks like to someone who reads its log. A program of its own: other tests would come upon
//! the same lines on their threads, where nobody reads them, and tracing remembers that for a moment too long. For the
//! same reason one test runs at a time.

#[path = "e2e/script.rs"]
#[expect(dead_code, reason = "made for the tests of calls")]
mod script;
#[path = "e2e/world.rs"]
#[expect(dead_code, reason = "made for the tests of calls")]
mod world;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highball_channel::transport::Keepalive;
use highball_testkit::peer::Frame;
use tokio::sync::Mutex as Turns;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use script::{Script, reply};
use world::{A, World, nothing_is_left, settle, who};

/// Taken by each test for as long as it runs.
static TURN: Turns<()> = Turns::const_new(());

/// Writes down target, message and fields of the events of these targets, up to DEBUG.
#[derive(Clone)]
struct Log {
    targets: &'static [&'static str],
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn of(targets: &'static [&'static str]) -> Self {
        let lines = Arc::default();
        Self { targets, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no holder panics").clone()
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            // Its words are the operating system's.
            "reason" => self.0.push_str(" reason"),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, event: &Metadata<'_>) -> bool {
        self.targets.contains(&event.target()) && *event.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut text = format!("{}: {}", event.metadata().target(), line.0);
        if *event.metadata().level() <= Level::WARN {
            text.insert_str(0, "WARN ");
        }
        self.lines.lock().expect("no holder panics").push(text);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_channels_life_can_be_read_from_its_log() {
    let _turn = TURN.lock().await;
    let log = Log::of(&["channel", "resolver", "subchannel"]);
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    who(&channel).await.unwrap();
    world.kill(A).await;
    settle().await;
    who(&channel).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(1)).await;
    channel.close().await;
    let refused = "UNAVAILABLE: connection error: desc = \"transport: Error while dialing: a:1: \
                   connection refused\"";
    let expected = format!(
        "channel: leaving idle mode
         channel: state from=IDLE to=CONNECTING
         resolver: resolved endpoints=1 config=false note=\"\"
         channel: switching to new balancing policy policy=\"pick_first\"
         subchannel: state address=a:1 from=IDLE to=CONNECTING
         subchannel: state address=a:1 from=CONNECTING to=READY
         channel: state from=CONNECTING to=READY
         subchannel: connection lost address=a:1 reason connections=0
         subchannel: state address=a:1 from=READY to=IDLE
         channel: state from=READY to=IDLE
         channel: state from=IDLE to=CONNECTING
         subchannel: state address=a:1 from=IDLE to=CONNECTING
         WARN subchannel: failed to connect address=a:1 error={refused}
         subchannel: state address=a:1 from=CONNECTING to=TRANSIENT_FAILURE, last error: {refused}
         channel: state from=CONNECTING to=TRANSIENT_FAILURE
         channel: closed
         subchannel: state address=a:1 from=TRANSIENT_FAILURE to=SHUTDOWN
         channel: state from=TRANSIENT_FAILURE to=SHUTDOWN"
    );
    let expected: Vec<_> = expected.lines().map(str::trim).collect();
    assert_eq!(log.lines(), expected);
    nothing_is_left(world, channel).await;
}

/// Faults 57: a server complains, loudly enough to be heard by default, of each connection once; and what every server
/// says when it leaves is no complaint.
#[tokio::test(start_paused = true)]
async fn a8_a_complaint_of_too_many_pings_is_a_warning_and_an_ordinary_goaway_is_none() {
    let _turn = TURN.lock().await;
    let log = Log::of(&["transport"]);
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut script = Script::new();
    let keepalive = Keepalive {
        time: Duration::from_secs(10),
        timeout: Duration::from_secs(20),
        permit_without_stream: true,
    };
    script.channel = script.world.builder().keepalive(keepalive).build().unwrap();
    let mut peers = Vec::new();
    for goaway in [
        Frame::goaway(1, 11, "too_many_pings"),
        Frame::goaway(1, 0, "max_age"),
        Frame::goaway(1, 11, "too_many_pings"),
    ] {
        let call = script.call();
        let mut peer = script.accept().await;
        let stream = peer.headers().await;
        peer.send_all(reply(stream)).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        peer.send(goaway).await;
        peer.rest().await;
        peers.push(peer);
    }
    let of_goaways: Vec<_> = log
        .lines()
        .into_iter()
        .filter(|line| line.contains("goaway received"))
        .collect();
    let line = "transport: goaway received address=a:1 last_stream=1 reason";
    let warning = format!("WARN {line}");
    assert_eq!(of_goaways, [&*warning, line, &*warning]);
    script.end(peers).await;
}
