//! How calls find their subchannel: a picker is the snapshot that a policy publishes.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use highball_core::{ConnectivityState, MetadataMap, Status};

use crate::{Done, Outcome, SubchannelId, Waker};

/// Chooses a subchannel for each call.
///
/// A snapshot: immutable but for counters, and used by any number of calls at once, also for a while
/// after a newer one was published. It must not block. It names subchannels by id and holds no
/// connection.
pub trait Picker: Debug + Send + Sync + 'static {
    /// What this call should do.
    fn pick(&self, call: &CallInfo<'_>) -> Pick;
}

/// The call to be placed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallInfo<'a> {
    /// The full method name, `/package.Service/Method`.
    pub method: &'a str,
    /// What the application sends along.
    pub metadata: &'a MetadataMap,
}

impl<'a> CallInfo<'a> {
    /// A call of `method` with `metadata`.
    pub fn new(method: &'a str, metadata: &'a MetadataMap) -> Self {
        Self { method, metadata }
    }
}

/// What a call should do.
#[derive(Debug)]
pub enum Pick {
    /// Go to this subchannel.
    Use(Selection),
    /// Wait for the next picker.
    Wait,
    /// Fail, or wait for the next picker if the call waits for ready.
    Fail(Status),
    /// Fail, even if the call waits for ready, and never retry.
    Drop(Status),
}

/// Where a call goes, and what goes with it.
#[derive(Debug)]
pub struct Selection {
    /// Which subchannel.
    pub subchannel: SubchannelId,
    /// What the picker adds to the headers of the call: see [`Selection::with_metadata`] and
    /// [`Selection::with_authority`].
    pub additions: Option<Box<Additions>>,
    /// Runs once when the attempt is over. A picker that adds its own keeps the one of its child: see
    /// [`Selection::on_done`].
    pub done: Option<Done>,
}

/// What a picker adds to the headers of a call: of this attempt at it, and of no other.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Additions {
    /// Behind what the application sends.
    pub metadata: MetadataMap,
    /// The `:authority`, where the call has none of its own (gRFC A81). It goes before that of the server and of the
    /// channel, and the connection must be good for it, as it must for a call's own.
    pub authority: Option<String>,
}

impl Selection {
    /// This subchannel and nothing else. Allocates nothing.
    pub fn new(subchannel: SubchannelId) -> Self {
        Self {
            subchannel,
            additions: None,
            done: None,
        }
    }

    /// Adds metadata, behind what a child has added.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        let additions = self.additions.get_or_insert_default();
        additions.metadata.merge(metadata);
        self
    }

    /// Has the server be asked for under this name, in place of one that a child has given: see
    /// [`Additions::authority`].
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<String>) -> Self {
        let additions = self.additions.get_or_insert_default();
        additions.authority = Some(authority.into());
        self
    }

    /// Also runs `hook` when the attempt is over, before the hook that is there already.
    #[must_use]
    pub fn on_done(mut self, hook: impl FnOnce(&Outcome) + Send + 'static) -> Self {
        let earlier = self.done.take();
        self.done = Some(Done::new(move |outcome| {
            hook(&outcome);
            if let Some(earlier) = earlier {
                earlier.fire(outcome);
            }
        }));
        self
    }
}

/// What a policy publishes: how it is, and how to pick.
#[derive(Clone, Debug)]
pub struct LbState {
    /// How it is.
    pub connectivity: ConnectivityState,
    /// How to pick.
    pub picker: Arc<dyn Picker>,
}

impl LbState {
    /// This state with this picker.
    pub fn new(connectivity: ConnectivityState, picker: impl Picker) -> Self {
        Self {
            connectivity,
            picker: Arc::new(picker),
        }
    }

    /// CONNECTING; calls wait.
    pub fn connecting() -> Self {
        Self {
            connectivity: ConnectivityState::Connecting,
            picker: WaitPicker::shared(),
        }
    }

    /// TRANSIENT_FAILURE; calls fail with `status`.
    pub fn failing(status: Status) -> Self {
        Self::new(ConnectivityState::TransientFailure, FailPicker(status))
    }
}

/// Every call waits for the next picker.
#[derive(Clone, Copy, Debug)]
pub struct WaitPicker;

impl WaitPicker {
    /// One for all: every channel begins with several, and they are all alike.
    pub fn shared() -> Arc<dyn Picker> {
        static SHARED: LazyLock<Arc<dyn Picker>> = LazyLock::new(|| Arc::new(WaitPicker));
        SHARED.clone()
    }
}

impl Picker for WaitPicker {
    fn pick(&self, _: &CallInfo<'_>) -> Pick {
        Pick::Wait
    }
}

/// Every call fails with this status, unless it waits for ready.
#[derive(Clone, Debug)]
pub struct FailPicker(pub Status);

impl Picker for FailPicker {
    fn pick(&self, _: &CallInfo<'_>) -> Pick {
        Pick::Fail(self.0.clone())
    }
}

/// Every call goes to this subchannel.
#[derive(Clone, Copy, Debug)]
pub struct UsePicker(pub SubchannelId);

impl Picker for UsePicker {
    fn pick(&self, _: &CallInfo<'_>) -> Pick {
        Pick::Use(Selection::new(self.0))
    }
}

/// Every call waits, and the first one wakes the policy.
#[derive(Clone, Debug)]
pub struct IdlePicker(pub Waker);

impl Picker for IdlePicker {
    fn pick(&self, _: &CallInfo<'_>) -> Pick {
        self.0.wake();
        Pick::Wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_parents_metadata_comes_behind_its_childs_and_its_authority_in_place_of_it() {
        let metadata = |value| {
            let mut metadata = MetadataMap::new();
            metadata.append("k", value).unwrap();
            metadata
        };
        let child = Selection::new(SubchannelId(1)).with_metadata(metadata("child"));
        let child = child.with_authority("child.test");
        let selection = child.with_metadata(metadata("parent"));
        let additions = selection.with_authority("parent.test").additions.unwrap();
        let values: Vec<_> = additions.metadata.get_all("k").collect();
        assert_eq!(values, ["child", "parent"]);
        assert_eq!(additions.authority.as_deref(), Some("parent.test"));
    }

    #[test]
    fn a_parents_hook_runs_before_its_childs_and_both_run_once() {
        let (sender, order) = mpsc::channel();
        let (child, parent) = (sender.clone(), sender);
        let mut selection = Selection::new(SubchannelId(1));
        selection.done = Some(Done::new(move |_| child.send("child").unwrap()));
        drop(selection.on_done(move |_| parent.send("parent").unwrap()));
        assert_eq!(order.iter().collect::<Vec<_>>(), ["parent", "child"]);
    }
}
