//! The one thing that is not as published: TCP_NODELAY.
//!
//! The crate leaves it off and has no setting for it. It writes a request in two pieces, so the second waits
//! for the acknowledgement of the first, and a call takes 44 ms. That would be the only thing to measure, so
//! it is set here from outside, on every socket of the process.

use std::fs;
use std::os::fd::BorrowedFd;

use bench_kit::Result;
use socket2::SockRef;

/// Sets it wherever it is not set.
pub(crate) fn set_everywhere() -> Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse() else {
            continue;
        };
        // SAFETY: the descriptor was just listed, and is borrowed for two system calls that fail harmlessly if
        // it has been closed since: nothing is written to it.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = SockRef::from(&descriptor);
        if let Ok(false) = socket.tcp_nodelay() {
            // Files that are no TCP socket have not come here.
            socket.set_tcp_nodelay(true)?;
        }
    }
    Ok(())
}
