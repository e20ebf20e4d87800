//! Calls that wait for a stream on any of a subchannel's connections, first come first served (gRFC A105).
//!
//! ```text
//!   a call ── is there a free stream, the oldest connection's first? ── no, or others wait ──► the queue
//!
//!   queue    [ first ]   [ second ]   [ third ] …
//!                │ stands in the line of every connection; whoever comes to the front takes its places over
//!        ┌───────┼───────┐
//!        ▼       ▼       ▼
//!      gate    gate    gate       whichever has a stream first, serves it
//!
//!   the first finds none free, and there may be more connections ──► Crowded ──► the subchannel's task
//! ```
//!
//! Nobody overtakes: for as long as somebody waits here, the queue has a place in the line of each connection, and a
//! connection that somebody waits for gives its streams to nobody else.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use highball_transport::client::{Connection, NotOpened, Slot};

/// The calls that wait, and the connections that they wait for.
pub(crate) struct Queue {
    /// Guards who waits and what for. Held for a look or a change, never while anybody is woken.
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// Oldest first.
    connections: Vec<Member>,
    /// First come first.
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
    crowd: Crowd,
    /// The subchannel's task.
    task: Option<Waker>,
}

/// A connection, and the queue's place in the line for its streams.
struct Member {
    connection: Connection,
    place: Place,
}

/// Where the first of the queue stands.
enum Place {
    /// Nobody waits.
    None,
    Standing(Standing),
    /// A stream came free while one that was served made way for the next.
    Served(Slot),
}

type Standing = Pin<Box<dyn Future<Output = Result<Slot, NotOpened>> + Send>>;

struct Waiting {
    /// Higher than those of all who came before.
    ticket: u64,
    waker: Waker,
}

/// Whether another connection is wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Crowd {
    /// It could not be had: there are as many as may be, or an attempt is under way or has just failed.
    #[default]
    Useless,
    /// It could be had.
    Possible,
    /// It is wished for, and the task does not know yet.
    Told,
}

