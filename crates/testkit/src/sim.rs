//! Drives a tree of policies by hand and writes down everything that it asks for.
//!
//! The simulator stands where a channel's driver stands: it holds the real [`Tree`], applies its commands
//! to subchannels and timers that exist only as names, and tells the tree what you say became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use highball_balancer::{
    CallInfo, Choice, Command, Event, HealthState, LbState, LoadWatchId, Outcome, Path, Pick,
    SubchannelId, SubchannelState, TimerId, Tree, Wake,
};
use highball_core::{Address, Attributes, Endpoint, LoadReport, MetadataMap, Status};

/// A channel with everything left out but the policies.
///
/// Subchannels are called by their address; a second living one of the same address has a `'` behind it.
/// Once told to connect, a subchannel is CONNECTING by itself, as a real one; anything further is up to
/// the test. A step that no real subchannel can take panics.
///
/// ```
/// use highball_balancer::{Registry, SubchannelState};
/// use highball_testkit::Sim;
///
/// let registry = Registry::builtin();
/// let mut sim = Sim::new(0);
/// sim.resolve(&registry.default_choice(), ["a:1"]);
/// sim.subchannel("a:1", SubchannelState::Ready);
/// assert_eq!(sim.pick(2), ["a:1", "a:1"]);
/// assert_eq!(
///     sim.take_log(),
///     "  create a:1 for [0]\n  connect a:1\n  publish CONNECTING\n  publish READY\n  a:1 a:1\n"
/// );
/// ```
pub struct Sim {
    tree: Tree,
    now: Instant,
    subchannels: BTreeMap<SubchannelId, Simulated>,
    timers: BTreeMap<TimerId, (Instant, Path)>,
    /// Who watches the load of which subchannel.
    load_watches: BTreeMap<LoadWatchId, (Path, SubchannelId)>,
    /// Told to connect in this turn.
    connecting: Vec<SubchannelId>,
    wakes: mpsc::Receiver<Path>,
    state: Option<LbState>,
    log: String,
}

/// A subchannel that exists only as a name.
struct Simulated {
    label: String,
    owner: Path,
    state: SubchannelState,
}

/// Wakes arrive here, from whatever thread picks.
struct Inbox(mpsc::Sender<Path>);

impl Wake for Inbox {
    fn wake(&self, owner: Path) {
        // A simulator that is gone has nobody to wake.
        let _ = self.0.send(owner);
    }
}

