//! What the whole tree shares during its turns: the clock's reading, randomness, ids, the commands asked
//! for, and which of the things that were handed out are still alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use highball_core::{Address, Letterbox, Mailbox, mailbox};

use crate::waker::Signal;
use crate::{
    Command, LoadWatch, LoadWatchId, Path, Subchannel, SubchannelId, Timer, TimerId, Wake, Waker,
};

/// What every [`Cx`](crate::Cx) of a tree looks into.
pub(crate) struct Host {
    pub(crate) now: Option<Instant>,
    pub(crate) rng: fastrand::Rng,
    /// The policies to tell once the events of this turn are delivered.
    pub(crate) settling: Vec<Path>,
    /// Handles send here, also from their destructors.
    letterbox: Letterbox<Command>,
    inbox: Mailbox<Command>,
    /// What was asked for and not yet taken.
    commands: Vec<Command>,
    /// Boxed: a node of the map sets room aside for eleven.
    subchannels: BTreeMap<SubchannelId, Box<Live>>,
    timers: BTreeSet<TimerId>,
    /// Whose load is watched.
    load_watches: BTreeSet<(SubchannelId, LoadWatchId)>,
    /// Subchannels made in this turn.
    created: Vec<SubchannelId>,
    wakers: BTreeMap<Path, Weak<Signal>>,
    /// How many wakers to keep before looking for dead ones.
    wakers_limit: usize,
    wake: Arc<dyn Wake>,
    next_id: u64,
    next_slot: u64,
}

/// A subchannel whose handle is held.
struct Live {
    owner: Path,
    address: Address,
    health_watched: bool,
}

impl Host {
    pub(crate) fn new(seed: u64, wake: Arc<dyn Wake>) -> Self {
        let (letterbox, inbox) = mailbox();
        Self {
            now: None,
            rng: fastrand::Rng::with_seed(seed),
            settling: Vec::new(),
            letterbox,
            inbox,
            commands: Vec::new(),
            subchannels: BTreeMap::new(),
            timers: BTreeSet::new(),
            load_watches: BTreeSet::new(),
            created: Vec::new(),
            wakers: BTreeMap::new(),
            wakers_limit: 16,
            wake,
            next_id: 0,
            next_slot: 0,
        }
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = Some(now);
        self.created = Vec::new();
    }

