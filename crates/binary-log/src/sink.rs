//! Where entries go: a queue that calls never wait for, and a thread that writes.
//!
//! ```text
//!   calls ── entries ──► queue, so many bytes at most ──► writer thread ──► length, entry, length, entry, …
//!                          └─ full: dropped and counted
//! ```

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use prost::Message;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::v1::GrpcLogEntry;

/// The most that may wait to be written, in bytes.
const QUEUE_LIMIT: usize = 16 * 1024 * 1024;

/// The end of the queue that calls have. The thread writes what is left and ends when it is dropped.
pub(crate) struct Sink {
    queue: UnboundedSender<Command>,
    counts: Arc<Counts>,
    limit: usize,
}

/// What both ends of the queue count.
#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    /// Entries that are not in the log.
    dropped: AtomicU64,
}

enum Command {
    /// With its length, encoded.
    Write(Box<GrpcLogEntry>, usize),
    Flush(oneshot::Sender<io::Result<()>>),
}

impl Sink {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// There cannot be another thread.
    pub(crate) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_limit(out, QUEUE_LIMIT)
    }

    fn with_limit(out: impl Write + Send + 'static, limit: usize) -> io::Result<Self> {
        let (queue, commands) = unbounded_channel();
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            out: BufWriter::new(out),
            counts: counts.clone(),
            broken: None,
            unflushed: 0,
            said: 0,
        };
        let thread = thread::Builder::new().name("binary-log".to_owned());
        thread.spawn(move || writer.run(commands))?;
        Ok(Self {
            queue,
            counts,
            limit,
        })
    }

    /// Queues an entry, or counts it as dropped.
    pub(crate) fn write(&self, entry: GrpcLogEntry) {
        let bytes = entry.encoded_len();
        let waiting = self
            .counts
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting.saturating_add(bytes) <= self.limit;
        let entry = Command::Write(Box::new(entry), bytes);
        if !has_room || self.queue.send(entry).is_err() {
            self.counts
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Returns when all that was queued is written.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let (done, flushed) = oneshot::channel();
        let gone = || io::Error::other("the thread of the binary log is gone");
        let queued = self.queue.send(Command::Flush(done));
        queued.map_err(|_| gone())?;
        flushed.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The thread's state.
struct Writer<W: Write> {
    out: BufWriter<W>,
    counts: Arc<Counts>,
    /// Why nothing is written any more: after half an entry nobody could read another.
    broken: Option<io::Error>,
    /// How many entries were written that may not have left the buffer.
    unflushed: u64,
    /// How many dropped entries the application's log has heard of.
    said: u64,
}

impl<W: Write> Writer<W> {
    /// Writes as long as anybody may queue anything. What is written is flushed when nothing waits.
    fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            self.obey(command);
            while let Ok(command) = commands.try_recv() {
                self.obey(command);
            }
            // Whoever asks for a flush hears of an error.
            let _ = self.flush();
            self.say_what_was_dropped();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Write(entry, bytes) => {
                self.write(&entry);
                self.counts
                    .waiting_bytes
                    .fetch_sub(bytes, Ordering::Relaxed);
            }
            Command::Flush(done) => {
                // Nobody need wait for it.
                let _ = done.send(self.flush());
            }
        }
    }

    fn write(&mut self, entry: &GrpcLogEntry) {
        self.unflushed += 1;
        if self.broken.is_none() {
            self.broken = write_entry(&mut self.out, entry).err();
        }
        if self.broken.is_some() {
            self.drop_unflushed();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.broken.is_none() {
            self.broken = self.out.flush().err();
        }
        match &self.broken {
            None => {
                self.unflushed = 0;
                Ok(())
            }
            Some(error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                self.drop_unflushed();
                Err(error)
            }
        }
    }

    fn drop_unflushed(&mut self) {
        let lost = std::mem::take(&mut self.unflushed);
        self.counts.dropped.fetch_add(lost, Ordering::Relaxed);
    }

    fn say_what_was_dropped(&mut self) {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        if dropped > self.said {
            let error = self.broken.as_ref().map(ToString::to_string);
            tracing::warn!(target: "binary_log", dropped, error, "entries are not in the binary log");
            self.said = dropped;
        }
    }
}

/// An entry behind its length, four bytes, the highest first.
fn write_entry(out: &mut impl Write, entry: &GrpcLogEntry) -> io::Result<()> {
    let encoded = entry.encode_to_vec();
    let length = u32::try_from(encoded.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&encoded)
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::read;

    /// What was written, once the test lets the thread write.
    struct Gated {
        gate: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Ends when the test has let go of the gate, which is open then.
            let _ = self.gate.recv();
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(limit: usize) -> (Sink, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = channel();
        let written = Arc::new(Mutex::default());
        let out = Gated {
            gate,
            written: written.clone(),
        };
        (Sink::with_limit(out, limit).unwrap(), open, written)
    }

    fn entry(call_id: u64) -> GrpcLogEntry {
        GrpcLogEntry {
            call_id,
            ..GrpcLogEntry::default()
        }
    }

    #[tokio::test]
    async fn calls_do_not_wait_for_the_disk_and_what_has_no_room_is_counted() {
        let bytes = entry(1).encoded_len();
        let (sink, open, written) = gated(10 * bytes);
        for call in 1..=15 {
            sink.write(entry(call));
        }
        assert_eq!(sink.dropped(), 5);
        drop(open);
        sink.flush().await.unwrap();
        sink.write(entry(99));
        sink.flush().await.unwrap();
        let written = written.lock().unwrap().clone();
        let calls: Vec<_> = read(&*written)
            .map(|entry| entry.unwrap().call_id)
            .collect();
        assert_eq!(calls, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99]);
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "no room"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_full_is_named_and_what_it_did_not_take_is_counted() {
        let sink = Sink::to(Full).unwrap();
        sink.write(entry(1));
        let error = sink.flush().await.unwrap_err();
        assert_eq!(error.to_string(), "no room");
        sink.write(entry(2));
        sink.flush().await.unwrap_err();
        assert_eq!(sink.dropped(), 2);
    }
}
