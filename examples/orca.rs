//! Load reports: what a policy is told with each call, and beside the calls (gRFC A51).
//!
//! What to watch for: the handler says what its call has cost, and the policy hears of it when the call ends. How
//! busy the server is, the policy hears without any call, for as long as it holds on to its watch.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::sync::Arc;
use std::time::Duration;

use highball_channel::policy::{
    CallInfo, Child, ConfigError, Cx, Event, LbState, LoadWatch, Outcome, Pick, PickFirst, Picker,
    Policy, Registry, SubchannelState, Update, pick_first,
};
use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Attributes, Channel, LoadReport, Rejected};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::orca::{CallMetrics, LoadReporting, OrcaService, ServerMetrics};
use highball_server::{Request, Response, Server, Status};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Far more often than a server that is not for show would allow: there it is 30 seconds.
const INTERVAL: Duration = Duration::from_millis(50);

/// Answers with what it was asked, and says that it was much work.
struct Database;

impl Echo for Database {
    async fn unary_echo(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        if let Some(metrics) = CallMetrics::of(&request) {
            metrics.set_request_cost("db_queries", 10.0);
        }
        let message = request.into_message().message;
        Ok(Response::new(EchoResponse { message }))
    }
}

/// Where a policy tells what it hears. It comes with the endpoints, from the resolver.
#[derive(Clone, Debug)]
struct Ears {
    with_calls: UnboundedSender<Arc<LoadReport>>,
    beside_calls: UnboundedSender<Arc<LoadReport>>,
}

impl PartialEq for Ears {
    fn eq(&self, other: &Self) -> bool {
        self.with_calls.same_channel(&other.with_calls)
    }
}

/// Goes by `pick_first`, and tells what load is reported. One that balances would go by it.
#[derive(Debug)]
struct Listening {
    child: Child<PickFirst>,
    ears: Option<Ears>,
    watch: Option<LoadWatch>,
}

impl Policy for Listening {
    const NAME: &'static str = "orca_example";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(cx: &mut Cx<'_>) -> Self {
        Self {
            child: Child::new(cx),
            ears: None,
            watch: None,
        }
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.ears = update.attributes.get().cloned();
        let update = update.with_config(pick_first::Config::default());
        let result = self.child.update(update, cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        // What is for the child comes past here.
        if let Event::Subchannel { id, state } = &event
            && *state == SubchannelState::Ready
        {
            self.watch = Some(cx.watch_load(*id, INTERVAL));
        }
        if let Some(Event::Load { report, .. }) = self.child.deliver(event, cx)
            && let Some(ears) = &self.ears
        {
            // The demo may be over.
            let _ = ears.beside_calls.send(report);
        }
        self.publish_changes(cx);
    }
}

impl Listening {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if let (true, Some(ears)) = (self.child.take_changed(), &self.ears) {
            let LbState {
                connectivity,
                picker,
            } = self.child.state().clone();
            let with_calls = ears.with_calls.clone();
            cx.publish(connectivity, Telling { picker, with_calls });
        }
    }
}

/// Picks as the child does, and has the end of each call told.
#[derive(Debug)]
struct Telling {
    picker: Arc<dyn Picker>,
    with_calls: UnboundedSender<Arc<LoadReport>>,
}

impl Picker for Telling {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        match self.picker.pick(call) {
            Pick::Use(selection) => {
                let ear = self.with_calls.clone();
                Pick::Use(selection.on_done(move |outcome: &Outcome| {
                    let _ = outcome.load.clone().map(|report| ear.send(report));
                }))
            }
            other => other,
        }
    }
}

#[tokio::main]
async fn main() -> highball_examples::Outcome {
    let load = ServerMetrics::new();
    let address = serve(load.clone()).await?;
    let (channel, mut with_calls, mut beside_calls) = listening(&address)?;

    let echo = EchoClient::new(channel);
    for number in 1..=3 {
        let message = "how much?".to_owned();
        echo.unary_echo(EchoRequest { message }).await?;
        let report = with_calls.recv().await.ok_or("the policy is gone")?;
        println!("call {number} has cost {:?}", report.request_cost);
    }

    for busy in [0.5, 0.9, 0.5] {
        load.set_cpu_utilization(busy);
        // What was said before may still be on its way.
        let mut heard = None;
        while heard != Some(busy) {
            let report = beside_calls.recv().await.ok_or("the policy is gone")?;
            heard = Some(report.cpu_utilization);
        }
        println!("without a call: cpu utilization {busy}");
    }
    Ok(())
}

/// Starts a server that reports its load both ways.
async fn serve(load: ServerMetrics) -> highball_examples::Outcome<String> {
    let listener = highball_server::bind("127.0.0.1:0").await?;
    let address = listener.local_addr().to_string();
    let server = Server::builder()
        .interceptor(LoadReporting::new())
        .add_service(OrcaService::new(load).unusual_least_interval(INTERVAL))
        .add_service(EchoServer::new(Database));
    tokio::spawn(server.serve(listener));
    Ok(address)
}

/// What has been heard of a server's load.
type Reports = UnboundedReceiver<Arc<LoadReport>>;

/// A channel to a server, and what its policy is told.
fn listening(address: &str) -> highball_examples::Outcome<(Channel, Reports, Reports)> {
    let (with_calls, told_with_calls) = unbounded_channel();
    let (beside_calls, told_beside_calls) = unbounded_channel();
    let ears = Ears {
        with_calls,
        beside_calls,
    };
    let resolver = ManualResolver::new("demo");
    let attributes = Attributes::default().with(ears);
    resolver.update(Resolution::new([address]).with_attributes(attributes));
    let channel = Channel::builder("demo:///database")
        .insecure()
        .resolver(resolver)
        .policy::<Listening>()
        .default_service_config(r#"{"loadBalancingConfig":[{"orca_example":{}}]}"#)
        .build()?;
    Ok((channel, told_with_calls, told_beside_calls))
}
