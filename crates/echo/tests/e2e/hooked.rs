//! A policy that puts a test's hook in front of its child's picker.

use std::sync::{Arc, Mutex};

use highball_channel::policy::{
    CallInfo, ConfigError, Cx, Event, LbState, PerEndpoint, Pick, PickFirst, Picker, Policy,
    Registry, Update, pick_first,
};
use highball_channel::{Channel, ChannelBuilder, Rejected};

use crate::world::World;

/// What the policy under test does with a picker that its child would use.
static HOOKS: Mutex<Option<Hook>> = Mutex::new(None);
type Hook = Arc<dyn Fn(&dyn Picker, &CallInfo<'_>) -> Pick + Send + Sync>;

/// One test at a time: each sets the hook for its own policy.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Puts a hook in front of its child's picker.
#[derive(Debug)]
struct Hooked(PerEndpoint<PickFirst>);

impl Policy for Hooked {
    const NAME: &'static str = "hooked";
    type Config = ();

    fn parse(_: &serde_json::Value, _: &Registry) -> Result<(), ConfigError> {
        Ok(())
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self(PerEndpoint::new())
    }

    fn update(&mut self, update: Update<()>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let result = self
            .0
            .update(update.with_config(pick_first::Config::default()), cx);
        self.publish(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.0.deliver(event, cx);
        self.publish(cx);
    }
}

impl Hooked {
    fn publish(&mut self, cx: &mut Cx<'_>) {
        if self.0.take_changed() {
            let LbState {
                connectivity,
                picker,
            } = self.0.aggregate(cx);
            cx.publish(connectivity, HookedPicker(picker));
        }
    }
}

#[derive(Debug)]
struct HookedPicker(Arc<dyn Picker>);

impl Picker for HookedPicker {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        let hook = HOOKS.lock().expect("no test panics with it").clone();
        hook.map_or_else(|| self.0.pick(call), |hook| hook(&*self.0, call))
    }
}

pub(crate) fn hook(hook: impl Fn(&dyn Picker, &CallInfo<'_>) -> Pick + Send + Sync + 'static) {
    *HOOKS.lock().expect("no test panics with it") = Some(Arc::new(hook));
}

pub(crate) fn unhook() {
    *HOOKS.lock().expect("no test panics with it") = None;
}

/// A channel whose picks go through the hook.
pub(crate) fn hooked(world: &World) -> Channel {
    hooked_with(world, "")
}

/// The same, with `more` in its service config.
pub(crate) fn hooked_with(world: &World, more: &str) -> Channel {
    hooked_builder(world, more)
        .build()
        .expect("the policy is known")
}

/// What builds it.
pub(crate) fn hooked_builder(world: &World, more: &str) -> ChannelBuilder {
    let builder = world.builder().policy::<Hooked>();
    let json = format!(r#"{{"loadBalancingConfig":[{{"hooked":{{}}}}]{more}}}"#);
    builder.default_service_config(json)
}
