//! The one thing that calls and the control plane share: the current generation.
//!
//! ```text
//!   driver ── publish ──► [ generation 7 ]      superseded: generation 6's waiting calls wake,
//!                               ▲               load 7 and pick again
//!   calls  ── load ─────────────┘
//! ```
//!
//! A generation is a snapshot: a picker, the links its picks lead to, the service config in force, and the
//! news that it has been superseded. Calls load it atomically; they take no lock and are never called back.
//! A call asks each generation at most once, so a picker that sends it to a subchannel without a connection
//! cannot make it spin: it waits for the next generation, which is on its way.
//!
//! With `driver/turn.rs` this is the seventh stop of the reading path: states become a picker. Exercise: why
//! must `publish` swap first and tell second?

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use highball_balancer::{Additions, CallInfo, Done, Pick, Picker, SubchannelId, WaitPicker};
use highball_core::Status;
use highball_core::explanation::Phase;
use highball_subchannel::Link;
use highball_transport::client::Connection;
use tokio::sync::Notify;

use crate::call::{Timer, Unopened};
use crate::driver::panicked;
use crate::service_config::MethodConfigs;

/// The links of all subchannels there are, sorted. Shared by generations until a subchannel comes or goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Arc<[(SubchannelId, Arc<Link>)]>);

impl Links {
    pub(crate) fn find(&self, id: SubchannelId) -> Option<&Arc<Link>> {
        let found = self.0.binary_search_by_key(&id, |(known, _)| *known);
        found.ok().map(|place| &self.0[place].1)
    }

    /// In the order in which the subchannels were made.
    pub(crate) fn all(&self) -> &[(SubchannelId, Arc<Link>)] {
        &self.0
    }
}

impl FromIterator<(SubchannelId, Arc<Link>)> for Links {
    fn from_iter<I: IntoIterator<Item = (SubchannelId, Arc<Link>)>>(links: I) -> Self {
        let mut links: Vec<_> = links.into_iter().collect();
        links.sort_unstable_by_key(|(id, _)| *id);
        Self(links.into())
    }
}

/// What calls see of the control plane at one moment.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Chooses a subchannel for a call.
    pub(crate) picker: Arc<dyn Picker>,
    /// Where the picker's choices lead to.
    pub(crate) links: Links,
    /// What holds for each method; `None` while no resolution has come, and calls wait.
    pub(crate) methods: Option<Arc<MethodConfigs>>,
    /// Set once a newer generation is there to be loaded; then those who wait are told.
    is_superseded: AtomicBool,
    news: Notify,
}

impl Generation {
    pub(crate) fn new(
        picker: Arc<dyn Picker>,
        links: Links,
        methods: Option<Arc<MethodConfigs>>,
    ) -> Self {
        Self {
            picker,
            links,
            methods,
            is_superseded: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// Before the first resolution: every call waits.
    pub(crate) fn unresolved() -> Self {
        Self::new(WaitPicker::shared(), Links::default(), None)
    }

    /// The last one: every call ends with `status`.
    pub(crate) fn ended(status: Status) -> Self {
        static NONE: LazyLock<Arc<MethodConfigs>> = LazyLock::new(Arc::default);
        let picker = Arc::new(EndedPicker(status));
        Self::new(picker, Links::default(), Some(NONE.clone()))
    }

    /// Returns when a newer generation can be loaded.
    pub(crate) async fn superseded(&self) {
        let mut news = pin!(self.news.notified());
        // In the line of those who wait before the look: news behind it is not missed.
        news.as_mut().enable();
        if !self.is_superseded.load(Ordering::Acquire) {
            news.await;
        }
    }

    /// Has a call wait for a newer generation, whose picker may have a connection for it.
    pub(crate) async fn wait(
        &self,
        latest_error: Option<&Status>,
        timer: &mut Timer<'_>,
    ) -> Result<(), Unopened> {
        let waiting = || waiting_to_be_ready(latest_error);
        let superseded = pin!(self.superseded());
        let waited = timer.wait(Phase::Pick, superseded, waiting).await;
        waited.map_err(Unopened::Over)
    }

    fn supersede(&self) {
        self.is_superseded.store(true, Ordering::Release);
        self.news.notify_waiters();
    }
}

/// Where a call goes.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) connection: Connection,
    /// Whose connection it is, and perhaps not the only one.
    subchannel: SubchannelId,
    /// What goes with this attempt.
    pub(crate) additions: Option<Box<Additions>>,
    /// Runs once when the attempt is over.
    pub(crate) done: Option<Done>,
    /// What was asked; a call that cannot use the connection after all waits for the next one.
    pub(crate) generation: Arc<Generation>,
}

impl Picked {
    /// Where the subchannel's connections are.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.generation.links.find(self.subchannel)
    }
}

