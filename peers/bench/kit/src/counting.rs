//! An allocator that counts, for each end of a connection apart.
//!
//! Client and server run in one process, each on a thread of its own, and each thread adds to counters of its
//! own. What one end has allocated it also frees, as nothing of it moves to the other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// Who allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client, or whatever is measured.
    Client = 1,
    /// The server, or whatever is not.
    Server = 2,
}

/// What one end has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// How often it has allocated. A reallocation counts as one allocation.
    pub allocations: i64,
    /// The bytes it has allocated and not freed, as it asked for them.
    pub live: i64,
}

/// Threads that are neither client nor server, the client's, the server's.
static ALLOCATIONS: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];
static LIVE: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];

thread_local! {
    static END: Cell<usize> = const { Cell::new(0) };
}

impl End {
    /// From here on this thread works for this end.
    pub fn begin(self) {
        END.set(self as usize);
    }

    /// What this end has done so far, on all its threads.
    pub fn count(self) -> Count {
        Count {
            allocations: ALLOCATIONS[self as usize].load(Ordering::Relaxed),
            live: LIVE[self as usize].load(Ordering::Relaxed),
        }
    }
}

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

fn count(allocations: i64, bytes: i64) {
    if let Ok(end) = END.try_with(Cell::get) {
        ALLOCATIONS[end].fetch_add(allocations, Ordering::Relaxed);
        LIVE[end].fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every method hands its arguments to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
