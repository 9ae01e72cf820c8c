//! The journal's bytes: frames one after the other, each with its own proof.
//!
//! ```text
//!   0        4          8         12
//!   ┌────────┬──────────┬─────────┬───────────────┐
//!   │ marker │ length   │ CRC-32  │ one Entry,    │   little-endian; the CRC covers the
//!   │ "PCJ1" │ of entry │         │ JSON          │   length and the entry
//!   └────────┴──────────┴─────────┴───────────────┘
//! ```
//!
//! The marker's last byte is the version of the frame. The reader is total: whatever the bytes, it
//! returns what can be proven whole and counts the rest. Bytes behind the last whole frame are a
//! torn tail, the trace of a write that nobody acknowledged; bytes before it are damage.

use super::order::Entry;

/// Marks a frame, so that reading goes on behind damage.
const MARKER: [u8; 4] = *b"PCJ1";
/// Bytes before the entry.
const HEADER_BYTES: usize = 12;
/// Bytes of an entry at most; an exclusion row is the longest and stays far below.
pub(super) const ENTRY_BYTES_MAX: usize = 16 << 10;

/// What reading found beside entries. All zero for a journal that was closed in peace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadReport {
    /// Whole frames.
    pub frames: u64,
    /// Whole frames whose entry this build does not know; skipped.
    pub unknown: u64,
    /// Bytes between whole frames that are no frame; skipped.
    pub damaged_bytes: u64,
    /// Bytes behind the last whole frame; cut.
    pub torn_bytes: u64,
}

impl ReadReport {
    /// Whether something that may have been acknowledged is lost.
    pub fn is_damaged(&self) -> bool {
        self.damaged_bytes > 0 || self.unknown > 0
    }
}

/// Appends one frame to a buffer. Entries beyond [`ENTRY_BYTES_MAX`] are refused.
pub(crate) fn write_frame(entry: &Entry, out: &mut Vec<u8>) -> Result<(), std::io::Error> {
    let body = serde_json::to_vec(entry)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= ENTRY_BYTES_MAX);
    let Some(length) = length else {
        let message = format!("an order of {} bytes; shorten its text", body.len());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
    };
    frame_of(length, &body, out);
    Ok(())
}

/// Appends a frame of any bytes, whole or not in what they say.
pub(crate) fn frame_of(length: u32, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32(&length.to_le_bytes(), body).to_le_bytes());
    out.extend_from_slice(body);
}

/// Every entry that can be proven whole, in order.
pub fn read_frames(bytes: &[u8]) -> (Vec<Entry>, ReadReport) {
    let mut entries = Vec::new();
    let mut report = ReadReport::default();
    let mut rest = bytes;
    let mut not_a_frame: u64 = 0;
    while !rest.is_empty() {
        let Some((body, behind)) = split_frame(rest) else {
            // On to the next byte that could begin a frame.
            let skipped = rest
                .iter()
                .skip(1)
                .position(|byte| *byte == MARKER[0])
                .map_or(rest.len(), |at| at + 1);
            not_a_frame += u64::try_from(skipped).unwrap_or(u64::MAX);
            rest = rest.get(skipped..).unwrap_or_default();
            continue;
        };
        report.damaged_bytes += std::mem::take(&mut not_a_frame);
        report.frames += 1;
        match serde_json::from_slice(body) {
            Ok(entry) => entries.push(entry),
            Err(_) => report.unknown += 1,
        }
        rest = behind;
    }
    report.torn_bytes = not_a_frame;
    (entries, report)
}

/// The entry's bytes and what follows, where a whole frame begins here.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let (marker, numbers) = header.split_at_checked(MARKER.len())?;
    let (length, crc) = numbers.split_at_checked(4)?;
    if marker != MARKER {
        return None;
    }
    let size = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    if size > ENTRY_BYTES_MAX {
        return None;
    }
    let (body, behind) = rest.split_at_checked(size)?;
    (crc32(length, body).to_le_bytes() == crc).then_some((body, behind))
}

/// CRC-32 as in IEEE 802.3 over two pieces, one table lookup a byte: entries are small.
fn crc32(first: &[u8], second: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut n = 0u32;
        while n < 256 {
            let mut c = n;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[n as usize] = c;
            n += 1;
        }
        table
    };
    let mut crc = u32::MAX;
    for byte in first.iter().chain(second) {
        let index = usize::from(crc.to_le_bytes()[0] ^ byte);
        crc = TABLE[index] ^ (crc >> 8);
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::super::moment::{BootId, Moment};
    use super::super::order::Order;
    use super::*;
    use portcullis_types::Tick;
    use proptest::prelude::*;

    fn entry(n: u64) -> Entry {
        let now = Moment { tick: Tick(n), wall_ns: n, boot: BootId(7) };
        Entry::new(&now, Order::Mode { segment: format!("s{n}"), mode: "monitor".into() })
    }

    fn written(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for n in 0..count {
            write_frame(&entry(n), &mut bytes).expect("small");
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"1234", b"56789"), 0xcbf4_3926);
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let (bytes, ends) = written(3);
        for cut in 0..bytes.len() {
            let (entries, report) = read_frames(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(entries.len(), whole, "cut at {cut}");
            assert_eq!(report.damaged_bytes, 0);
            let last = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
            assert_eq!(report.torn_bytes, (cut - last) as u64);
        }
    }

    #[test]
    fn a_damaged_middle_is_skipped_and_counted() {
        let (bytes, ends) = written(3);
        for at in ends[0]..ends[1] {
            let mut hurt = bytes.clone();
            hurt[at] ^= 0x40;
            let (entries, report) = read_frames(&hurt);
            assert_eq!(entries, [entry(0), entry(2)], "byte {at}");
            assert!(report.is_damaged());
            assert_eq!((report.damaged_bytes, report.torn_bytes), ((ends[1] - ends[0]) as u64, 0));
        }
    }

    #[test]
    fn an_order_of_a_later_build_is_counted() {
        let mut bytes = Vec::new();
        let body =
            br#"{"boot":"00000000000000000000000000000007","tick":1,"wall":1,"order":"new"}"#;
        frame_of(u32::try_from(body.len()).expect("short"), body, &mut bytes);
        write_frame(&entry(1), &mut bytes).expect("small");
        let (entries, report) = read_frames(&bytes);
        assert_eq!((entries.len(), report.frames, report.unknown), (1, 2, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let (_, report) = read_frames(&bytes);
            prop_assert!(report.damaged_bytes + report.torn_bytes <= bytes.len() as u64);
        }

        /// Every byte is either in a whole frame or counted, however frames and noise are mixed.
        #[test]
        fn bytes_add_up(pieces in proptest::collection::vec(
            prop_oneof![
                (0u64..9).prop_map(|n| { let mut b = Vec::new();
                    write_frame(&entry(n), &mut b).expect("small"); b }),
                proptest::collection::vec(any::<u8>(), 0..40),
                Just(MARKER.to_vec()),
            ], 0..12)) {
            let bytes: Vec<u8> = pieces.concat();
            let (entries, report) = read_frames(&bytes);
            let whole: usize = entries.iter().map(|e| {
                let mut b = Vec::new();
                write_frame(e, &mut b).expect("small");
                b.len()
            }).sum();
            prop_assert_eq!(
                whole as u64 + report.damaged_bytes + report.torn_bytes,
                bytes.len() as u64
            );
        }
    }
}
