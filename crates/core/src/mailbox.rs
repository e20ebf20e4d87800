//! Where a task finds what others want of it.
//!
//! ```text
//!   many Letterboxes ── post(letter), never waits ──► [ … ] ──► Mailbox::recv(), one task
//!                    ◄─────────── closed() ─────────── dropped
//! ```
//!
//! A queue without a limit, for what there is one of in each channel or subchannel. It holds a few words while
//! nothing is in it; queues that are made for throughput set room aside in advance, a kilobyte or two each.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes a mailbox, and the means to post to it.
///
/// ```
/// # use std::future::Future;
/// # use std::task::{Context, Poll, Waker};
/// let (letterbox, mut mailbox) = highball_core::mailbox();
/// assert!(letterbox.post("a letter"));
/// drop(letterbox);
///
/// let mut now = Context::from_waker(Waker::noop());
/// let mut next = || std::pin::pin!(mailbox.recv()).poll(&mut now);
/// assert_eq!(next(), Poll::Ready(Some("a letter")));
/// assert_eq!(next(), Poll::Ready(None));
/// ```
pub fn mailbox<T>() -> (Letterbox<T>, Mailbox<T>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        first: None,
        more: VecDeque::new(),
        letterboxes: 1,
        is_closed: false,
        reader: None,
        mourner: None,
    })));
    (Letterbox(Arc::clone(&shared)), Mailbox(shared))
}

/// Posts to a mailbox. Clones post to the same one.
pub struct Letterbox<T>(Arc<Shared<T>>);

/// Has what was posted, in order. Dropping it drops what is in it.
pub struct Mailbox<T>(Arc<Shared<T>>);

struct Shared<T>(
    /// Guards the whole: held for a push or a pop. Wakers are called, and letters dropped, behind it.
    Mutex<State<T>>,
);

struct State<T> {
    /// A letter that is alone, as most are, takes no room but this.
    first: Option<T>,
    /// Those behind it; none without it.
    more: VecDeque<T>,
    letterboxes: usize,
    is_closed: bool,
    /// Who waits for a letter.
    reader: Option<Waker>,
    /// Who waits for the end of the mailbox.
    mourner: Option<Waker>,
}

impl<T> State<T> {
    fn push(&mut self, letter: T) {
        match self.first {
            None => self.first = Some(letter),
            Some(_) => self.more.push_back(letter),
        }
    }

    fn next(&mut self) -> Option<T> {
        let letter = self.first.take()?;
        self.first = self.more.pop_front();
        if self.first.is_none() {
            // A burst leaves no room behind that only another would fill.
            self.more = VecDeque::new();
        }
        Some(letter)
    }

    fn empty(&mut self) -> (Option<T>, VecDeque<T>) {
        (self.first.take(), std::mem::take(&mut self.more))
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }
}

/// This task waits here from now on.
fn wait(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waiting) => waiting.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Letterbox<T> {
    /// Posts a letter. `false`: the mailbox is gone, and so is the letter. Never waits.
    pub fn post(&self, letter: T) -> bool {
        let mut state = self.0.lock();
        if state.is_closed {
            return false;
        }
        state.push(letter);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        true
    }

    /// The same in place of all letters that have not been read: for news of which only the latest counts.
    pub fn replace(&self, letter: T) -> bool {
        let unread = self.0.lock().empty();
        drop(unread);
        self.post(letter)
    }

    /// Waits until the mailbox is dropped. One waits at a time: of several, the last to ask hears of it.
    pub async fn closed(&self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// The same for a task that waits for other things as well.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Poll::Ready(());
        }
        wait(&mut state.mourner, cx);
        Poll::Pending
    }
}

impl<T> Clone for Letterbox<T> {
    fn clone(&self) -> Self {
        self.0.lock().letterboxes += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Letterbox<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.letterboxes -= 1;
        let reader = match state.letterboxes {
            0 => state.reader.take(),
            _ => None,
        };
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl<T> Mailbox<T> {
    /// The next letter; `None` when there is none and nobody is left to post one. Cancel-safe.
    ///
    /// Does not give way to other tasks by itself, however many letters there are.
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> + '_ {
        poll_fn(|cx| self.poll_recv(cx))
    }

    /// The same for a task that waits for other things as well.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        let next = state.next();
        if next.is_some() || state.letterboxes == 0 {
            return Poll::Ready(next);
        }
        wait(&mut state.reader, cx);
        Poll::Pending
    }

