//! Load reports, with calls and beside them, as policies hear of them (gRFC A51).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use highball_channel::policy::{
    ConfigError, Cx, Event, LoadWatch, Outcome, PerEndpoint, Pick, PickFirst, Policy, Registry,
    SubchannelId, SubchannelState, Update, pick_first,
};
use highball_channel::resolver::Resolution;
use highball_channel::{
    Attributes, Channel, ChannelBuilder, LoadReport, MetadataMap, Rejected, Status,
};
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::orca::v3::OrcaLoadReportRequest;
use highball_server::orca::v3::open_rca_service_server::{OpenRcaService, OpenRcaServiceServer};
use highball_server::orca::{CallMetrics, LoadReporting, OrcaService, ServerMetrics};
use highball_server::{IncomingCall, Request, Response, ResponseStream, Server, Service};
use tokio::time::Instant;

use crate::hooked::{TURN, hook, hooked, unhook};
use crate::own_calls::{Name, check_name};
use crate::world::{A, World, nothing_is_left, settle, who};

/// What a test wants of the policy under test, and what that hears. It comes with the endpoints.
#[derive(Clone, Debug, Default)]
struct Wishes {
    /// The intervals of the watches over each subchannel, in seconds.
    intervals: Vec<u64>,
    heard: Heard,
}

const UNPOISONED: &str = "no test panics with it";

type Heard = Arc<Mutex<Vec<(u64, LoadReport)>>>;

impl PartialEq for Wishes {
    fn eq(&self, other: &Self) -> bool {
        self.intervals == other.intervals && Arc::ptr_eq(&self.heard, &other.heard)
    }
}

/// Goes by the first endpoint, and watches its load at several intervals.
#[derive(Debug)]
struct Listening {
    children: PerEndpoint<PickFirst>,
    subchannels: Vec<SubchannelId>,
    ready: bool,
    wishes: Wishes,
    /// By interval.
    watches: BTreeMap<u64, LoadWatch>,
}

impl Policy for Listening {
    const NAME: &'static str = "listening";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new(),
            subchannels: Vec::new(),
            ready: false,
            wishes: Wishes::default(),
            watches: BTreeMap::new(),
        }
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.wishes = update.attributes.get().cloned().unwrap_or_default();
        let update = update.with_config(pick_first::Config::default());
        let result = self.children.update(update, cx);
        self.subchannels.extend(cx.created());
        let wanted = &self.wishes.intervals;
        self.watches.retain(|interval, _| wanted.contains(interval));
        for interval in wanted {
            let mut watch = |id| cx.watch_load(id, Duration::from_secs(*interval));
            if let Some(id) = self.subchannels.last() {
                self.watches.entry(*interval).or_insert_with(|| watch(*id));
            }
        }
        self.publish(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        if let Event::Subchannel { state, .. } = &event {
            self.ready = *state == SubchannelState::Ready;
        }
        if let Some(Event::Load { watch, report, .. }) = self.children.deliver(event, cx) {
            assert!(self.ready, "reports come of READY subchannels");
            let mut watches = self.watches.iter();
            let (interval, _) = watches
                .find(|(_, held)| held.id() == watch)
                .expect("it is held");
            let mut heard = self.wishes.heard.lock().expect(UNPOISONED);
            heard.push((*interval, LoadReport::clone(&report)));
        }
        self.publish(cx);
    }
}

impl Listening {
    fn publish(&mut self, cx: &mut Cx<'_>) {
        if self.children.take_changed() {
            let state = self.children.aggregate(cx);
            cx.publish_state(state);
        }
    }
}

/// A channel to one server that offers these reports, if any, whose policy listens.
struct Rig {
    world: World,
    channel: Channel,
    heard: Heard,
}

impl Rig {
    async fn new(reports: impl Into<Option<Scripted>>, intervals: &[u64]) -> Self {
        let server = Server::builder().add_service(echo());
        Self::with(
            match reports.into() {
                Some(reports) => server.add_service(OpenRcaServiceServer::new(reports)),
                None => server,
            }
            .build(),
            intervals,
        )
        .await
    }

