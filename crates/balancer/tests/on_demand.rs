//! Petioles that connect only when wanted: `Lazy` children, and children that are left IDLE.

use highball_balancer::{
    ConfigError, Cx, Event, Lazy, PerEndpoint, PickFirst, Policy, Registry, Update, pick_first,
    read_config,
};
use highball_core::Rejected;
use highball_testkit::transcript;
use serde::de::IgnoredAny;
use serde_json::Value;

/// round_robin, but children that become IDLE are left so.
#[derive(Debug)]
struct OnDemand {
    children: PerEndpoint<PickFirst>,
}

impl Policy for OnDemand {
    const NAME: &'static str = "on_demand";
    type Config = ();

    fn parse(config: &Value, _: &Registry) -> Result<(), ConfigError> {
        read_config::<IgnoredAny>(config, "on_demand").map(drop)
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new().without_reconnect(),
        }
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let update = update.with_config(pick_first::Config::default());
        let result = self.children.update(update, cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.children.deliver(event, cx);
        self.publish_changes(cx);
    }
}

impl OnDemand {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if self.children.take_changed() {
            let state = self.children.aggregate(cx);
            cx.publish_state(state);
        }
    }
}

fn check(folder: &str) {
    let mut registry = Registry::builtin();
    registry
        .register::<OnDemand>()
        .register::<Lazy<PickFirst>>();
    let transcripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/");
    transcript::check(format!("{transcripts}{folder}"), &registry);
}

#[test]
fn lazy_does_what_its_transcripts_say() {
    check("lazy");
}

#[test]
fn children_that_do_not_reconnect_do_what_their_transcripts_say() {
    check("on_demand");
}
