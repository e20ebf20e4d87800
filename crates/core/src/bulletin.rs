//! What one party says to many: the latest word, and who waits for another.
//!
//! ```text
//!   change(word) ──► [ the latest ] ──► wait_for(what one needs to hear), any number of tasks
//! ```
//!
//! Words in between may go unheard. It holds the word and the tasks that wait, and nothing while none does.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The latest word of one to many. What it is looked at and changed with is called with its lock held: it is to be
/// short, and to leave this bulletin alone.
///
/// ```
/// # use std::pin::pin;
/// # use std::task::{Context, Poll, Waker};
/// let bulletin = highball_core::Bulletin::new("nothing new");
/// bulletin.change(|word| *word = "the line is clear");
/// assert_eq!(bulletin.read(|word| word.len()), 17);
///
/// let mut clear = pin!(bulletin.wait_for(|word| word.contains("clear").then_some(())));
/// assert_eq!(clear.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
/// ```
pub struct Bulletin<T>(
    /// Guards the whole: held for one look or one change. Wakers are called behind it.
    Mutex<State<T>>,
);

struct State<T> {
    latest: T,
    waiting: Vec<(Ticket, Waker)>,
    tickets: Ticket,
}

/// Tells apart those who wait.
type Ticket = u64;

impl<T> Bulletin<T> {
    /// A bulletin with its first word.
    pub fn new(latest: T) -> Self {
        Self(Mutex::new(State {
            latest,
            waiting: Vec::new(),
            tickets: 0,
        }))
    }

    /// Looks at the latest word.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().latest)
    }

    /// Changes it, and has all who wait look.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.latest);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|(_, task)| task.wake());
        result
    }

    /// Waits for a word of which `heard` makes something. Cancel-safe.
    pub fn wait_for<R, F: FnMut(&T) -> Option<R>>(&self, heard: F) -> WaitFor<'_, T, F> {
        WaitFor {
            bulletin: self,
            heard,
            ticket: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Bulletin::wait_for`] returns.
#[must_use = "a future does nothing until it is polled"]
pub struct WaitFor<'a, T, F> {
    bulletin: &'a Bulletin<T>,
    heard: F,
    /// Since it waits.
    ticket: Option<Ticket>,
}

impl<T, F> Unpin for WaitFor<'_, T, F> {}

impl<R, T, F: FnMut(&T) -> Option<R>> Future for WaitFor<'_, T, F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        let mut state = this.bulletin.lock();
        if let Some(heard) = (this.heard)(&state.latest) {
            return Poll::Ready(heard);
        }
        let known = state.waiting.iter_mut();
        match known
            .into_iter()
            .find(|(ticket, _)| this.ticket == Some(*ticket))
        {
            Some((_, task)) => task.clone_from(cx.waker()),
            None => {
                let ticket = state.tickets;
                state.tickets += 1;
                state.waiting.push((ticket, cx.waker().clone()));
                this.ticket = Some(ticket);
            }
        }
        Poll::Pending
    }
}

impl<T, F> Drop for WaitFor<'_, T, F> {
    fn drop(&mut self) {
        if let Some(own) = self.ticket {
            let mut state = self.bulletin.lock();
            state.waiting.retain(|(ticket, _)| *ticket != own);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Bulletin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read(|latest| f.debug_tuple("Bulletin").field(latest).finish())
    }
}

impl<T, F> fmt::Debug for WaitFor<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>, task: &Arc<Counter>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(task))))
    }

    #[test]
    fn all_who_wait_look_at_each_change_and_leave_with_what_they_wanted() {
        let bulletin = Bulletin::new(0);
        let at_least = |least| bulletin.wait_for(move |n| (*n >= least).then_some(*n));
        let (mut one, mut two) = (pin!(at_least(1)), pin!(at_least(2)));
        let tasks: [Arc<Counter>; 2] = Default::default();
        assert!(poll(one.as_mut(), &tasks[0]).is_pending());
        assert!(poll(two.as_mut(), &tasks[1]).is_pending());
        bulletin.change(|n| *n = 1);
        assert_eq!(poll(one.as_mut(), &tasks[0]), Poll::Ready(1));
        assert!(poll(two.as_mut(), &tasks[1]).is_pending());
        bulletin.change(|n| *n = 3);
        assert_eq!(poll(two.as_mut(), &tasks[1]), Poll::Ready(3));
        assert_eq!(tasks.map(|task| task.0.load(Ordering::SeqCst)), [1, 2]);
    }

    #[test]
    fn who_moves_is_woken_where_it_is_and_who_gives_up_is_forgotten() {
        let bulletin = Bulletin::new(());
        let mut never = Box::pin(bulletin.wait_for(|()| None::<()>));
        let tasks: [Arc<Counter>; 2] = Default::default();
        assert!(poll(never.as_mut(), &tasks[0]).is_pending());
        assert!(poll(never.as_mut(), &tasks[1]).is_pending());
        assert_eq!(bulletin.lock().waiting.len(), 1);
        bulletin.change(|()| ());
        assert!(poll(never.as_mut(), &tasks[1]).is_pending());
        drop(never);
        assert_eq!(bulletin.lock().waiting.len(), 0);
        assert_eq!(tasks.map(|task| task.0.load(Ordering::SeqCst)), [0, 1]);
    }

    /// Who waits sleeps until it is woken: a wake-up that is lost hangs.
    #[test]
    fn no_word_from_another_thread_is_missed() {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        const LAST: u32 = 10_000;
        let bulletin = Arc::new(Bulletin::new(0));
        let speaker = thread::spawn({
            let bulletin = Arc::clone(&bulletin);
            move || (0..LAST).for_each(|_| bulletin.change(|n| *n += 1))
        });
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut seen = 0;
        while seen < LAST {
            let last = seen;
            let mut next = pin!(bulletin.wait_for(|n| (*n > last).then_some(*n)));
            seen = loop {
                match next.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(n) => break n,
                    Poll::Pending => thread::park(),
                }
            };
        }
        speaker.join().unwrap();
    }
}
