//! The bell that h2 rings when it is to be polled.
//!
//! ```text
//!   h2, its streams, the socket ── Bell's waker ──► rung ──┐
//!                                                          ├──► the connection's task
//!   the task itself: one more turn, to flush ──────────────┘
//! ```
//!
//! A connection's task runs for reasons of its own, too: above all a turn after h2 has written, to flush
//! what has gathered meanwhile. To poll h2 in such a turn, when nothing has happened for it, would cost as
//! much as a tenth of a short call. And much of what rings is the task's own doing: a server that answers a
//! call in its connection's task has h2 ask for a turn that the task is about to take anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// Wakes the task, and remembers that it was for h2.
#[derive(Debug)]
pub(crate) struct Bell {
    rope: Arc<Rope>,
    /// The rope's other shape: what h2 is polled with.
    waker: Waker,
}

#[derive(Debug)]
struct Rope {
    has_rung: AtomicBool,
    task: Waker,
}

impl Bell {
    /// A bell without a task.
    pub(crate) fn new() -> Self {
        Self::of(Waker::noop())
    }

    /// A new bell has rung: h2 does not know it yet.
    fn of(task: &Waker) -> Self {
        let rope = Arc::new(Rope {
            has_rung: AtomicBool::new(true),
            task: task.clone(),
        });
        Self {
            waker: Waker::from(Arc::clone(&rope)),
            rope,
        }
    }

    /// This task is polled. Says whether it is another one than before: the bell is then a new one.
    pub(crate) fn follow(&mut self, task: &Context<'_>) -> bool {
        let has_moved = !self.rope.task.will_wake(task.waker());
        if has_moved {
            *self = Self::of(task.waker());
        }
        has_moved
    }

    /// Whether it has rung since it was asked last: if so, h2 is to be polled in this turn of the task,
    /// with [`context`](Self::context).
    pub(crate) fn has_rung(&self) -> bool {
        self.rope.has_rung.swap(false, Ordering::AcqRel)
    }

    /// Rings without waking the task, which is at work and comes back by itself: until then nobody else need
    /// wake it.
    pub(crate) fn ring_at_work(&self) {
        self.rope.has_rung.store(true, Ordering::Release);
    }

    /// What h2, and whatever it waits for, is polled with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Once is enough: whoever rang before has woken the task, and it has not looked yet. It looks after it
        // has been woken, so this comes first.
        if !self.has_rung.swap(true, Ordering::AcqRel) {
            self.task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_turn_that_the_task_gives_itself_rings_no_bell() {
        let task = Waker::from(Arc::new(Task::default()));
        let cx = Context::from_waker(&task);
        let mut bell = Bell::new();
        assert!(
            bell.follow(&cx) && bell.has_rung(),
            "h2 is polled in the first turn"
        );
        task.wake_by_ref();
        assert!(!bell.has_rung());
        bell.context().waker().wake_by_ref();
        assert!(bell.has_rung());
        assert!(!bell.has_rung(), "once for each time");
    }

    #[test]
    fn the_bell_wakes_the_task() {
        let count = Arc::new(Task::default());
        let task = Waker::from(Arc::clone(&count));
        let mut bell = Bell::new();
        bell.follow(&Context::from_waker(&task));
        assert!(bell.has_rung());
        let kept_by_h2 = bell.context().waker().clone();
        kept_by_h2.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_task_that_has_not_looked_yet_is_not_woken_again() {
        let count = Arc::new(Task::default());
        let task = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&task);
        let mut bell = Bell::new();
        bell.follow(&cx);
        assert!(bell.has_rung());
        let ring = bell.context().waker().clone();
        ring.wake_by_ref();
        ring.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(bell.has_rung());
        bell.ring_at_work();
        ring.wake_by_ref();
        assert_eq!(
            count.0.load(Ordering::Relaxed),
            1,
            "it comes back by itself"
        );
        assert!(bell.has_rung());
        ring.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_task_that_moves_has_h2_polled_so_that_it_learns_of_the_new_bell() {
        let tasks = [(); 2].map(|()| Waker::from(Arc::new(Task::default())));
        let [here, there] = tasks.each_ref().map(Context::from_waker);
        let mut bell = Bell::new();
        for task in [here, there] {
            assert!(bell.follow(&task) && bell.has_rung());
            assert!(!bell.follow(&task) && !bell.has_rung());
        }
    }
}