impl Sim {
    /// A channel whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let (sender, wakes) = mpsc::channel();
        Self {
            tree: Tree::new(seed, Arc::new(Inbox(sender))),
            now: Instant::now(),
            subchannels: BTreeMap::new(),
            timers: BTreeMap::new(),
            load_watches: BTreeMap::new(),
            connecting: Vec::new(),
            wakes,
            state: None,
            log: String::new(),
        }
    }

    /// The resolver sends these endpoints. Returns whether they were taken.
    pub fn resolve<E: Into<Endpoint>>(
        &mut self,
        choice: &Choice,
        endpoints: impl IntoIterator<Item = E>,
    ) -> bool {
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        let result = self
            .tree
            .update(self.now, choice, endpoints, Attributes::default());
        self.settle();
        if let Err(rejected) = &result {
            self.line(format_args!("rejected {}", rejected.0));
        }
        result.is_ok()
    }

    /// The resolver fails.
    pub fn fail_resolution(&mut self, status: Status) {
        self.event(&Path::root(), Event::ResolutionFailed(status));
    }

    /// The application wants a connection.
    pub fn exit_idle(&mut self) {
        self.event(&Path::root(), Event::ExitIdle);
    }

    /// A subchannel changes its state.
    pub fn subchannel(&mut self, label: &str, state: SubchannelState) {
        let id = self.id(label);
        self.report(id, state);
        self.settle();
    }

    /// A subchannel changes its health.
    pub fn health(&mut self, label: &str, state: HealthState) {
        let id = self.id(label);
        let owner = self.subchannels[&id].owner.clone();
        self.event(&owner, Event::Health { id, state });
    }

    /// A server says how loaded it is, to all who watch it.
    pub fn load(&mut self, label: &str, report: LoadReport) {
        let (id, report) = (self.id(label), Arc::new(report));
        let watches = self.load_watches.clone().into_iter();
        for (watch, (owner, _)) in watches.filter(|(_, (_, watched))| *watched == id) {
            let report = report.clone();
            self.event(&owner, Event::Load { id, watch, report });
        }
    }

    /// Goes to the time of the timer that is due first, and fires it. Returns whether there was one.
    pub fn timer(&mut self) -> bool {
        let first = self.timers.iter().min_by_key(|(id, (due, _))| (*due, **id));
        let Some((id, (due, owner))) = first.map(|(id, timer)| (*id, timer.clone())) else {
            return false;
        };
        self.timers.remove(&id);
        self.now = self.now.max(due);
        self.event(&owner, Event::Timer(id));
        true
    }

    /// Lets time pass, and fires what becomes due.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.timers.values().any(|(due, _)| *due <= end) {
            self.timer();
        }
        self.now = end;
    }

    /// Places calls and drops them; tells where each would have gone.
    pub fn pick(&mut self, calls: usize) -> Vec<String> {
        self.place(calls, None)
    }

    /// Places calls that end like this; tells where each went.
    pub fn call(&mut self, calls: usize, result: &Result<(), Status>) -> Vec<String> {
        self.place(calls, Some(result))
    }

    /// What the tree published last.
    pub fn state(&self) -> Option<&LbState> {
        self.state.as_ref()
    }

    /// The tree's own account of itself.
    pub fn dump(&self) -> String {
        self.tree.dump()
    }

    /// The names of the subchannels that are alive, in the order in which they were made.
    pub fn subchannels(&self) -> Vec<&str> {
        let live = self.subchannels.values();
        live.map(|subchannel| subchannel.label.as_str()).collect()
    }

    /// What a living subchannel is in.
    pub fn state_of(&self, label: &str) -> &SubchannelState {
        &self.subchannels[&self.id(label)].state
    }

    /// How many timers are set.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// What has happened since this was last asked, a line each.
    pub fn take_log(&mut self) -> String {
        std::mem::take(&mut self.log)
    }

    fn place(&mut self, calls: usize, result: Option<&Result<(), Status>>) -> Vec<String> {
        let picker = self.state.as_ref().map(|state| state.picker.clone());
        let metadata = MetadataMap::new();
        let call = CallInfo::new("/echo.Echo/Call", &metadata);
        let picks = (0..calls).map(|_| match picker.as_ref().map(|picker| picker.pick(&call)) {
            None | Some(Pick::Wait) => "wait".to_owned(),
            Some(Pick::Fail(status)) => format!("fail {status}"),
            Some(Pick::Drop(status)) => format!("drop {status}"),
            Some(Pick::Use(selection)) => {
                if let (Some(done), Some(result)) = (selection.done, result) {
                    done.fire(Outcome::ended(result.clone()));
                }
                self.label(selection.subchannel)
            }
        });
        let picks: Vec<String> = picks.collect();
        let in_words = picks.iter().any(|pick| pick.contains(' '));
        self.line(format_args!(
            "{}",
            picks.join(if in_words { "\n  " } else { " " })
        ));
        self.deliver_wakes();
        picks
    }

    fn deliver_wakes(&mut self) {
        while let Ok(owner) = self.wakes.try_recv() {
            self.line(format_args!("wake {owner}"));
            self.event(&owner, Event::Woken);
        }
    }

    fn event(&mut self, to: &Path, event: Event) {
        self.tree.event(self.now, to, event);
        self.settle();
    }

    /// Ends the turn, and those that follow from it by themselves.
    fn settle(&mut self) {
        loop {
            let published = self.tree.take_published();
            for command in self.tree.take_commands() {
                self.apply(command);
            }
            if let Some(state) = published {
                self.line(format_args!("publish {}", state.connectivity));
                self.state = Some(state);
            }
            if self.connecting.is_empty() {
                return;
            }
            for id in std::mem::take(&mut self.connecting) {
                if self.subchannels.contains_key(&id) {
                    self.report(id, SubchannelState::Connecting);
                }
            }
        }
    }

    fn report(&mut self, id: SubchannelId, new: SubchannelState) {
        let Some(subchannel) = self.subchannels.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut subchannel.state, new.clone());
        let label = &subchannel.label;
        assert!(
            is_possible(&old, &new),
            "{label} cannot go from {old} to {new}"
        );
        let owner = subchannel.owner.clone();
        self.tree
            .event(self.now, &owner, Event::Subchannel { id, state: new });
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Create { id, owner, address } => self.create(id, owner, &address),
            Command::Connect(id) => self.connect(id),
            Command::Shutdown(id) => {
                self.line(format_args!("shutdown {}", self.label(id)));
                self.subchannels.remove(&id);
                self.load_watches.retain(|_, (_, watched)| *watched != id);
            }
            Command::SetTimer { id, owner, after } => {
                self.line(format_args!("timer {after:?}"));
                self.timers.insert(id, (self.now + after, owner));
            }
            Command::CancelTimer(id) => {
                self.timers.remove(&id);
                self.line(format_args!("cancel timer"));
            }
            Command::WatchHealth(id) => {
                self.line(format_args!("watch health of {}", self.label(id)));
            }
            Command::UnwatchHealth(id) => {
                self.line(format_args!("unwatch health of {}", self.label(id)));
            }
            Command::WatchLoad {
                id,
                owner,
                subchannel,
                interval,
            } => {
                let label = self.label(subchannel);
                self.line(format_args!("watch load of {label} every {interval:?}"));
                self.load_watches.insert(id, (owner, subchannel));
            }
            Command::UnwatchLoad { id, subchannel } => {
                if self.load_watches.remove(&id).is_some() {
                    self.line(format_args!("unwatch load of {}", self.label(subchannel)));
                }
            }
            Command::Resolve => self.line(format_args!("re-resolve")),
        }
    }

    fn create(&mut self, id: SubchannelId, owner: Path, address: &Address) {
        let taken: BTreeSet<_> = self.subchannels.values().map(|s| s.label.clone()).collect();
        let mut label = address.to_string();
        while taken.contains(&label) {
            label.push('\'');
        }
        self.line(format_args!("create {label} for {owner}"));
        let state = SubchannelState::Idle;
        self.subchannels.insert(
            id,
            Simulated {
                label,
                owner,
                state,
            },
        );
    }

    fn connect(&mut self, id: SubchannelId) {
        self.line(format_args!("connect {}", self.label(id)));
        let subchannel = self.subchannels.get(&id);
        if subchannel.is_some_and(|s| s.state == SubchannelState::Idle) {
            self.connecting.push(id);
        }
    }

    fn id(&self, label: &str) -> SubchannelId {
        let mut live = self.subchannels.iter();
        let found = live.find(|(_, subchannel)| subchannel.label == label);
        *found
            .unwrap_or_else(|| panic!("no living subchannel is called {label}"))
            .0
    }

    fn label(&self, id: SubchannelId) -> String {
        let subchannel = self.subchannels.get(&id);
        subchannel.map_or_else(|| format!("{id} (gone)"), |s| s.label.clone())
    }

    /// Indented: what a step led to.
    fn line(&mut self, text: fmt::Arguments<'_>) {
        writeln!(self.log, "  {text}").expect("writing to a String cannot fail");
    }
}

/// The steps of a subchannel. From READY, those of gRFC A105 too.
fn is_possible(old: &SubchannelState, new: &SubchannelState) -> bool {
    use SubchannelState::{Connecting, Idle, Ready, TransientFailure};
    matches!(
        (old, new),
        (Idle, Connecting)
            | (Connecting, Ready | TransientFailure(_) | Idle)
            | (Ready, Idle | Connecting | TransientFailure(_))
            | (TransientFailure(_), Idle)
    )
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tree.fmt(f)
    }
}
