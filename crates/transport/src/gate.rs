//! The stream gate: how many streams may be open on a connection, and who is next.
//!
//! h2 takes any number of requests and queues those above the peer's limit without bound, opens them even
//! after a GOAWAY, and cannot tell them from requests in flight when the connection dies. So nobody gets
//! to h2 without a slot from here, and whoever waits here has nothing on the wire.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Hands out slots, first come first served, as many as the peer's MAX_CONCURRENT_STREAMS at a time.
#[derive(Debug)]
pub(crate) struct StreamGate {
    /// Guards who is in and who waits. Held for a look or a change, never while anybody is woken.
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    limit: usize,
    /// Slots that are held; more than the limit where that has fallen.
    held: usize,
    is_closed: bool,
    /// Those who wait, first come first.
    waiting: VecDeque<Waiting>,
    /// How many of them, from the first on, have been told that there is a slot, and have not yet taken it.
    called: usize,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    /// Higher than those of all who came before.
    ticket: u64,
    waker: Waker,
}

/// The gate is closed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateClosed;

impl StreamGate {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            line: Mutex::new(Line {
                limit: limit as usize,
                held: 0,
                is_closed: false,
                waiting: VecDeque::new(),
                called: 0,
                next_ticket: 0,
            }),
        }
    }

    /// Takes a slot that is free, if nobody waits for it.
    pub(crate) fn try_enter(&self) -> bool {
        let mut line = self.line();
        !line.is_closed && line.step_in()
    }

    /// Waits for a slot. Cancel-safe: a slot that nobody waits for any more goes to the next in line.
    pub(crate) fn enter(&self) -> Enter<'_> {
        Enter {
            gate: self,
            ticket: None,
        }
    }

    /// Gives a slot back. Returns how many are still held.
    pub(crate) fn leave(&self) -> usize {
        let mut line = self.line();
        line.held -= 1;
        let held = line.held;
        let next = line.call();
        drop(line);
        next.into_iter().for_each(Waker::wake);
        held
    }

    /// The peer has another limit now. Streams that are open stay open.
    pub(crate) fn resize(&self, limit: u32) {
        let mut line = self.line();
        line.limit = limit as usize;
        // Who was called in vain is called again.
        line.called = line.called.min(line.free());
        drop(line);
        self.call_all();
    }

    /// Sends everybody away who waits or comes later. Slots that are held stay good.
    pub(crate) fn close(&self) {
        let mut line = self.line();
        line.is_closed = true;
        line.called = 0;
        let waiting = std::mem::take(&mut line.waiting);
        drop(line);
        waiting.into_iter().for_each(|one| one.waker.wake());
    }

    /// Wakes everybody who waits, without a slot for them.
    pub(crate) fn rouse(&self) {
        let wakers: Vec<_> = self
            .line()
            .waiting
            .iter()
            .map(|one| one.waker.clone())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many slots there are, held or not.
    pub(crate) fn limit(&self) -> usize {
        self.line().limit
    }

    /// How many slots are held.
    pub(crate) fn held(&self) -> usize {
        self.line().held
    }

    /// Calls as many as there are slots.
    fn call_all(&self) {
        loop {
            let next = self.line().call();
            let Some(next) = next else { return };
            next.wake();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn free(&self) -> usize {
        self.limit.saturating_sub(self.held)
    }

    /// Whom to wake, if there is a slot for one more than have been called.
    fn call(&mut self) -> Option<Waker> {
        if self.called >= self.free() {
            return None;
        }
        let next = self.waiting.get(self.called)?;
        self.called += 1;
        Some(next.waker.clone())
    }

    /// Somebody comes: in at once if there is a slot and nobody waits for it.
    fn step_in(&mut self) -> bool {
        let is_in = self.waiting.is_empty() && self.free() > 0;
        if is_in {
            self.held += 1;
        }
        is_in
    }

    /// Somebody comes who waits if need be, with this ticket.
    fn come(&mut self, cx: &Context<'_>) -> Result<(), u64> {
        if self.step_in() {
            return Ok(());
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back(Waiting {
            ticket,
            waker: cx.waker().clone(),
        });
        Err(ticket)
    }

    /// Somebody who waits looks again: in if there are slots for all up to here.
    fn look(&mut self, ticket: u64, cx: &Context<'_>) -> Poll<Result<(), GateClosed>> {
        let Some(place) = self.place(ticket) else {
            return Poll::Ready(Err(GateClosed));
        };
        if place < self.free() {
            self.step_out(place);
            self.held += 1;
            return Poll::Ready(Ok(()));
        }
        self.waiting[place].waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// The place in the line. Nobody is gone from it but with a slot, or when the gate has closed.
    fn place(&self, ticket: u64) -> Option<usize> {
        // Who looks again has been called, and so is among the first.
        if self.waiting.front()?.ticket == ticket {
            return Some(0);
        }
        let found = self.waiting.binary_search_by_key(&ticket, |one| one.ticket);
        found.ok()
    }

    fn step_out(&mut self, place: usize) {
        self.waiting.remove(place);
        if place < self.called {
            self.called -= 1;
        }
    }
}

/// Waits for a slot of a [`StreamGate`].
#[derive(Debug)]
pub(crate) struct Enter<'a> {
    gate: &'a StreamGate,
    /// Has a place in the line.
    ticket: Option<u64>,
}

impl Future for Enter<'_> {
    type Output = Result<(), GateClosed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut line = self.gate.line();
        if line.is_closed {
            return Poll::Ready(Err(GateClosed));
        }
        let polled = match self.ticket {
            Some(ticket) => line.look(ticket, cx),
            None => match line.come(cx) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(ticket) => {
                    drop(line);
                    self.ticket = Some(ticket);
                    return Poll::Pending;
                }
            },
        };
        drop(line);
        if polled.is_ready() {
            self.ticket = None;
        }
        polled
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.gate.line();
        if let Some(place) = line.place(ticket) {
            line.step_out(place);
        }
        drop(line);
        self.gate.call_all();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<(), GateClosed>> + 'a>>;

    fn poll(entering: &mut Entering<'_>) -> Poll<Result<(), GateClosed>> {
        entering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Come,
        /// The waiter at this place in the line gives up.
        GiveUp(usize),
        Leave,
        Resize(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Come),
            2 => (0..8_usize).prop_map(Step::GiveUp),
            4 => Just(Step::Leave),
            2 => (0..6_u32).prop_map(Step::Resize),
        ]
    }

    /// Runs a script beside the simplest model: a line, a limit, a count. In the end every slot can be
    /// had again.
    fn run(limit: u32, script: &[Step]) {
        let gate = StreamGate::new(limit);
        let (mut limit, mut held) = (limit, 0_u32);
        let mut line: VecDeque<Entering<'_>> = VecDeque::new();
        for step in script {
            match step {
                Step::Come => {
                    let mut entering: Entering<'_> = Box::pin(gate.enter());
                    if poll(&mut entering).is_ready() {
                        assert!(line.is_empty(), "nobody overtakes");
                        held += 1;
                    } else {
                        line.push_back(entering);
                    }
                }
                Step::GiveUp(place) if *place < line.len() => drop(line.remove(*place)),
                Step::GiveUp(_) => {}
                Step::Leave if held > 0 => {
                    held -= 1;
                    assert_eq!(gate.leave(), held as usize);
                }
                Step::Leave => {}
                Step::Resize(new) => {
                    limit = *new;
                    gate.resize(limit);
                }
            }
            while held < limit && !line.is_empty() {
                let first = poll(&mut line[0]);
                assert_eq!(first, Poll::Ready(Ok(())), "the first in line is let in");
                line.pop_front();
                held += 1;
            }
            for waiting in &mut line {
                assert!(poll(waiting).is_pending(), "over the limit of {limit}");
            }
        }
        line.clear();
        for left in (0..held).rev() {
            assert_eq!(gate.leave(), left as usize);
        }
        assert_eq!(gate.line().free(), limit as usize, "none is lost");
        gate.close();
        let mut late: Entering<'_> = Box::pin(gate.enter());
        assert_eq!(poll(&mut late), Poll::Ready(Err(GateClosed)));
    }

    #[test]
    fn every_interleaving_of_six_steps_keeps_the_limit_the_order_and_the_slots() {
        let steps = [
            Step::Come,
            Step::GiveUp(0),
            Step::Leave,
            Step::Resize(0),
            Step::Resize(1),
            Step::Resize(2),
        ];
        let mut script = vec![Step::Come; 6];
        for number in 0..steps.len().pow(6) {
            let mut rest = number;
            for place in &mut script {
                *place = steps[rest % steps.len()].clone();
                rest /= steps.len();
            }
            run(1, &script);
        }
    }

    #[test]
    fn a_slot_that_was_on_its_way_when_the_limit_fell_lets_nobody_in() {
        let gate = StreamGate::new(1);
        assert!(poll(&mut (Box::pin(gate.enter()) as Entering<'_>)).is_ready());
        let mut next: Entering<'_> = Box::pin(gate.enter());
        assert!(poll(&mut next).is_pending());
        gate.leave();
        gate.resize(0);
        assert!(poll(&mut next).is_pending());
        gate.resize(1);
        assert!(poll(&mut next).is_ready());
    }

    #[test]
    fn as_many_are_called_as_there_are_slots() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        use std::task::Wake;

        #[derive(Default)]
        struct Calls(AtomicUsize);
        impl Wake for Calls {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let gate = StreamGate::new(0);
        let calls: [Arc<Calls>; 4] = Default::default();
        let mut line: Vec<Entering<'_>> = Vec::new();
        for called in &calls {
            let mut entering: Entering<'_> = Box::pin(gate.enter());
            let waker = Waker::from(Arc::clone(called));
            let polled = entering.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            line.push(entering);
        }
        let called = || calls.each_ref().map(|one| one.0.load(Ordering::Relaxed));
        gate.resize(2);
        assert_eq!(called(), [1, 1, 0, 0]);
        drop(line.remove(0));
        assert_eq!(called(), [1, 1, 1, 0], "another comes in its place");
        assert!(poll(&mut line[0]).is_ready());
        assert!(poll(&mut line[2]).is_pending());
        gate.leave();
        assert!(poll(&mut line[1]).is_ready());
        assert!(poll(&mut line[2]).is_ready());
    }

    #[test]
    fn waiting_ends_when_the_gate_closes() {
        let gate = StreamGate::new(0);
        let mut waiting: Entering<'_> = Box::pin(gate.enter());
        assert!(poll(&mut waiting).is_pending());
        gate.close();
        assert_eq!(poll(&mut waiting), Poll::Ready(Err(GateClosed)));
        gate.resize(5);
        assert!(poll(&mut (Box::pin(gate.enter()) as Entering<'_>)).is_ready());
    }

    #[test]
    fn who_is_roused_without_a_slot_keeps_the_place_in_the_line() {
        let gate = StreamGate::new(0);
        let mut line: [Entering<'_>; 2] = [Box::pin(gate.enter()), Box::pin(gate.enter())];
        assert!(line.iter_mut().all(|one| poll(one).is_pending()));
        gate.rouse();
        assert!(line.iter_mut().all(|one| poll(one).is_pending()));
        gate.resize(1);
        assert!(poll(&mut line[1]).is_pending());
        assert!(poll(&mut line[0]).is_ready());
    }

    #[test]
    fn no_limit_is_a_limit() {
        let gate = StreamGate::new(u32::MAX);
        gate.resize(1);
        gate.resize(u32::MAX);
        assert_eq!(gate.line().free(), u32::MAX as usize);
    }

    proptest! {
        #[test]
        fn long_scripts_too(limit in 0..5_u32, script in prop::collection::vec(step(), 0..200)) {
            run(limit, &script);
        }
    }

    /// The same under real concurrency: many tasks, a limit that moves, waiters that give up.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn threads_lose_no_slot() {
        let gate = std::sync::Arc::new(StreamGate::new(3));
        let mut tasks = Vec::new();
        for task in 0..16_u32 {
            let gate = std::sync::Arc::clone(&gate);
            tasks.push(tokio::spawn(async move {
                for turn in 0..300_u32 {
                    let entering = gate.enter();
                    tokio::select! {
                        biased;
                        () = tokio::task::yield_now(), if (task + turn) % 3 == 0 => {}
                        entered = entering => {
                            entered.unwrap();
                            tokio::task::yield_now().await;
                            gate.leave();
                        }
                    }
                    if task == 0 {
                        gate.resize(1 + turn % 4);
                    }
                }
                gate.resize(3);
            }));
        }
        gate.resize(3);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(gate.held(), 0);
        assert_eq!(gate.line().free(), 3);
    }
}