/// A connection, and the right to open a stream on it.
type Served = (Connection, Slot);

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::default(),
        }
    }

    /// Waits for a stream: on the oldest connection that has one, behind those who came before. Cancel-safe.
    /// `None` when there is no connection.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait {
            queue: self,
            ticket: None,
        }
    }

    /// The subchannel has these connections, oldest first, and would make another one if it is `growable`. Everybody
    /// is sent away if there is none; the first in line looks again in any case.
    pub(crate) fn update<'a>(
        &self,
        connections: impl Iterator<Item = &'a Connection>,
        growable: bool,
    ) {
        let mut line = self.line();
        let mut old = std::mem::take(&mut line.connections);
        line.connections = connections
            .map(|connection| {
                let place = old
                    .iter()
                    .position(|member| member.connection.is(connection));
                place.map_or_else(|| Member::new(connection.clone()), |at| old.swap_remove(at))
            })
            .collect();
        line.crowd = match growable {
            true => Crowd::Possible,
            false => Crowd::Useless,
        };
        let sent_away = line.send_away_unless_connected();
        let first = line.first();
        drop(line);
        // What is lost is let go of out of the lock: it wakes whoever waits for it elsewhere.
        drop(old);
        sent_away
            .into_iter()
            .map(|one| one.waker)
            .chain(first)
            .for_each(Waker::wake);
    }

    /// For the subchannel's task: ready when another connection is wished for.
    pub(crate) fn poll_crowded(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut line = self.line();
        if line.crowd == Crowd::Told {
            line.crowd = Crowd::Useless;
            return Poll::Ready(());
        }
        match &mut line.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.line().waiting.len()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        let connections = &self.line().connections;
        connections
            .iter()
            .map(|one| one.connection.clone())
            .collect()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Somebody comes: served at once, or with a ticket.
    fn come(&mut self, cx: &Context<'_>) -> Result<Served, u64> {
        if self.waiting.is_empty() {
            let free = |member: &Member| {
                let slot = member.connection.free_slot()?;
                Some((member.connection.clone(), slot))
            };
            if let Some(served) = self.connections.iter().find_map(free) {
                return Ok(served);
            }
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let waker = cx.waker().clone();
        self.waiting.push_back(Waiting { ticket, waker });
        Err(ticket)
    }

    /// Somebody who waits looks again. `None` for who has been sent away.
    fn look(&mut self, ticket: u64, cx: &mut Context<'_>) -> Poll<Option<Served>> {
        let Some(place) = self.place(ticket) else {
            return Poll::Ready(None);
        };
        if place == 0
            && let Some((at, slot)) = self.stand(cx)
        {
            let connection = self.connections[at].connection.clone();
            self.waiting.pop_front();
            if !self.waiting.is_empty() {
                // The next in line is here only when its task runs, but its place is.
                let mut nobody = Context::from_waker(Waker::noop());
                let member = &mut self.connections[at];
                if let Some(slot) = member.stand(&mut nobody) {
                    member.place = Place::Served(slot);
                }
            }
            return Poll::Ready(Some((connection, slot)));
        }
        self.waiting[place].waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// Stands in every line, the oldest connection's first. Returns where there was a stream, if anywhere.
    fn stand(&mut self, cx: &mut Context<'_>) -> Option<(usize, Slot)> {
        let mut members = self.connections.iter_mut().enumerate();
        members.find_map(|(at, member)| Some((at, member.stand(cx)?)))
    }

    /// The first in line wishes for another connection, where none has a stream. Returns whom to tell.
    fn wish(&mut self) -> Option<Waker> {
        let stands = |member: &Member| matches!(member.place, Place::Standing(_));
        // Where it cannot stand, the connection is lost: what is left is told by the next update.
        if self.crowd != Crowd::Possible || !self.connections.iter().all(stands) {
            return None;
        }
        self.crowd = Crowd::Told;
        self.task.take()
    }

    fn place(&self, ticket: u64) -> Option<usize> {
        let found = self.waiting.binary_search_by_key(&ticket, |one| one.ticket);
        found.ok()
    }

    fn first(&self) -> Option<Waker> {
        self.waiting.front().map(|first| first.waker.clone())
    }

    fn send_away_unless_connected(&mut self) -> VecDeque<Waiting> {
        match self.connections.is_empty() {
            true => std::mem::take(&mut self.waiting),
            false => VecDeque::new(),
        }
    }

    /// Gives up the places in all lines, once nobody waits here.
    fn give_up_places(&mut self) -> Vec<Place> {
        if !self.waiting.is_empty() {
            return Vec::new();
        }
        let places = self.connections.iter_mut();
        places
            .map(|member| std::mem::replace(&mut member.place, Place::None))
            .collect()
    }
}

impl Member {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            place: Place::None,
        }
    }

    /// Stands in the line for a stream, or takes it. A connection that takes no more streams has none; the
    /// subchannel's task is about to find that out.
    fn stand(&mut self, cx: &mut Context<'_>) -> Option<Slot> {
        let mut standing = match std::mem::replace(&mut self.place, Place::None) {
            Place::Served(slot) => return Some(slot),
            Place::Standing(standing) => standing,
            Place::None => {
                let connection = self.connection.clone();
                Box::pin(async move { connection.slot().await })
            }
        };
        match standing.as_mut().poll(cx) {
            Poll::Ready(slot) => slot.ok(),
            Poll::Pending => {
                self.place = Place::Standing(standing);
                None
            }
        }
    }
}