/// Why a call has no connection.
#[derive(Debug)]
pub(crate) enum NotPicked {
    /// It waits for the generation after this one. A call that does not wait for ready would have failed so.
    Yet(Arc<Generation>, Option<Status>),
    Failed(Unopened),
}

/// The current generation.
#[derive(Debug)]
pub(crate) struct PickerSlot(ArcSwap<Generation>);

impl PickerSlot {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(Generation::unresolved()))
    }

    /// Makes `generation` the current one, then wakes whoever waits for it.
    pub(crate) fn publish(&self, generation: Generation) {
        self.0.swap(Arc::new(generation)).supersede();
    }

    /// The current generation.
    pub(crate) fn load(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    /// What holds for each method, once there has been a resolution.
    pub(crate) fn methods(&self) -> Option<Arc<MethodConfigs>> {
        self.0.load().methods.clone()
    }

    /// Waits for the first resolution and returns what it says of the methods.
    pub(crate) async fn resolved(&self) -> Arc<MethodConfigs> {
        loop {
            let generation = self.load();
            if let Some(methods) = &generation.methods {
                return methods.clone();
            }
            generation.superseded().await;
        }
    }

    /// Asks the current picker for a connection.
    pub(crate) fn pick(
        &self,
        call: &CallInfo<'_>,
        wait_for_ready: bool,
    ) -> Result<Picked, NotPicked> {
        let generation = self.load();
        match contained_pick(&*generation.picker, call) {
            Pick::Use(selection) => {
                let link = generation.links.find(selection.subchannel);
                match link.and_then(|link| link.connection()) {
                    Some(connection) => Ok(Picked {
                        connection,
                        subchannel: selection.subchannel,
                        additions: selection.additions,
                        done: selection.done,
                        generation,
                    }),
                    // It is not READY any more; the generation that knows is on its way. What the picker's hook
                    // hears is that nothing came of it.
                    None => Err(NotPicked::Yet(generation, None)),
                }
            }
            Pick::Wait => Err(NotPicked::Yet(generation, None)),
            Pick::Fail(status) if wait_for_ready => Err(NotPicked::Yet(generation, Some(status))),
            Pick::Fail(status) => Err(NotPicked::Failed(Unopened::Failed(failed(status)))),
            Pick::Drop(status) => {
                let dropped = status.from_control_plane("picker error");
                Err(NotPicked::Failed(Unopened::Over(dropped)))
            }
        }
    }
}

/// Asks the picker. One that panics fails this call, and no other.
fn contained_pick(picker: &dyn Picker, call: &CallInfo<'_>) -> Pick {
    // Unwind safe: a picker is shared by all calls as it is, and has no state that calls rely on.
    catch_unwind(AssertUnwindSafe(|| picker.pick(call)))
        .unwrap_or_else(|panic| Pick::Drop(panicked(&*panic)))
}

/// A picker's failure is the channel's: UNAVAILABLE, whatever caused it.
fn failed(status: Status) -> Status {
    match status.code() {
        highball_core::Code::Unavailable => status,
        _ => Status::unavailable(status.message().to_owned()).with_source(status),
    }
}

fn waiting_to_be_ready(latest_error: Option<&Status>) -> String {
    let waiting = "waiting for connections to become ready";
    match latest_error {
        Some(error) => format!("{waiting}: latest balancer error: {error}"),
        None => waiting.to_owned(),
    }
}

/// Every call ends with this status, whether it waits for ready or not.
#[derive(Debug)]
pub(crate) struct EndedPicker(pub(crate) Status);

