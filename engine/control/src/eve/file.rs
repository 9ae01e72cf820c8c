//! A file of lines, written at once: for replay, where the disk may be waited for.

use super::json::Line;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Lines on their way to a file, or to the standard output.
pub struct EveFile {
    out: BufWriter<Box<dyn Write + Send>>,
    written: u64,
}

impl EveFile {
    /// Creates the file, or empties it; `-` is the standard output.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::to(Box::new(io::stdout())));
        }
        Ok(Self::to(Box::new(File::create(path)?)))
    }

    /// Writes to anything.
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        EveFile { out: BufWriter::with_capacity(1 << 16, out), written: 0 }
    }

    /// Writes a line and its end; an empty one is none.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        self.out.write_all(line.as_str().as_bytes())?;
        self.out.write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    /// Writes text as it is.
    pub(super) fn write_text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Lines so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Everything to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
