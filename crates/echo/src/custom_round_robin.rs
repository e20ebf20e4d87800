//! A policy for two endpoints: the second gets every n-th call.
//!
//! ```text
//!   [first] ── pick_first ─┐
//!                          ├─► both READY: F F S F F S …   one READY: all to it
//!   [second] ─ pick_first ─┘
//! ```
//!
//! Written as anyone would outside this project, with the public API alone: `PerEndpoint` keeps a
//! `pick_first` for each endpoint, so what is left is the config and the picker.
//!
//! To see it run, read `tests/transcripts/custom_round_robin/every_third.txt`. Exercise: let the second
//! endpoint take over *after* n calls instead of every n-th; which lines of the transcript change?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use highball_channel::policy::{
    CallInfo, ConfigError, Cx, Event, LbState, PerEndpoint, Pick, PickFirst, Picker, Policy,
    Registry, Update, pick_first, read_config,
};
use highball_channel::{ConnectivityState, Endpoint, Rejected, Status};
use serde::Deserialize;
use serde_json::Value;

/// The policy `custom_round_robin`.
#[derive(Debug)]
pub struct CustomRoundRobin {
    children: PerEndpoint<PickFirst>,
    /// `None` until the first good update.
    config: Option<Arc<Config>>,
}

/// `{"chooseSecond": n}`: every n-th call goes to the second endpoint; 0 is never, 3 if not given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    #[serde(alias = "choose_second")]
    choose_second: Option<u32>,
}

impl Policy for CustomRoundRobin {
    const NAME: &'static str = "custom_round_robin";
    type Config = Config;

    fn parse(config: &Value, _: &Registry) -> Result<Config, ConfigError> {
        read_config(
            config,
            "custom-round-robin: unable to unmarshal customRRConfig",
        )
    }

    fn new(_: &mut Cx<'_>) -> Self {
        Self {
            children: PerEndpoint::new(),
            config: None,
        }
    }

    fn update(&mut self, update: Update<Config>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        if update.endpoints.len() != 2 {
            let got: Vec<_> = update.endpoints.iter().map(Endpoint::addresses).collect();
            let text = format!("custom_round_robin wants two endpoints, got: {got:?}");
            let status = Status::unavailable(text);
            if self.config.is_none() {
                cx.publish_state(LbState::failing(status.clone()));
            }
            return Err(Rejected(status));
        }
        self.config = Some(update.config.clone());
        let result = self
            .children
            .update(update.with_config(pick_first::Config::default()), cx);
        self.publish_changes(cx);
        result
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        self.children.deliver(event, cx);
        self.publish_changes(cx);
    }
}

impl CustomRoundRobin {
    fn publish_changes(&mut self, cx: &mut Cx<'_>) {
        if !self.children.take_changed() {
            return;
        }
        let state = match <[_; 2]>::try_from(self.children.pickers_in(ConnectivityState::Ready)) {
            Ok(ready) => LbState::new(ConnectivityState::Ready, self.every_nth(ready)),
            Err(_) => self.children.aggregate(cx),
        };
        cx.publish_state(state);
    }

    fn every_nth(&self, ready: [Arc<dyn Picker>; 2]) -> EveryNth {
        let choose_second = self.config.as_ref().and_then(|config| config.choose_second);
        EveryNth {
            ready,
            choose_second: choose_second.unwrap_or(3).into(),
            calls: AtomicU64::new(0),
        }
    }
}

/// Every n-th call to the second picker, all others to the first; 0 is never.
#[derive(Debug)]
struct EveryNth {
    ready: [Arc<dyn Picker>; 2],
    choose_second: u64,
    calls: AtomicU64,
}

impl Picker for EveryNth {
    fn pick(&self, call: &CallInfo<'_>) -> Pick {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let second = self.choose_second != 0 && nth.is_multiple_of(self.choose_second);
        self.ready[usize::from(second)].pick(call)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use highball_channel::MetadataMap;
    use highball_channel::policy::{Done, FailPicker, Selection, SubchannelId, WaitPicker};

    use super::*;

    /// Adds metadata, and tells when the call is over.
    #[derive(Debug)]
    struct Decorating(mpsc::Sender<()>);

    impl Picker for Decorating {
        fn pick(&self, _: &CallInfo<'_>) -> Pick {
            let mut metadata = MetadataMap::new();
            metadata.insert("picked-by", "child").unwrap();
            let ended = self.0.clone();
            let mut selection = Selection::new(SubchannelId(7)).with_metadata(metadata);
            selection.done = Some(Done::new(move |_| ended.send(()).unwrap()));
            Pick::Use(selection)
        }
    }

    #[test]
    fn what_the_childs_picker_says_passes_through_unchanged() {
        let (sender, ended) = mpsc::channel();
        let fail = Arc::new(FailPicker(Status::unavailable("down")));
        let picker = EveryNth {
            ready: [Arc::new(Decorating(sender)), fail],
            choose_second: 2,
            calls: AtomicU64::new(0),
        };
        let metadata = MetadataMap::new();
        let call = CallInfo::new("/m", &metadata);
        let Pick::Use(selection) = picker.pick(&call) else {
            panic!("the first call goes to the first child");
        };
        assert_eq!(selection.subchannel, SubchannelId(7));
        assert_eq!(
            selection
                .additions
                .as_ref()
                .unwrap()
                .metadata
                .get("picked-by"),
            Some("child")
        );
        drop(selection);
        assert_eq!(ended.try_iter().count(), 1);
        let second = picker.pick(&call);
        assert!(matches!(second, Pick::Fail(status) if status.message() == "down"));
    }

    #[test]
    fn the_count_goes_on_beyond_32_bits() {
        let fail = Arc::new(FailPicker(Status::unavailable("second")));
        let picker = EveryNth {
            ready: [Arc::new(WaitPicker), fail],
            choose_second: 3,
            // 2³² + 2 is a multiple of 3.
            calls: AtomicU64::new(u32::MAX.into()),
        };
        let metadata = MetadataMap::new();
        let call = CallInfo::new("/m", &metadata);
        let seconds: Vec<_> = (0..6)
            .map(|_| matches!(picker.pick(&call), Pick::Fail(_)))
            .collect();
        assert_eq!(seconds, [false, false, true, false, false, true]);
    }
}
