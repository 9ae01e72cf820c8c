//! The journal: what was acknowledged survives a restart, a crash and a change of the wall clock.
//!
//! An order is written and flushed to the disk before anybody is told that it holds. Orders that
//! arrive while the disk is busy are flushed together, so the window before acknowledgement is one
//! flush, not one timer. When the file has grown, what is in force is written to a fresh one, which
//! takes the old one's place by a rename.
//!
//! ```text
//!   append ─► write(2) ─► fdatasync(2) ─► acknowledge        compaction: fresh file ─► fdatasync
//!                         (many at once)                                 ─► rename ─► fsync(dir)
//! ```
//!
//! It must never know what an order does: it keeps words and hands them back.

mod frame;
mod live;
mod moment;
mod order;
#[cfg(test)]
mod tests;
mod writer;

pub use frame::{ReadReport, read_frames};
pub use live::Live;
pub use moment::{BootId, Moment};
pub use order::{BlockRecord, ClassRecord, Entry, Order, OriginRecord, PlaceRecord};
pub use writer::{JournalCounters, JournalWriter, OnDurable, SubmitError};

pub(crate) use frame::{frame_of, write_frame};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes from which on a journal is compacted, where nothing else is said: 65,536 blocks take about
/// 25 MB, a quiet machine never gets here.
pub const COMPACT_AFTER_BYTES: u64 = 32 << 20;

/// Bytes of a journal that are read at most; a file beyond it is not one of ours.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// What was found when a journal was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// What is in force, on the present timeline.
    pub live: Live,
    /// What could not be read. A torn tail is no loss: nobody was told about it.
    pub report: ReadReport,
    /// Where a damaged journal was kept for whoever wants to look.
    pub kept: Option<PathBuf>,
}

/// An open journal. One per state directory: a second engine is refused.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Held as long as we live.
    _lock: File,
    live: Live,
    /// Bytes of whole frames in the file.
    length: u64,
    compact_after: u64,
    compact_next: u64,
    /// Orders written, and orders known to be on the disk.
    written: u64,
    synced: u64,
    /// A write or a flush failed: the file's end cannot be trusted, only a fresh file can.
    suspect: bool,
    compactions: u64,
}

impl Journal {
    /// Opens or makes the journal and reads it. What is found is written to a fresh file at once,
    /// on the present timeline, so a torn tail is gone. `compact_after` bytes it is compacted
    /// again.
    pub fn open(path: &Path, compact_after: u64, now: &Moment) -> io::Result<(Self, Recovery)> {
        let lock = lock(&path.with_extension("lock"))?;
        let bytes = match std::fs::metadata(path) {
            Ok(m) if m.len() > FILE_BYTES_MAX => {
                let message = format!("{} is no journal of ours; move it away", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            Ok(_) => std::fs::read(path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let (entries, report) = read_frames(&bytes);
        let live = Live::of(entries, now);
        let kept = if report.is_damaged() { Some(keep(path)?) } else { None };
        let (file, length) = write_fresh(path, &live, now)?;
        let journal = Journal {
            path: path.to_owned(),
            file,
            _lock: lock,
            live: live.clone(),
            length,
            compact_after,
            compact_next: compact_after.max(length.saturating_mul(2)),
            written: 0,
            synced: 0,
            suspect: false,
            compactions: 0,
        };
        Ok((journal, Recovery { live, report, kept }))
    }

    /// Writes orders, all or none. They hold once [`Journal::sync`] has returned the number that
    /// this returns, or a higher one.
    pub fn append(&mut self, now: &Moment, orders: &[Order]) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(orders.len() * 512);
        for order in orders {
            write_frame(&Entry::new(now, order.clone()), &mut bytes)?;
        }
        if !self.suspect
            && let Err(e) = self.file.write_all(&bytes)
        {
            // Half a frame may stand at the end: the next flush makes a fresh file.
            self.suspect = true;
            return Err(e);
        }
        for order in orders {
            self.live.apply(order.clone());
        }
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.written += u64::try_from(orders.len()).unwrap_or(u64::MAX);
        Ok(self.written)
    }

    /// Flushes what was written to the disk, and returns the number of the last order that holds.
    /// After a failure the next call writes a fresh file: what a failed flush left is unknown.
    pub fn sync(&mut self, now: &Moment) -> io::Result<u64> {
        if self.suspect || self.length > self.compact_next {
            self.compact(now)?;
        } else if self.synced < self.written
            && let Err(e) = self.file.sync_data()
        {
            self.suspect = true;
            return Err(e);
        }
        self.synced = self.written;
        Ok(self.synced)
    }

    /// Writes what is in force to a fresh file, which takes this one's place.
    pub fn compact(&mut self, now: &Moment) -> io::Result<()> {
        self.live.drop_expired(now);
        let (file, length) = write_fresh(&self.path, &self.live, now)?;
        self.file = file;
        self.length = length;
        self.compact_next = self.compact_after.max(length.saturating_mul(2));
        self.suspect = false;
        self.compactions += 1;
        Ok(())
    }

    /// What is in force.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// How often it was compacted since it was opened.
    pub fn compactions(&self) -> u64 {
        self.compactions
    }
}

/// Only one engine at a time: two would each acknowledge what the other forgets.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
        let message = format!(
            "{} is held ({e}): another engine uses this state directory; stop it, or give this \
             one another engine.state_dir",
            path.display()
        );
        io::Error::new(io::ErrorKind::ResourceBusy, message)
    })?;
    Ok(file)
}

/// Keeps a damaged journal beside the fresh one; the last one only.
fn keep(path: &Path) -> io::Result<PathBuf> {
    let kept = path.with_extension("damaged");
    match std::fs::remove_file(&kept) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::hard_link(path, &kept)?;
    Ok(kept)
}

/// A new journal at `path` that holds `live`, durable before it takes the old one's place.
fn write_fresh(path: &Path, live: &Live, now: &Moment) -> io::Result<(File, u64)> {
    let mut bytes = Vec::new();
    for order in live.orders() {
        write_frame(&Entry::new(now, order), &mut bytes)?;
    }
    let fresh = path.with_extension("fresh");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)?;
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()?;
    Ok((file, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}
