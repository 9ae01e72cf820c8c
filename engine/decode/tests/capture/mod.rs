//! Reads a capture's TCP payloads in order, as simply as the tests need it. Must never know a
//! protocol above TCP.

use portcullis_decode::Direction;
use portcullis_wire::{Checks, LinkType, parse};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of one direction.
pub(crate) struct Payload {
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
}

/// The nearest `shared/corpus` above this crate.
pub(crate) fn corpus() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("shared/corpus")).find(|path| path.is_dir())
}

/// Payloads of the first flow: in stream order, each byte once.
pub(crate) fn payloads(path: &Path) -> Vec<Payload> {
    let file = std::fs::read(path).expect("a capture");
    let mut client = None;
    let mut next: [Option<u32>; 2] = [None, None];
    let mut waiting: [BTreeMap<u32, Vec<u8>>; 2] = Default::default();
    let mut made = Vec::new();
    for frame in frames(&file) {
        let Ok(packet) = parse(frame, LinkType::Ethernet, Checks::NONE) else { continue };
        if packet.protocol != 6 {
            continue;
        }
        let end = (packet.src, packet.src_port);
        let client = *client.get_or_insert(end);
        let direction = if end == client { Direction::ToServer } else { Direction::ToClient };
        let side = direction as usize;
        let start = usize::from(packet.payload_offset);
        let bytes = &frame[start..start + usize::from(packet.payload_len)];
        if packet.tcp.flags.0 & 2 != 0 {
            next[side] = Some(packet.tcp.seq.wrapping_add(1));
        }
        let expected = *next[side].get_or_insert(packet.tcp.seq);
        if bytes.is_empty() {
            continue;
        }
        waiting[side].insert(packet.tcp.seq.wrapping_sub(expected), bytes.to_vec());
        let mut at = 0u32;
        for (offset, bytes) in std::mem::take(&mut waiting[side]) {
            if offset > at && offset < 1 << 31 {
                waiting[side].insert(offset - at, bytes);
                continue;
            }
            let skip = at.wrapping_sub(offset) as usize;
            if let Some(fresh) = bytes.get(skip..).filter(|fresh| !fresh.is_empty()) {
                at += u32::try_from(fresh.len()).expect("a packet's length");
                made.push(Payload { direction, bytes: fresh.to_vec() });
            }
        }
        next[side] = Some(expected.wrapping_add(at));
    }
    made
}

/// The frames of a classic capture file, little-endian.
fn frames(file: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut at = 24;
    while let Some(header) = file.get(at..at + 16) {
        let length = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let Some(frame) = file.get(at + 16..at + 16 + length) else { break };
        frames.push(frame);
        at += 16 + length;
    }
    frames
}