    async fn with(server: Server, intervals: &[u64]) -> Self {
        Self::choosing(server, intervals, |builder| builder).await
    }

    async fn choosing(
        server: Server,
        intervals: &[u64],
        choices: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Self {
        let mut world = World::new();
        world.start_with(A, server);
        let builder = choices(world.builder().policy::<Listening>());
        let json = r#"{"loadBalancingConfig":[{"listening":{}}]}"#;
        let channel = builder.default_service_config(json).build();
        let rig = Self {
            world,
            channel: channel.expect("the policy is known"),
            heard: Heard::default(),
        };
        rig.wish(intervals);
        who(&rig.channel).await.expect("the server answers");
        settle().await;
        rig
    }

    /// Has the policy watch at these intervals.
    fn wish(&self, intervals: &[u64]) {
        let wishes = Wishes {
            intervals: intervals.to_vec(),
            heard: self.heard.clone(),
        };
        let attributes = Attributes::default().with(wishes);
        let resolution = Resolution::new([A]).with_attributes(attributes);
        self.world.resolver.update(resolution);
    }

    /// What has been heard since this was last asked: the interval, and the errors per second.
    fn heard(&self) -> Vec<(u64, f64)> {
        let heard = std::mem::take(&mut *self.heard.lock().expect(UNPOISONED));
        heard
            .into_iter()
            .map(|(interval, it)| (interval, it.eps))
            .collect()
    }

    async fn end(self) {
        nothing_is_left(self.world, self.channel).await;
    }
}

fn echo() -> EchoServer<EchoWithAddress> {
    EchoServer::new(EchoWithAddress::new(A))
}

/// Out-of-band reports as a test has them. It is told when a client begins to listen, and at which interval.
struct Scripted {
    asked: mpsc::Sender<(Instant, i64)>,
    /// What each call says, and how it ends; the last one goes on.
    answers: Mutex<Vec<Answer>>,
}

#[derive(Clone)]
enum Answer {
    /// One report, and then no end.
    Report(f64),
    /// One report, and then the end.
    ReportAndEnd(f64),
    Fail(Status),
}

impl Scripted {
    /// Goes through the answers, and stays with the last.
    fn new(answers: &[Answer]) -> (Self, mpsc::Receiver<(Instant, i64)>) {
        let (asked, calls) = mpsc::channel();
        let answers = Mutex::new(answers.iter().rev().cloned().collect());
        (Self { asked, answers }, calls)
    }
}

impl OpenRcaService for Scripted {
    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
    ) -> Result<Response<ResponseStream<LoadReport>>, Status> {
        let interval = request
            .message()
            .report_interval
            .map_or(-1, |interval| interval.seconds);
        // A test that has seen enough does not listen.
        let _ = self.asked.send((Instant::now(), interval));
        let answer = {
            let mut answers = self.answers.lock().expect(UNPOISONED);
            match answers.len() {
                1 => answers[0].clone(),
                _ => answers.pop().expect("the last one stays"),
            }
        };
        let report = |eps| {
            stream::iter([Ok(LoadReport {
                eps,
                ..LoadReport::default()
            })])
        };
        Ok(Response::new(match answer {
            Answer::Report(eps) => report(eps).chain(stream::pending()).boxed(),
            Answer::ReportAndEnd(eps) => report(eps).boxed(),
            Answer::Fail(status) => return Err(status),
        }))
    }
}

fn intervals(calls: &mpsc::Receiver<(Instant, i64)>) -> Vec<i64> {
    calls.try_iter().map(|(_, interval)| interval).collect()
}

