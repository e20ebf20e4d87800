//! The policy of the cases about load reports: it tells a call what load the server has reported.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highball_channel::policy::{
    CallInfo, Child, ConfigError, Cx, Event, LbState, LoadWatch, Outcome, Pick, PickFirst, Picker,
    Policy, Registry, SubchannelState, Update,
};
use highball_channel::{LoadReport, Rejected};
use serde_json::Value;

/// The policy `test_backend_metrics_load_balancer`: goes by `pick_first`, and gives each call that is
/// [`reported`] the load that came with it or, if none did, the last one that came beside the calls.
#[derive(Debug)]
pub struct TestBackendMetrics {
    child: Child<PickFirst>,
    watch: Option<LoadWatch>,
    /// What came last beside the calls.
    latest: Option<Arc<LoadReport>>,
}

impl Policy for TestBackendMetrics {
    const NAME: &'static str = "test_backend_metrics_load_balancer";
    type Config = ();

    fn parse(_: &Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(cx: &mut Cx<'_>) -> Self {
        Self {
            child: Child::new(cx),
            watch: None,
            latest: None,
        }
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let config = <PickFirst as Policy>::Config::default();
        let result = self.child.update(update.with_config(config), cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        if let Event::Subchannel { id, state } = &event
            && *state == SubchannelState::Ready
        {
            self.watch = Some(cx.watch_load(*id, Duration::from_secs(1)));
        }
        match self.child.deliver(event, cx) {
            Some(Event::Load { report, .. }) => {
                self.latest = Some(report);
                self.publish(cx);
            }
            _ => self.publish_changes(cx),
        }
    }
}

impl TestBackendMetrics {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if self.child.take_changed() {
            self.publish(cx);
        }
    }

    fn publish(&self, cx: &mut Cx<'_>) {
        let LbState {
            connectivity,
            picker,
        } = self.child.state().clone();
        let latest = self.latest.clone();
        cx.publish(connectivity, Reporting { picker, latest });
    }
}

#[derive(Debug)]
struct Reporting {
    picker: Arc<dyn Picker>,
    latest: Option<Arc<LoadReport>>,
}

impl Picker for Reporting {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        match (self.picker.pick(call), REPORTED.try_with(Slot::clone)) {
            (Pick::Use(selection), Ok(slot)) => {
                let latest = self.latest.clone();
                Pick::Use(selection.on_done(move |outcome: &Outcome| {
                    let with_the_call = outcome.load.clone().filter(|load| says_something(load));
                    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                    *slot = with_the_call.or(latest);
                }))
            }
            (pick, _) => pick,
        }
    }
}

/// A server may send a report with every call, whether there is anything to say or not.
fn says_something(report: &LoadReport) -> bool {
    *report != LoadReport::default()
}

type Slot = Arc<Mutex<Option<Arc<LoadReport>>>>;

tokio::task_local! {
    /// Where the call that is being made is told of the load.
    static REPORTED: Slot;
}

/// Makes a call; gives the load that the policy tells it as well, if that is in force.
pub(super) async fn reported<F: Future>(call: F) -> (F::Output, Option<Arc<LoadReport>>) {
    let slot = Slot::default();
    let output = REPORTED.scope(slot.clone(), call).await;
    let report = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    (output, report)
}
