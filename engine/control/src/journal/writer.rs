//! The thread that owns the journal, so that a slow disk delays acknowledgements and nothing else.

use super::{Journal, Moment, Order};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Submissions that wait for the disk; beyond it orders are refused and counted.
const QUEUE_MAX: usize = 16_384;

/// Submissions flushed together at most, so that the first one's acknowledgement does not wait for
/// an endless stream.
const GROUP_MAX: usize = 1_024;

/// Told once whether the orders of one submission hold: the number of the last order on the disk,
/// or what the disk said. Runs on the journal's thread and must be quick.
pub type OnDurable = Box<dyn FnOnce(Result<u64, &io::Error>) + Send>;

/// Why orders were not taken. They are not on the disk and must not be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubmitError {
    /// The thread has ended.
    Closed,
    /// Too many wait for the disk already.
    Full,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::Closed => "the journal is closed: the engine is shutting down",
            SubmitError::Full => "the disk does not keep up with the journal; try again",
        })
    }
}

impl std::error::Error for SubmitError {}

/// What the thread counts.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Orders on the disk.
    pub synced: AtomicU64,
    /// Flushes.
    pub flushes: AtomicU64,
    /// Writes and flushes that failed.
    pub failures: AtomicU64,
    /// Submissions refused because too many were waiting.
    pub refused: AtomicU64,
    /// Times that the journal was compacted.
    pub compactions: AtomicU64,
    /// Bytes of the file.
    pub bytes: AtomicU64,
}

struct Submission {
    now: Moment,
    orders: Vec<Order>,
    on_durable: OnDurable,
}

/// Hands orders to the journal's thread. Dropping it flushes what was submitted and ends the
/// thread.
pub struct JournalWriter {
    queue: Option<Sender<Submission>>,
    counters: Arc<JournalCounters>,
    thread: Option<JoinHandle<Journal>>,
}

impl JournalWriter {
    /// Starts the thread.
    pub fn start(journal: Journal) -> io::Result<Self> {
        let (queue, submissions) = bounded(QUEUE_MAX);
        let counters = Arc::new(JournalCounters::default());
        let theirs = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || carry_out(journal, &submissions, &theirs))?;
        Ok(JournalWriter { queue: Some(queue), counters, thread: Some(thread) })
    }

    /// Hands over orders given at `now`; never waits. `on_durable` is told when they hold. Orders
    /// are written in the order of submission.
    pub fn submit(
        &self,
        now: Moment,
        orders: Vec<Order>,
        on_durable: OnDurable,
    ) -> Result<(), SubmitError> {
        let queue = self.queue.as_ref().ok_or(SubmitError::Closed)?;
        queue.try_send(Submission { now, orders, on_durable }).map_err(|e| match e {
            TrySendError::Full(_) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                SubmitError::Full
            }
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    /// What the thread counts.
    pub fn counters(&self) -> &Arc<JournalCounters> {
        &self.counters
    }

    /// Flushes what was submitted and ends the thread; whatever is submitted later is refused.
    pub fn flush_and_end(&mut self) {
        self.end();
    }

    /// Flushes what was submitted, ends the thread and gives the journal back.
    pub fn close(mut self) -> Option<Journal> {
        self.end()
    }

    fn end(&mut self) -> Option<Journal> {
        self.queue = None;
        self.thread.take()?.join().ok()
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.end();
    }
}

fn carry_out(
    mut journal: Journal,
    submissions: &Receiver<Submission>,
    counters: &JournalCounters,
) -> Journal {
    let mut awaiting: Vec<OnDurable> = Vec::with_capacity(GROUP_MAX);
    while let Ok(first) = submissions.recv() {
        let mut now = first.now;
        let more = std::iter::from_fn(|| submissions.try_recv().ok());
        for submission in std::iter::once(first).chain(more).take(GROUP_MAX) {
            now = submission.now;
            match journal.append(&submission.now, &submission.orders) {
                Ok(_) => awaiting.push(submission.on_durable),
                Err(e) => {
                    counters.failures.fetch_add(1, Ordering::Relaxed);
                    (submission.on_durable)(Err(&e));
                }
            }
        }
        let synced = journal.sync(&now);
        match &synced {
            Ok(number) => {
                counters.synced.store(*number, Ordering::Release);
                counters.flushes.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        counters.compactions.store(journal.compactions(), Ordering::Relaxed);
        counters.bytes.store(journal.bytes(), Ordering::Relaxed);
        for on_durable in awaiting.drain(..) {
            on_durable(synced.as_ref().copied());
        }
    }
    journal
}
