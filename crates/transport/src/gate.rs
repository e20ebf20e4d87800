//! The stream gate: how many streams may be open on a connection, and who is next.
//!
//! h2 takes any number of requests and queues those above the peer's limit without bound, opens them even
//! after a GOAWAY, and cannot tell them from requests in flight when the connection dies. So nobody gets
//! to h2 without a slot from here, and whoever waits here has nothing on the wire.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, TryAcquireError};

/// Hands out slots, first come first served, as many as the peer's MAX_CONCURRENT_STREAMS at a time.
#[derive(Debug)]
pub(crate) struct StreamGate {
    /// The free slots.
    free: Semaphore,
    /// Guards the count of free slots against a change of the limit amid another.
    tally: Mutex<Tally>,
}

#[derive(Debug)]
struct Tally {
    limit: usize,
    /// Slots that a lower limit took from their holders: they vanish when they come back.
    owed: usize,
    /// Slots that are held.
    held: usize,
}

/// The gate is closed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateClosed;

impl StreamGate {
    pub(crate) fn new(limit: u32) -> Self {
        let limit = clamp(limit);
        Self {
            free: Semaphore::new(limit),
            tally: Mutex::new(Tally {
                limit,
                owed: 0,
                held: 0,
            }),
        }
    }

    /// Waits for a slot. Cancel-safe: a slot that nobody waits for any more goes to the next in line.
    pub(crate) async fn enter(&self) -> Result<(), GateClosed> {
        loop {
            let permit = match self.free.try_acquire() {
                // Nobody is overtaken: while somebody waits, no slot is free.
                Ok(permit) => permit,
                Err(TryAcquireError::NoPermits) => {
                    self.free.acquire().await.map_err(|_| GateClosed)?
                }
                Err(TryAcquireError::Closed) => return Err(GateClosed),
            };
            permit.forget();
            let mut tally = self.tally();
            if tally.owed == 0 {
                tally.held += 1;
                return Ok(());
            }
            // It was on its way to somebody when the limit fell.
            tally.owed -= 1;
        }
    }

    /// Gives a slot back. Returns how many are still held.
    pub(crate) fn leave(&self) -> usize {
        let mut tally = self.tally();
        tally.held -= 1;
        if tally.owed > 0 {
            tally.owed -= 1;
        } else {
            self.free.add_permits(1);
        }
        tally.held
    }

    /// The peer has another limit now. Streams that are open stay open.
    pub(crate) fn resize(&self, limit: u32) {
        let limit = clamp(limit);
        let mut tally = self.tally();
        if let Some(more) = limit.checked_sub(tally.limit) {
            let paid = more.min(tally.owed);
            tally.owed -= paid;
            self.free.add_permits(more - paid);
        } else {
            let fewer = tally.limit - limit;
            tally.owed += fewer - self.free.forget_permits(fewer);
        }
        tally.limit = limit;
    }

    /// Sends everybody away who waits or comes later. Slots that are held stay good.
    pub(crate) fn close(&self) {
        self.free.close();
    }

    /// How many slots are held.
    pub(crate) fn held(&self) -> usize {
        self.tally().held
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clamp(limit: u32) -> usize {
    (limit as usize).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

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
        assert_eq!(
            gate.free.available_permits(),
            limit as usize,
            "none is lost"
        );
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
    fn no_limit_is_a_limit() {
        let gate = StreamGate::new(u32::MAX);
        gate.resize(1);
        gate.resize(u32::MAX);
        assert_eq!(gate.free.available_permits(), clamp(u32::MAX));
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
        assert_eq!(gate.free.available_permits(), 3);
    }
}