#[tokio::test(start_paused = true)]
async fn a_policy_hears_what_a_server_sets_and_unsets_out_of_band() {
    let metrics = ServerMetrics::new();
    let reports = OrcaService::new(metrics.clone());
    let server = Server::builder().add_service(echo()).add_service(reports);
    metrics.set_eps(1.0);
    let rig = Rig::with(server.build(), &[40]).await;
    assert_eq!(rig.heard(), [(40, 1.0)]);
    for eps in [Some(2.0), Some(2.0), None, Some(3.0)] {
        metrics.set_eps(eps);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(rig.heard(), [(40, eps.unwrap_or(0.0))]);
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_call_for_reports_carries_the_call_credentials_of_the_channel() {
    let metrics = ServerMetrics::new();
    let reports = OrcaService::new(metrics.clone());
    metrics.set_eps(1.0);
    let server = Server::builder().interceptor(check_name);
    let server = server.add_service(echo()).add_service(reports).build();
    let named = |builder: ChannelBuilder| builder.call_credentials(Name::default());
    let rig = Rig::choosing(server, &[40], named).await;
    assert_eq!(rig.heard(), [(40, 1.0)]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_call_at_the_smallest_interval_serves_all_watches() {
    let answers = [1.0, 2.0, 3.0, 4.0].map(Answer::Report);
    let (reports, calls) = Scripted::new(&answers);
    let rig = Rig::new(reports, &[123]).await;
    let step = async |wishes: &[u64]| {
        rig.wish(wishes);
        settle().await;
        (intervals(&calls), rig.heard())
    };
    assert_eq!(
        (intervals(&calls), rig.heard()),
        (vec![123], vec![(123, 1.0)])
    );
    assert_eq!(step(&[123, 234]).await, (vec![], vec![]), "no other call");
    let (asked, heard) = step(&[123, 234, 56]).await;
    assert_eq!(asked, [56]);
    assert_eq!(heard, [(123, 2.0), (234, 2.0), (56, 2.0)]);
    let (asked, heard) = step(&[123, 234]).await;
    assert_eq!((asked, heard), (vec![123], vec![(123, 3.0), (234, 3.0)]));
    let (asked, heard) = step(&[234]).await;
    assert_eq!((asked, heard), (vec![234], vec![(234, 4.0)]));
    assert_eq!(step(&[]).await, (vec![], vec![]));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_is_made_again_at_once_after_a_report_and_else_after_a_backoff() {
    let fail = || Answer::Fail(Status::internal("oops"));
    let answers = [
        Answer::ReportAndEnd(1.0),
        fail(),
        fail(),
        fail(),
        Answer::ReportAndEnd(2.0),
        fail(),
        Answer::Report(3.0),
    ];
    let (reports, calls) = Scripted::new(&answers);
    let rig = Rig::new(reports, &[30]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls: Vec<_> = calls.try_iter().map(|(at, _)| at).collect();
    let pauses = calls
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64());
    let nominal = [0.0, 1.0, 1.6, 2.56, 0.0, 1.0];
    assert_eq!(pauses.len(), nominal.len());
    for (pause, nominal) in pauses.zip(nominal) {
        let range = nominal * 0.8 - 0.01..=nominal * 1.2 + 0.01;
        assert!(range.contains(&pause), "{pause} and not {nominal}");
    }
    assert_eq!(rig.heard(), [(30, 1.0), (30, 2.0), (30, 3.0)]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_reports_is_asked_once_a_connection() {
    let mut rig = Rig::new(None, &[30]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(rig.heard(), []);
    rig.wish(&[30, 10]);
    settle().await;
    rig.world.kill(A).await;
    settle().await;
    let (reports, calls) = Scripted::new(&[Answer::Report(1.0)]);
    let server = Server::builder().add_service(echo());
    let server = server.add_service(OpenRcaServiceServer::new(reports));
    rig.world.start_with(A, server.build());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(intervals(&calls), [10]);
    assert_eq!(rig.heard(), [(30, 1.0), (10, 1.0)]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn unimplemented_is_for_good_also_for_those_who_ask_later() {
    let (reports, calls) = Scripted::new(&[Answer::Fail(Status::unimplemented("no"))]);
    let rig = Rig::new(reports, &[30]).await;
    rig.wish(&[30, 10]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(intervals(&calls), [30]);
    rig.end().await;
}

/// Reports something else than load.
struct Garbled(mpsc::Sender<()>);

impl Service for Garbled {
    fn name(&self) -> &str {
        "xds.service.orca.v3.OpenRcaService"
    }

    fn call(&self, _: &str, call: IncomingCall) {
        self.0.send(()).expect("the test listens");
        highball_server::server_streaming(call, async |_: Request<()>| {
            let messages = stream::iter([Ok(7u32), Ok(8)]).chain(stream::pending());
            Ok(Response::new(messages.boxed()))
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_none_is_left_out_and_the_call_goes_on() {
    let (sender, calls) = mpsc::channel();
    let server = Server::builder().add_service(echo());
    let rig = Rig::with(server.add_service(Garbled(sender)).build(), &[30]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((calls.try_iter().count(), rig.heard()), (1, vec![]));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_does_not_wait_for_those_who_listen() {
    let reports = OrcaService::new(ServerMetrics::new());
    let server = Server::builder().add_service(echo()).add_service(reports);
    let mut rig = Rig::with(server.build(), &[30]).await;
    assert_eq!(rig.heard(), [(30, 0.0)]);
    let start = Instant::now();
    rig.world.stop_gracefully(A).await;
    assert!(start.elapsed() < Duration::from_secs(1), "it has 30 s");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_what_no_policy_wants_to_know() {
    let (reports, calls) = Scripted::new(&[Answer::Report(1.0)]);
    let rig = Rig::new(reports, &[]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((intervals(&calls), rig.heard()), (vec![], vec![]));
    rig.end().await;
}

/// The outcome of a call on a channel whose policy listens to completions.
async fn outcome(server: Server) -> Outcome {
    let _turn = TURN.lock().await;
    let (sender, outcomes) = mpsc::channel();
    hook(move |picker, call| match picker.pick(call) {
        Pick::Use(selection) => {
            let sender = sender.clone();
            Pick::Use(selection.on_done(move |outcome: &Outcome| {
                drop(sender.send(outcome.clone()));
            }))
        }
        other => other,
    });
    let mut world = World::new();
    world.start_with(A, server);
    world.resolve(&[A]);
    let channel = hooked(&world);
    let _ = who(&channel).await;
    unhook();
    nothing_is_left(world, channel).await;
    outcomes.try_iter().next().expect("there was a call")
}

#[tokio::test(start_paused = true)]
async fn a_completion_hook_is_told_the_load_that_came_with_the_call_good_or_bad() {
    for fails in [false, true] {
        let server = Server::builder()
            .interceptor(LoadReporting::new())
            .interceptor(move |request: &mut Request<()>| {
                let metrics = CallMetrics::of(request).expect("there is a recorder");
                metrics.set_request_cost("db_queries", 10.0);
                match fails {
                    true => Err(Status::resource_exhausted("no more queries")),
                    false => Ok(()),
                }
            })
            .add_service(echo());
        let outcome = outcome(server.build()).await;
        assert_eq!(outcome.is_failure(), fails);
        let load = outcome.load.expect("the server reports");
        assert_eq!(load.request_cost["db_queries"], 10.0);
    }
}

/// Answers with these trailers.
#[derive(Clone)]
struct Trailing(MetadataMap);

impl highball_echo::Echo for Trailing {
    async fn unary_echo(
        &self,
        request: Request<highball_echo::EchoRequest>,
    ) -> Result<Response<highball_echo::EchoResponse>, Status> {
        let message = format!("{} (from {A})", request.into_message().message);
        let reply = highball_echo::EchoResponse { message };
        Ok(Response::new(reply).with_trailers(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_are_none_are_left_out_and_the_call_is_well() {
    let garbage: &[u8] = b"\xff\xff";
    let trailers = |values: &[&[u8]]| {
        let mut trailers = MetadataMap::new();
        for value in values {
            trailers.append_bin(LoadReport::TRAILER, value).unwrap();
        }
        trailers
    };
    for (values, known) in [
        (&[][..], false),
        (&[garbage], false),
        (&[&[], &[]], false),
        (&[&[]], true),
    ] {
        let service = EchoServer::new(Trailing(trailers(values)));
        let outcome = outcome(Server::builder().add_service(service).build()).await;
        assert_eq!(outcome.result, Some(Ok(())));
        assert_eq!(outcome.load.is_some(), known, "{values:?}");
    }
}
