//! How many calls are answered before the answers leave.
//!
//! ```text
//!   client   ░░░░░░░░ ▓▓▓▓▓▓▓▓ ░░░░░░░░          client   ░░░░ ▓▓▓▓ ▓▓▓▓ ▓▓▓▓
//!   server   ▓▓▓▓▓▓▓▓ ░░░░░░░░ ▓▓▓▓▓▓▓▓          server   ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ ▓▓▓▓
//!            all answers in one write                     half of them in each
//! ```
//!
//! A client with many calls on one connection sends what it has to say in one burst, and falls silent until it is
//! answered. Were all answers to leave in one write, each end would wait while the other works. So they leave in
//! portions, of half of what has come in a burst of late: the first keeps the client at work while the server is at
//! the second. From then on both have work, and a burst is no more than a portion. Smaller ones would only cost more
//! writes, each of which is a system call at both ends and wakes the client.
//!
//! A server that has other connections to work for in the meantime does not wait, and writes once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

/// After how many bursts a larger one begins to be forgotten; after as many more it is.
const MEMORY: u32 = 32;

/// Which of a server's connections has been at work last.
#[derive(Clone, Debug, Default)]
pub(super) struct Rota(Arc<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// How many connections there have been.
    count: AtomicU32,
    /// The number of one of them.
    last_at_work: AtomicU32,
}

impl Rota {
    /// The connection of this number is at work. Says whether another one was before it.
    fn takes_over(&self, number: u32) -> bool {
        self.0.last_at_work.swap(number, Ordering::Relaxed) != number
    }
}

/// Counts the calls of bursts, which are read together, and of portions, which are written together.
#[derive(Debug)]
pub(super) struct Portions {
    rota: Rota,
    /// The number of this connection there.
    number: u32,
    /// When the burst under way was read.
    read: Option<Instant>,
    /// How many of its calls have come.
    burst: u32,
    /// Is written as a whole.
    is_whole: bool,
    /// The largest burst of late, and the largest of those before.
    largest: [u32; 2],
    /// How many bursts there have been of late.
    bursts: u32,
    /// How many calls have come since the last write.
    portion: u32,
    /// How many are to come between two writes.
    size: u32,
}

impl Portions {
    pub(super) fn new(rota: &Rota) -> Self {
        Self {
            number: rota.0.count.fetch_add(1, Ordering::Relaxed),
            rota: rota.clone(),
            read: None,
            burst: 0,
            is_whole: false,
            largest: [0; 2],
            bursts: 0,
            portion: 0,
            size: 1,
        }
    }

    /// A call comes, which was read at that time. Says whether what was answered before it is to be written now.
    pub(super) fn call_comes(&mut self, read: Instant) -> bool {
        if self.read.replace(read) != Some(read) {
            self.burst_ends();
        }
        if self.burst == 1 {
            self.is_whole = self.rota.takes_over(self.number);
        }
        let is_full = self.portion >= self.size && !self.is_whole;
        if is_full {
            self.portion_ends();
        }
        self.burst += 1;
        self.portion += 1;
        is_full
    }

    /// There are no more calls at the moment, and all answers have been written.
    pub(super) fn turn_ends(&mut self) {
        self.burst_ends();
        self.portion_ends();
    }

    /// In a burst that is larger than those before, each portion is as large as all of its portions so far.
    fn portion_ends(&mut self) {
        let [late, before] = self.largest;
        self.size = late.max(before).div_ceil(2).max(self.burst).max(1);
        self.portion = 0;
    }

    fn burst_ends(&mut self) {
        if self.burst == 0 {
            return;
        }
        self.largest[0] = self.largest[0].max(self.burst);
        self.burst = 0;
        self.bursts += 1;
        if self.bursts == MEMORY {
            self.largest = [0, self.largest[0]];
            self.bursts = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A burst of so many calls that is read now: before which of them there is a write.
    async fn burst(portions: &mut Portions, calls: u32) -> Vec<u32> {
        tokio::time::advance(Duration::from_micros(1)).await;
        let read = Instant::now();
        let due = (1..=calls).filter(|_| portions.call_comes(read)).collect();
        portions.turn_ends();
        due
    }

    async fn rig() -> [Portions; 2] {
        let rota = Rota::default();
        let mut portions = [(); 2].map(|()| Portions::new(&rota));
        burst(&mut portions[0], 2).await;
        portions
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_a_burst_leaves_in_two_portions() {
        let [mut portions, _] = rig().await;
        burst(&mut portions, 100).await;
        assert_eq!(burst(&mut portions, 100).await, [51]);
        assert!(burst(&mut portions, 50).await.is_empty());
        assert_eq!(burst(&mut portions, 51).await, [51]);
    }

    #[tokio::test(start_paused = true)]
    async fn two_bursts_that_came_while_the_server_was_at_work_leave_by_portions() {
        let [mut portions, _] = rig().await;
        burst(&mut portions, 100).await;
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_micros(1));
        let reads = [[first; 50], [second; 50]].concat();
        let due: Vec<_> = reads
            .into_iter()
            .map(|read| portions.call_comes(read))
            .collect();
        assert_eq!(due.iter().position(|is_due| *is_due), Some(50));
        assert_eq!(due.iter().filter(|is_due| **is_due).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn portions_grow_in_a_burst_that_is_larger_than_those_before() {
        let [mut portions, _] = rig().await;
        let due = burst(&mut portions, 100).await;
        assert_eq!(due, [2, 3, 5, 9, 17, 33, 65]);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bursts_are_forgotten_in_time() {
        let [mut portions, _] = rig().await;
        burst(&mut portions, 100).await;
        for _ in 0..2 * MEMORY {
            burst(&mut portions, 8).await;
        }
        assert_eq!(burst(&mut portions, 8).await, [5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_works_for_others_in_turn_writes_once() {
        let [mut one, mut other] = rig().await;
        for _ in 0..3 {
            assert!(burst(&mut other, 9).await.is_empty());
            assert!(burst(&mut one, 9).await.is_empty());
        }
        assert_eq!(burst(&mut one, 9).await, [6]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_come_one_by_one_are_no_work() {
        let [mut one, mut other] = rig().await;
        burst(&mut one, 8).await;
        for _ in 0..3 {
            assert!(burst(&mut other, 1).await.is_empty());
            assert_eq!(burst(&mut one, 8).await, [5]);
        }
    }
}