    /// The next letter, if there is one.
    pub fn take(&mut self) -> Option<T> {
        self.0.lock().next()
    }

    /// How many letters there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let letters = state.empty();
        let mourner = state.mourner.take();
        drop(state);
        drop(letters);
        mourner.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for Letterbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letterbox")
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("letters", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};
    use std::thread;

    use super::*;

    /// Counts how often it is called.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counter {
        fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
            future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
        }

        fn calls(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn letters_come_in_order_and_wake_the_reader_once() {
        let (letterbox, mut mailbox) = mailbox();
        let reader = Arc::<Counter>::default();
        assert!(reader.poll(pin!(mailbox.recv())).is_pending());
        assert!(letterbox.post(1) && letterbox.clone().post(2));
        assert_eq!((reader.calls(), mailbox.len()), (1, 2));
        assert_eq!(reader.poll(pin!(mailbox.recv())), Poll::Ready(Some(1)));
        assert_eq!((mailbox.take(), mailbox.take()), (Some(2), None));
        assert!(letterbox.post(3) && letterbox.post(4));
        assert_eq!((mailbox.len(), mailbox.is_empty()), (2, false));
    }

    #[test]
    fn news_of_which_the_latest_counts_takes_the_place_of_what_was_not_read() {
        let (letterbox, mut mailbox) = mailbox();
        assert!(letterbox.post(1) && letterbox.post(2) && letterbox.replace(3));
        assert_eq!((mailbox.take(), mailbox.take()), (Some(3), None));
        drop(mailbox);
        assert!(!letterbox.replace(4));
    }

    #[test]
    fn the_last_letterbox_that_goes_ends_the_reading() {
        let (letterbox, mut mailbox) = mailbox::<()>();
        let reader = Arc::<Counter>::default();
        let other = letterbox.clone();
        assert!(reader.poll(pin!(mailbox.recv())).is_pending());
        drop(letterbox);
        assert_eq!(reader.calls(), 0);
        drop(other);
        assert_eq!(reader.calls(), 1);
        assert_eq!(reader.poll(pin!(mailbox.recv())), Poll::Ready(None));
    }

    #[test]
    fn a_mailbox_that_goes_drops_its_letters_and_tells_who_waits_for_its_end() {
        let (letterbox, mailbox) = mailbox();
        let letter = Arc::new(());
        assert!(letterbox.post(Arc::clone(&letter)));
        let mourner = Arc::<Counter>::default();
        let mut end = pin!(letterbox.closed());
        assert!(mourner.poll(end.as_mut()).is_pending());
        drop(mailbox);
        assert_eq!((mourner.calls(), Arc::strong_count(&letter)), (1, 1));
        assert!(mourner.poll(end.as_mut()).is_ready());
        assert!(!letterbox.post(letter));
    }

    /// The reader sleeps until it is woken: a wake-up that is lost hangs.
    #[test]
    fn no_letter_from_other_threads_is_lost() {
        const EACH: usize = 10_000;
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let (letterbox, mut mailbox) = mailbox();
        let posting = [letterbox.clone(), letterbox].map(|letterbox| {
            thread::spawn(move || (0..EACH).for_each(|n| assert!(letterbox.post(n))))
        });
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut read = 0;
        loop {
            match pin!(mailbox.recv()).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(_)) => read += 1,
                Poll::Ready(None) => break,
                Poll::Pending => thread::park(),
            }
        }
        assert_eq!(read, 2 * EACH);
        for thread in posting {
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_letter_that_is_alone_and_a_burst_that_is_over_take_no_room() {
        let (letterbox, mut mailbox) = mailbox();
        let room = |mailbox: &Mailbox<i32>| mailbox.0.lock().more.capacity();
        for letter in 0..10_000 {
            letterbox.post(letter);
            assert_eq!(room(&mailbox) == 0, letter == 0);
        }
        for letter in 0..10_000 {
            assert_eq!(
                (mailbox.len(), mailbox.take()),
                (10_000 - letter as usize, Some(letter))
            );
        }
        assert_eq!((room(&mailbox), mailbox.take()), (0, None));
    }
}