impl Picker for EndedPicker {
    fn pick(&self, _: &CallInfo<'_>) -> Pick {
        Pick::Drop(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use highball_core::MetadataMap;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use highball_balancer::FailPicker;

    use super::*;
    use crate::call::{Deadline, Journal};

    /// Counts how often it is asked, and has every call wait.
    #[derive(Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Picker for Counting {
        fn pick(&self, _: &CallInfo<'_>) -> Pick {
            self.0.fetch_add(1, Ordering::Relaxed);
            Pick::Wait
        }
    }

    fn generation(picker: impl Picker) -> Generation {
        Generation::new(Arc::new(picker), Links::default(), Some(Arc::default()))
    }

    async fn unopened(slot: &PickerSlot, wait_for_ready: bool) -> Unopened {
        let metadata = MetadataMap::new();
        let deadline = Deadline::after(Some(Duration::from_secs(10)));
        let call = CallInfo::new("/a.B/C", &metadata);
        let alarm = pin!(None);
        let mut timer = Timer::new(deadline, alarm, Journal::default());
        let mut latest_error = None;
        loop {
            match slot.pick(&call, wait_for_ready) {
                Ok(_) => unreachable!("there is no connection"),
                Err(NotPicked::Failed(unopened)) => return unopened,
                Err(NotPicked::Yet(generation, error)) => {
                    latest_error = error.or(latest_error);
                    let waited = generation.wait(latest_error.as_ref(), &mut timer).await;
                    if let Err(over) = waited {
                        return over;
                    }
                }
            }
        }
    }

    async fn pick(slot: &PickerSlot, wait_for_ready: bool) -> Status {
        match unopened(slot, wait_for_ready).await {
            Unopened::Failed(status) | Unopened::Over(status) => status,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a6_a_failure_may_be_retried_and_a_drop_or_a_deadline_may_not() {
        let slot = PickerSlot::new();
        slot.publish(generation(FailPicker(Status::unavailable("down"))));
        assert!(matches!(unopened(&slot, false).await, Unopened::Failed(_)));
        assert!(matches!(unopened(&slot, true).await, Unopened::Over(_)));
        slot.publish(generation(EndedPicker(Status::unavailable("dropped"))));
        assert!(matches!(unopened(&slot, false).await, Unopened::Over(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_call_is_woken_by_the_next_generation() {
        let slot = Arc::new(PickerSlot::new());
        let waiting = tokio::spawn({
            let slot = slot.clone();
            async move { pick(&slot, false).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        slot.publish(generation(FailPicker(Status::unavailable("down"))));
        assert_eq!(waiting.await.unwrap(), Status::unavailable("down"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_generation_is_asked_once_for_each_call() {
        let slot = Arc::new(PickerSlot::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..5)
            .map(|_| {
                let slot = slot.clone();
                tokio::spawn(async move { pick(&slot, false).await })
            })
            .collect();
        for generations in 1..=3 {
            slot.publish(generation(Counting(asked.clone())));
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(asked.load(Ordering::Relaxed), 5 * generations);
        }
        slot.publish(Generation::ended(Status::cancelled("closed")));
        for call in calls {
            assert_eq!(call.await.unwrap(), Status::cancelled("closed"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_picker_error_is_in_the_deadlines_message() {
        let slot = PickerSlot::new();
        slot.publish(generation(FailPicker(Status::unavailable("refused"))));
        assert_eq!(
            pick(&slot, true).await.to_string(),
            "DEADLINE_EXCEEDED: context deadline exceeded while waiting for connections to become \
             ready: latest balancer error: UNAVAILABLE: refused"
        );
    }

    /// Publishes and picks at once from several threads: no wake-up may be lost.
    #[test]
    fn no_wake_up_is_lost_between_threads() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..500 {
                let slot = Arc::new(PickerSlot::new());
                let calls: Vec<_> = (0..4)
                    .map(|_| {
                        let slot = slot.clone();
                        tokio::spawn(async move { pick(&slot, true).await })
                    })
                    .collect();
                for _ in 0..3 {
                    slot.publish(generation(WaitPicker));
                }
                slot.publish(Generation::ended(Status::cancelled("closed")));
                for call in calls {
                    assert_eq!(call.await.unwrap(), Status::cancelled("closed"));
                }
            }
        });
    }
}
