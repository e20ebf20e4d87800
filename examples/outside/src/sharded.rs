//! A policy that sends each call to the endpoint that its `shard` metadata names.

use std::sync::Arc;

use highball_channel::policy::{
    CallInfo, ConfigError, Cx, Event, LbState, PerEndpoint, Pick, PickFirst, Picker, Policy,
    Registry, Update,
};
use highball_channel::{ConnectivityState, Rejected, Status};

// The policy: at most 80 lines.
/// One `pick_first` child per endpoint; the call's metadata says which child picks.
#[derive(Debug)]
pub struct Sharded {
    shards: PerEndpoint<PickFirst>,
}

impl Policy for Sharded {
    const NAME: &'static str = "sharded";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self { shards: PerEndpoint::new() }
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let Update { endpoints, attributes, .. } = update;
        let result = self.shards.update(Update { endpoints, attributes, config: Arc::default() }, cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.shards.deliver(event, cx);
        self.publish_changes(cx);
    }
}

impl Sharded {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if !self.shards.take_changed() {
            return;
        }
        let LbState { connectivity, picker } = self.shards.aggregate(cx);
        if connectivity == ConnectivityState::TransientFailure {
            return cx.publish_state(LbState { connectivity, picker });
        }
        // A shard that is not READY has a picker too: it makes its calls wait, or fails them.
        let shards = self.shards.children().map(|(_, state)| state.picker.clone()).collect();
        cx.publish(connectivity, ByShard { shards });
    }
}

#[derive(Debug)]
struct ByShard {
    shards: Vec<Arc<dyn Picker>>,
}

impl Picker for ByShard {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        let shard = call.metadata.get("shard").and_then(|shard| shard.parse::<usize>().ok());
        match shard.and_then(|shard| self.shards.get(shard)) {
            Some(picker) => picker.pick(call),
            None => Pick::Drop(Status::unavailable("the call names no shard that exists")),
        }
    }
}
// The end of the policy.
