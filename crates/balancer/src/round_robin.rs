//! All READY endpoints in turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use highball_core::Rejected;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    CallInfo, ConfigError, Cx, Event, PerEndpoint, Pick, PickFirst, Picker, Policy, Registry,
    Update, pick_first, read_config,
};

/// The policy `round_robin`: keeps a connection to every endpoint and sends calls to those that are
/// READY, one after the other. It has no config.
#[derive(Debug)]
pub struct RoundRobin {
    children: PerEndpoint<PickFirst>,
}

impl Policy for RoundRobin {
    const NAME: &'static str = "round_robin";
    type Config = ();

    fn parse(config: &Value, _: &Registry) -> Result<(), ConfigError> {
        read_config::<IgnoredAny>(config, "round_robin").map(drop)
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new(),
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

impl RoundRobin {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if self.children.take_changed() {
            let state = self.children.aggregate(cx);
            cx.publish_state(state);
        }
    }
}

/// Asks one picker after the other. No lock, no allocation.
#[repr(C)]
pub(crate) struct RoundRobinPicker {
    next: AtomicUsize,
    /// What follows is 64 bytes behind the counter: not on its cache line, which a pick on another processor takes away.
    _apart: [u64; 7],
    /// Never empty.
    pickers: Box<[Arc<dyn Picker>]>,
}

impl RoundRobinPicker {
    /// Starts with the picker at `start`. There must be one at least.
    pub(crate) fn new(pickers: Vec<Arc<dyn Picker>>, start: usize) -> Self {
        debug_assert!(!pickers.is_empty(), "a state that some child is in");
        Self {
            next: AtomicUsize::new(start),
            _apart: [0; 7],
            pickers: pickers.into(),
        }
    }
}

impl Picker for RoundRobinPicker {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.pickers[n % self.pickers.len()].pick(call)
    }
}

/// Short, whatever the number of endpoints: logs name the picker with every publication.
impl fmt::Debug for RoundRobinPicker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoundRobinPicker over {}", self.pickers.len())
    }
}