/// Waits for a stream of a [`Queue`]'s connections.
pub(crate) struct Wait<'a> {
    queue: &'a Queue,
    /// Has a place in the queue.
    ticket: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = Option<Served>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut line = self.queue.line();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None if line.connections.is_empty() => return Poll::Ready(None),
            None => match line.come(cx) {
                Ok(served) => return Poll::Ready(Some(served)),
                Err(ticket) => ticket,
            },
        };
        let polled = line.look(ticket, cx);
        let (task, next) = match &polled {
            Poll::Pending if line.place(ticket) == Some(0) => (line.wish(), None),
            Poll::Pending => (None, None),
            Poll::Ready(_) => (None, line.first()),
        };
        let places = line.give_up_places();
        drop(line);
        drop(places);
        self.ticket = polled.is_pending().then_some(ticket);
        task.into_iter().chain(next).for_each(Waker::wake);
        polled
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.queue.line();
        let place = line.place(ticket);
        let gone = place.and_then(|place| line.waiting.remove(place));
        let next = line.first().filter(|_| place == Some(0));
        let places = line.give_up_places();
        drop(line);
        drop((places, gone));
        next.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line();
        f.debug_struct("Queue")
            .field("connections", &line.connections.len())
            .field("waiting", &line.waiting.len())
            .field("crowd", &line.crowd)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use highball_core::Address;
    use highball_transport::client::{ClientOptions, connect};
    use highball_transport::{BoxIo, MemoryNetwork};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A connection on which one stream may be, and its server.
    async fn connection() -> (Connection, BoxIo) {
        let network = MemoryNetwork::new();
        let (address, options) = (Address::tcp("a:1"), ClientOptions::default());
        let mut listener = network.listen("a:1");
        let server = async {
            let mut io = listener.accept().await.expect("somebody connects");
            let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1];
            io.write_all(&settings).await.expect("somebody reads");
            io
        };
        let (connected, io) = tokio::join!(connect(&network, &address, &options), server);
        (connected.expect("there is a server").0, io)
    }

    /// A call, and how often it has been woken.
    struct Call<'a>(Wait<'a>, Arc<Wakes>);

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl<'a> Call<'a> {
        /// It comes, and waits.
        fn waiting(queue: &'a Queue) -> Self {
            let mut call = Self(queue.wait(), Arc::default());
            assert!(call.poll().is_pending());
            call
        }

        fn poll(&mut self) -> Poll<Option<Served>> {
            let waker = Waker::from(Arc::clone(&self.1));
            Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker))
        }

        fn wakes(&self) -> usize {
            self.1.0.load(Ordering::Relaxed)
        }

        /// The connection that it has a stream on.
        fn served(mut self) -> Served {
            let Poll::Ready(Some(served)) = self.poll() else {
                panic!("it still waits, or there is no connection")
            };
            served
        }
    }

    fn is_crowded(queue: &Queue) -> bool {
        let waker = Waker::noop();
        queue
            .poll_crowded(&mut Context::from_waker(waker))
            .is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_overtakes_who_is_on_the_way_to_a_new_connection() {
        let queue = Queue::new();
        let [(old, _first), (new, _second)] = [connection().await, connection().await];
        queue.update([&old].into_iter(), false);
        let _held = old.free_slot();
        let first = Call::waiting(&queue);
        queue.update([&old, &new].into_iter(), false);
        assert_eq!(first.wakes(), 1);
        let _late = Call::waiting(&queue);
        assert!(first.served().0.is(&new));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_called_and_gives_up_calls_the_next() {
        let (queue, (only, _server)) = (Queue::new(), connection().await);
        queue.update([&only].into_iter(), false);
        let held = only.free_slot();
        let [first, second] = [Call::waiting(&queue), Call::waiting(&queue)];
        drop(held);
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        drop(first);
        assert_eq!(second.wakes(), 1);
        let _served = second.served();
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_connection_is_wished_for_once_and_by_the_first_in_line() {
        let (queue, (only, _server)) = (Queue::new(), connection().await);
        queue.update([&only].into_iter(), true);
        let _held = only.free_slot();
        assert!(!is_crowded(&queue));
        let mut first = Call::waiting(&queue);
        assert!(is_crowded(&queue));
        assert!(first.poll().is_pending());
        assert!(!is_crowded(&queue), "it has been told");
        // Had the first a stream by now, the second would not need another connection.
        queue.update([&only].into_iter(), true);
        let _second = Call::waiting(&queue);
        assert!(!is_crowded(&queue));
        assert!(first.poll().is_pending());
        assert!(is_crowded(&queue));
    }

    /// Many calls on few streams, callers that give up, and a connection that comes and goes.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn threads_lose_no_call_and_no_stream() {
        let queue = Arc::new(Queue::new());
        let [(one, _one), (two, _two), (three, _three)] =
            [connection().await, connection().await, connection().await];
        let all = [one, two, three];
        queue.update(all.iter(), false);
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16_usize {
            let (queue, all) = (Arc::clone(&queue), all.clone());
            tasks.spawn(async move {
                for turn in 0..200 {
                    tokio::select! {
                        biased;
                        () = tokio::task::yield_now(), if (task + turn) % 3 == 0 => {}
                        served = queue.wait() => {
                            let _served = served.expect("there is always a connection");
                            tokio::task::yield_now().await;
                        }
                    }
                    if task == 0 {
                        queue.update(all[turn % 2..].iter(), true);
                    }
                }
            });
        }
        let done = tokio::time::timeout(std::time::Duration::from_secs(60), tasks.join_all());
        done.await.expect("nobody waits in vain");
        assert_eq!(queue.len(), 0);
        assert!(all.iter().all(|one| one.streams() == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_wished_for_while_the_news_of_a_loss_is_on_the_way() {
        let (queue, (lost, _server)) = (Queue::new(), connection().await);
        queue.update([&lost].into_iter(), true);
        lost.drain();
        let mut call = Call::waiting(&queue);
        assert!(!is_crowded(&queue));
        queue.update([].into_iter(), false);
        assert!(matches!(call.poll(), Poll::Ready(None)));
    }
}
