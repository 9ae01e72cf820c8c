//! A file that is appended to, with what it has not taken yet. Only whole lines count as written.

use super::json::Line;
use super::writer::EveCounters;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A disk that fails is spoken of this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The file and what waits for it.
pub(super) struct Sink {
    path: PathBuf,
    file: Option<File>,
    /// Whole lines; of the first one `torn` bytes are in the file already.
    waiting: Vec<u8>,
    torn: usize,
    said: Option<Instant>,
}

impl Sink {
    /// Opens the file to append, readable for its owner and group; `-` is the standard output.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = Some(append(path)?);
        Ok(Sink { path: path.into(), file, waiting: Vec::new(), torn: 0, said: None })
    }

    pub(super) fn push(&mut self, line: &Line) {
        if !line.is_empty() {
            self.waiting.extend_from_slice(line.as_str().as_bytes());
            self.waiting.push(b'\n');
        }
    }

    pub(super) fn bytes_waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn lines_waiting(&self) -> u64 {
        lines(&self.waiting)
    }

    /// Writes what waits; whether nothing waits any more.
    pub(super) fn flush(&mut self, counters: &EveCounters) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        match self.write(counters) {
            Ok(()) => {
                if self.said.take().is_some() {
                    tracing::info!(path = %self.path.display(), "events are written again");
                }
                true
            }
            Err(error) => {
                self.failed(&error, counters);
                false
            }
        }
    }

    /// Opens the path anew. What the old file has not taken goes to the new one, from the beginning
    /// of a line.
    pub(super) fn reopen(&mut self, counters: &EveCounters) {
        self.flush(counters);
        match append(&self.path) {
            Ok(file) => {
                self.file = Some(file);
                self.torn = 0;
                counters.reopened.fetch_add(1, Relaxed);
            }
            // The old file is better than none.
            Err(error) => self.failed(&error, counters),
        }
    }

    fn write(&mut self, counters: &EveCounters) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(append(&self.path)?),
        };
        while !self.waiting.is_empty() {
            let n = match file.write(self.waiting.get(self.torn..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let reached = self.torn + n;
            let done = self.waiting.get(..reached).unwrap_or_default();
            let whole = done.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let count = lines(done);
            self.waiting.drain(..whole);
            self.torn = reached - whole;
            counters.written.fetch_add(count, Relaxed);
        }
        Ok(())
    }

    fn failed(&mut self, error: &io::Error, counters: &EveCounters) {
        counters.failed.fetch_add(1, Relaxed);
        if self.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::error!(
                path = %self.path.display(), %error,
                "events cannot be written; make room on the disk, or name another file in \
                 [events] file. Blocks go on, and their events wait"
            );
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    if path.as_os_str() == "-" {
        return OpenOptions::new().append(true).open("/dev/stdout");
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}
