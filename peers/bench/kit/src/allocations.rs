//! Counts allocations: a client and a server in one process, each on a thread of its own.
//!
//! Each thread adds to a counter of its own, so that the two ends are told apart.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use tokio::net::TcpListener;

use crate::options::Runtime;
use crate::{Echo, Peer, Result, load};

/// Calls before counting: connections, tables and buffers have their size by then.
const WARMUP: u64 = 1_000;

/// Calls that are counted.
const CALLS: u64 = 2_000;

/// Threads that are neither client nor server, the client's, the server's.
static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
const CLIENT: usize = 1;
const SERVER: usize = 2;

thread_local! {
    static ROLE: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting. A reallocation counts as one allocation.
#[derive(Debug)]
pub struct Counting;

fn count() {
    if let Ok(role) = ROLE.try_with(Cell::get) {
        COUNTS[role].fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every method hands its arguments to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The `main` of a stack's allocation count, in a program whose global allocator is [`Counting`].
/// Prints the allocations per unary call of 32 bytes.
pub fn count_allocations<P, F>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> ExitCode
where
    P: Peer,
    F: Future<Output = Result<()>>,
{
    let (port_sender, port) = mpsc::channel();
    thread::spawn(move || {
        ROLE.set(SERVER);
        Runtime::Current.build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            port_sender.send(listener.local_addr()?.port())?;
            serve(listener).await
        })
    });
    let Ok(port) = port.recv() else {
        return ExitCode::FAILURE;
    };
    let counted = thread::spawn(move || {
        ROLE.set(CLIENT);
        Runtime::Current.build()?.block_on(count_calls::<P>(port))
    });
    match counted.join() {
        Ok(Ok((client, server))) => {
            println!("{{\"client\":{client:.2},\"server\":{server:.2}}}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}

/// Allocations per call, of the client and of the server.
async fn count_calls<P: Peer>(port: u16) -> Result<(f64, f64)> {
    let request = Echo {
        payload: vec![b'x'; 32],
        replies: 0,
    };
    let peer = P::connect(port).await?;
    load::sequence(&peer, &request, WARMUP).await?;
    let counts = || [CLIENT, SERVER].map(|role| COUNTS[role].load(Ordering::Relaxed));
    let before = counts();
    load::sequence(&peer, &request, CALLS).await?;
    let after = counts();
    let each = |role: usize| (after[role] - before[role]) as f64 / CALLS as f64;
    Ok((each(0), each(1)))
}