    /// Takes in what the handles sent, so that the sets of live things are right again.
    pub(crate) fn collect(&mut self) {
        while let Some(command) = self.inbox.take() {
            if self.takes_effect(&command) {
                self.commands.push(command);
            }
        }
    }

    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        self.collect();
        let mut commands = std::mem::take(&mut self.commands);
        // A watch may have ended in the turn in which it was asked for.
        let is_over = |command: &Command| {
            matches!(command, Command::WatchHealth(id) if !self.watches_health(*id))
                || matches!(command, Command::WatchLoad { id, subchannel, .. }
                    if !self.watches_load(*subchannel, *id))
        };
        commands.retain(|command| !is_over(command));
        commands
    }

    pub(crate) fn create(&mut self, owner: Path, address: Address) -> Subchannel {
        let id = SubchannelId(self.next_id());
        self.created.push(id);
        let live = Box::new(Live {
            owner: owner.clone(),
            address: address.clone(),
            health_watched: false,
        });
        self.subchannels.insert(id, live);
        self.send(Command::Create {
            id,
            owner,
            address: address.clone(),
        });
        Subchannel::new(id, address, self.letterbox.clone())
    }

    pub(crate) fn set_timer(&mut self, owner: Path, after: Duration) -> Timer {
        let id = TimerId(self.next_id());
        self.timers.insert(id);
        self.send(Command::SetTimer { id, owner, after });
        Timer::new(id, self.letterbox.clone())
    }

    pub(crate) fn watch_load(
        &mut self,
        owner: Path,
        subchannel: SubchannelId,
        interval: Duration,
    ) -> LoadWatch {
        let id = LoadWatchId(self.next_id());
        self.send(Command::WatchLoad {
            id,
            owner,
            subchannel,
            interval,
        });
        LoadWatch::new(id, subchannel, self.letterbox.clone())
    }

    /// All wakers of one owner share one signal.
    pub(crate) fn waker(&mut self, owner: Path) -> Waker {
        if let Some(signal) = self.wakers.get(&owner).and_then(Weak::upgrade) {
            return Waker::of(signal);
        }
        if self.wakers.len() >= self.wakers_limit {
            self.wakers.retain(|_, signal| signal.strong_count() > 0);
            self.wakers_limit = (2 * self.wakers.len()).max(16);
        }
        let waker = Waker::new(owner.clone(), self.wake.clone());
        self.wakers.insert(owner, Arc::downgrade(waker.signal()));
        waker
    }

    pub(crate) fn rearm(&mut self, owner: &Path) {
        if let Some(signal) = self.wakers.get(owner).and_then(Weak::upgrade) {
            signal.rearm();
        }
    }

    pub(crate) fn new_slot(&mut self) -> u64 {
        self.next_slot += 1;
        self.next_slot - 1
    }

    pub(crate) fn send(&self, command: Command) {
        self.letterbox.post(command);
    }

    pub(crate) fn is_live(&self, id: SubchannelId) -> bool {
        self.subchannels.contains_key(&id)
    }

    pub(crate) fn watches_health(&self, id: SubchannelId) -> bool {
        self.subchannels
            .get(&id)
            .is_some_and(|live| live.health_watched)
    }

    pub(crate) fn health_watched(&self) -> Vec<SubchannelId> {
        let watched = self
            .subchannels
            .iter()
            .filter(|(_, live)| live.health_watched);
        watched.map(|(id, _)| *id).collect()
    }

    pub(crate) fn watches_load(&self, subchannel: SubchannelId, id: LoadWatchId) -> bool {
        self.load_watches.contains(&(subchannel, id))
    }

    /// A change of its raw state ends the watch of a subchannel's health.
    pub(crate) fn stop_watching_health(&mut self, id: SubchannelId) {
        if let Some(live) = self.subchannels.get_mut(&id) {
            live.health_watched = false;
        }
    }

    /// Whether this timer was waiting; it is not any more.
    pub(crate) fn fire(&mut self, id: TimerId) -> bool {
        self.timers.remove(&id)
    }

    pub(crate) fn owner(&self, id: SubchannelId) -> Option<&Path> {
        Some(&self.subchannels.get(&id)?.owner)
    }

    pub(crate) fn address(&self, id: SubchannelId) -> Option<&Address> {
        Some(&self.subchannels.get(&id)?.address)
    }

    pub(crate) fn created(&self) -> &[SubchannelId] {
        &self.created
    }

    /// Keeps the books on what is alive; tells whether the driver has anything to do.
    fn takes_effect(&mut self, command: &Command) -> bool {
        match command {
            Command::Shutdown(id) => self.shut_down(*id),
            Command::CancelTimer(id) => self.timers.remove(id),
            Command::WatchHealth(id) => self.set_health_watched(*id, true),
            Command::UnwatchHealth(id) => self.set_health_watched(*id, false),
            Command::WatchLoad { id, subchannel, .. } => {
                self.is_live(*subchannel) && self.load_watches.insert((*subchannel, *id))
            }
            Command::UnwatchLoad { id, subchannel } => {
                self.load_watches.remove(&(*subchannel, *id))
            }
            Command::Create { .. }
            | Command::Connect(_)
            | Command::SetTimer { .. }
            | Command::Resolve => true,
        }
    }

    /// Also ends the watches over it.
    fn shut_down(&mut self, id: SubchannelId) -> bool {
        let was_live = self.subchannels.remove(&id).is_some();
        while let Some(watch) = self.first_load_watch(id) {
            self.load_watches.remove(&watch);
        }
        was_live
    }

    fn first_load_watch(&self, id: SubchannelId) -> Option<(SubchannelId, LoadWatchId)> {
        let all = (id, LoadWatchId(0))..=(id, LoadWatchId(u64::MAX));
        self.load_watches.range(all).next().copied()
    }

    fn set_health_watched(&mut self, id: SubchannelId, watched: bool) -> bool {
        let live = self.subchannels.get_mut(&id);
        live.is_some_and(|live| std::mem::replace(&mut live.health_watched, watched) != watched)
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("subchannels", &self.subchannels.len())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
