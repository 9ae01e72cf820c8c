//! Classic pcap files, as `tcpdump` writes and `tcpreplay` reads them.
//!
//! Only what the lab needs: Ethernet, little-endian. It is not the engine's reader on purpose: a
//! test must not lean on what it tries.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

const MAGIC_US: u32 = 0xa1b2_c3d4;
const MAGIC_NS: u32 = 0xa1b2_3c4d;
/// When captures made here begin, seconds since 1970: 2001-09-09T01:46:40Z.
pub const BEGIN: u32 = 1_000_000_000;
const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

/// Writes Ethernet frames, one millisecond apart from the year 2001 on.
pub fn write(path: &Path, frames: &[Vec<u8>]) {
    let timed = (0_u64..).map(Duration::from_millis).zip(frames.iter().cloned());
    write_timed(path, &timed.collect::<Vec<_>>());
}

/// Writes Ethernet frames, each so long after [`BEGIN`].
pub fn write_timed(path: &Path, frames: &[(Duration, Vec<u8>)]) {
    let mut bytes = Vec::new();
    for word in [MAGIC_US, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for (after, frame) in frames {
        let len = u32::try_from(frame.len()).expect("a frame is shorter than 4 GiB");
        let seconds = BEGIN + u32::try_from(after.as_secs()).expect("a capture is short");
        for word in [seconds, after.subsec_micros(), len, len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(frame);
    }
    let mut file = std::fs::File::create(path)
        .unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    file.write_all(&bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// The frames of a capture in the order of the file. A record cut short at the end (the writer was
/// stopped) is left out.
#[must_use]
pub fn read(path: &Path) -> Vec<Vec<u8>> {
    let bytes =
        std::fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    if bytes.len() < FILE_HEADER_LEN {
        return Vec::new();
    }
    let magic = word_at(&bytes, 0);
    assert!(magic == MAGIC_US || magic == MAGIC_NS, "{} is no pcap file", path.display());
    let mut frames = Vec::new();
    let mut at = FILE_HEADER_LEN;
    while bytes.len() >= at + RECORD_HEADER_LEN {
        let len = usize::try_from(word_at(&bytes, at + 8)).expect("32 bits fit");
        let start = at + RECORD_HEADER_LEN;
        let Some(frame) = bytes.get(start..start + len) else { break };
        frames.push(frame.to_vec());
        at = start + len;
    }
    frames
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("frames.pcap");
        let frames = vec![vec![1_u8; 60], vec![2; 1514], vec![]];
        super::write(&path, &frames);
        assert_eq!(super::read(&path), frames);
    }
}
