//! The formats, their oddities, and hostile files.
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

use std::io::Write;
use std::path::Path;

use portcullis_types::Tick;
use proptest::prelude::*;

use super::*;

/// What a test looks at of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    wire_len: u32,
    at: u64,
    link: LinkKind,
    number: u64,
}

fn read(paths: &[&Path]) -> (Vec<Seen>, PcapSource) {
    let mut source = PcapSource::open(paths).unwrap();
    let (mut seen, mut burst) = (Vec::new(), Vec::new());
    while source.receive(&mut burst, 64) != Received::EndOfInput {
        for frame in burst.drain(..) {
            let bytes = source.bytes(&frame.slot).to_vec();
            let (wire_len, at, link) = (frame.wire_len, frame.at.0, frame.link);
            seen.push(Seen { bytes, wire_len, at, link, number: frame.number });
            source.discard(frame.slot);
        }
    }
    (seen, source)
}

fn read_bytes(bytes: &[u8]) -> (Vec<Seen>, CaptureOutcome) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let (seen, source) = read(&[file.path()]);
    (seen, source.outcomes()[0].clone())
}

/// A classic capture in either byte order.
struct ClassicFile {
    big: bool,
    bytes: Vec<u8>,
}

impl ClassicFile {
    fn new(big: bool, magic: u32, link_type: u32) -> ClassicFile {
        let mut file = ClassicFile { big, bytes: Vec::new() };
        file.words(&[magic]);
        file.halves(&[2, 4]);
        file.words(&[0, 0, 65_535, link_type]);
        file
    }
    fn halves(&mut self, values: &[u16]) {
        for v in values {
            let bytes = if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
            self.bytes.extend(bytes);
        }
    }
    fn words(&mut self, values: &[u32]) {
        for v in values {
            let bytes = if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
            self.bytes.extend(bytes);
        }
    }
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut ClassicFile)) {
        let mut inner = ClassicFile { big: self.big, bytes: Vec::new() };
        body(&mut inner);
        inner.bytes.resize(inner.bytes.len().next_multiple_of(4), 0);
        let length = u32::try_from(inner.bytes.len()).unwrap() + 12;
        self.words(&[kind, length]);
        self.bytes.extend(inner.bytes);
        self.words(&[length]);
    }
    fn section(&mut self) {
        self.block(0x0a0d_0d0a, |b| {
            b.words(&[0x1a2b_3c4d]);
            b.halves(&[1, 0]);
            b.words(&[u32::MAX, u32::MAX]);
        });
    }
    fn interface(&mut self, link_type: u16, snap: u32, options: &[(u16, &[u8])]) {
        self.block(1, |b| {
            b.halves(&[link_type, 0]);
            b.words(&[snap]);
            for (code, value) in options {
                b.halves(&[*code, u16::try_from(value.len()).unwrap()]);
                b.bytes.extend(*value);
                b.bytes.resize(b.bytes.len().next_multiple_of(4), 0);
            }
            b.halves(&[0, 0]);
        });
    }
    fn enhanced(&mut self, interface: u32, units: u64, frame: &[u8]) {
        let len = u32::try_from(frame.len()).unwrap();
        self.block(6, |b| {
            let (high, low) = ((units >> 32) as u32, (units & 0xffff_ffff) as u32);
            b.words(&[interface, high, low, len, len + 4]);
            b.bytes.extend(frame);
        });
    }
}

fn pcapng(big: bool) -> ClassicFile {
    let mut file = ClassicFile { big, bytes: Vec::new() };
    file.section();
    file
}

#[test]
fn classic_in_both_orders_and_all_magics() {
    for big in [false, true] {
        for (magic, factor) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1), (0xa1b2_cd34, 1_000)] {
            let mut file = ClassicFile::new(big, magic, 1);
            for i in 0..3_u32 {
                file.words(&[100 + i, 7, 5, 60]);
                if magic == 0xa1b2_cd34 {
                    file.words(&[0, 0]);
                }
                file.bytes.extend([1, 2, 3, 4, u8::try_from(i).unwrap()]);
            }
            let (seen, outcome) = read_bytes(&file.bytes);
            assert_eq!(seen.len(), 3, "big {big}, magic {magic:x}");
            assert_eq!(seen[2].bytes, [1, 2, 3, 4, 2]);
            assert_eq!(seen[2].at, 102_000_000_000 + 7 * factor);
            assert_eq!((seen[2].wire_len, seen[2].number), (60, 3));
            assert_eq!(outcome.end, CaptureEnd::Complete);
        }
    }
}

#[test]
fn compressed_captures_are_told_by_content() {
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
    for i in 0..50_000_u32 {
        file.words(&[i, 0, 60, 60]);
        file.bytes.extend([0x5a; 60]);
    }
    let plain = read_bytes(&file.bytes).0;
    assert_eq!(plain.len(), 50_000, "several chunks long");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&file.bytes).unwrap();
    let gz = gz.finish().unwrap();
    assert!(read_bytes(&gz).0 == plain, "gzip");
    assert!(read_bytes(&zstd::encode_all(&file.bytes[..], 1).unwrap()).0 == plain, "zstd");
    let (seen, outcome) = read_bytes(&gz[..gz.len() / 2]);
    assert!(!seen.is_empty() && seen.len() < 50_000, "what comes before the cut is read");
    assert!(matches!(outcome.end, CaptureEnd::Failed(_)), "{:?}", outcome.end);
}

#[test]
fn pcapng_sections_interfaces_and_clocks() {
    for big in [false, true] {
        let mut file = pcapng(big);
        let offset = if big { 10_i64.to_be_bytes() } else { 10_i64.to_le_bytes() };
        file.interface(1, 0, &[(2, b"eth0"), (9, &[9])]);
        file.interface(101, 0, &[(9, &[0x80 | 10]), (14, &offset)]);
        file.interface(228, 0, &[]);
        file.enhanced(0, 1_000_000_000_007, &[1; 61]);
        file.block(5, |b| b.words(&[1, 2, 3]));
        file.enhanced(1, 2_000 << 10 | 512, &[2; 20]);
        file.enhanced(2, 2_011_000_000, &[3; 20]);
        file.block(2, |b| {
            b.halves(&[2, 0]);
            b.words(&[0, 2_012_000_000, 3, 3]);
            b.bytes.extend([4; 3]);
        });
        file.big = !big;
        file.section();
        file.interface(113, 40, &[]);
        file.block(3, |b| {
            b.words(&[99]);
            b.bytes.extend([5; 40]);
        });
        file.enhanced(1, 5, &[6; 4]);
        let (seen, outcome) = read_bytes(&file.bytes);
        let got: Vec<_> = seen.iter().map(|s| (s.link, s.at, s.bytes.len(), s.wire_len)).collect();
        assert_eq!(
            got,
            [
                (LinkKind::Ethernet, 1_000_000_000_007, 61, 65),
                (LinkKind::RawIp, 2_010_500_000_000, 20, 24),
                (LinkKind::RawIp, 2_011_000_000_000, 20, 24),
                (LinkKind::RawIp, 2_012_000_000_000, 3, 3),
                (LinkKind::LinuxSll, 2_012_000_000_000, 40, 99),
            ]
        );
        assert_eq!(outcome.refused, [RefusedLink { link_type: None, frames: 1 }]);
        assert_eq!((outcome.frames, &outcome.end), (6, &CaptureEnd::Complete));
    }
}

#[test]
fn odd_resolutions_neither_panic_nor_overflow() {
    for resolution in 0..=u8::MAX {
        let mut file = pcapng(false);
        file.interface(1, 0, &[(9, &[resolution]), (14, &i64::MIN.to_le_bytes())]);
        file.enhanced(0, u64::MAX, &[0; 14]);
        assert_eq!(read_bytes(&file.bytes).0.len(), 1);
    }
}

#[test]
fn foreign_link_types_are_counted_not_lost() {
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 195);
    for _ in 0..4 {
        file.words(&[1, 1, 2, 2]);
        file.bytes.extend([0; 2]);
    }
    let (seen, outcome) = read_bytes(&file.bytes);
    assert!(seen.is_empty());
    assert_eq!(outcome.refused, [RefusedLink { link_type: Some(195), frames: 4 }]);
    assert_eq!(outcome.end, CaptureEnd::Complete);
}

#[test]
fn cut_and_lying_records_keep_the_frames_before() {
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
    file.words(&[1, 1, 2, 2]);
    file.bytes.extend([0; 2]);
    let good = file.bytes.len();
    file.words(&[1, 1, 90, 90]);
    file.bytes.extend([0; 89]);
    let (seen, outcome) = read_bytes(&file.bytes);
    assert_eq!((seen.len(), outcome.truncated, &outcome.end), (1, 1, &CaptureEnd::Truncated));

    file.bytes.truncate(good);
    file.words(&[1, 1, u32::MAX, u32::MAX]);
    let (seen, outcome) = read_bytes(&file.bytes);
    assert_eq!(seen.len(), 1);
    assert!(matches!(outcome.end, CaptureEnd::Damaged(_)));

    // A record that the snap length allows but no ring slot could carry.
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
    file.bytes[16..20].copy_from_slice(&400_000_u32.to_le_bytes());
    file.words(&[1, 1, 400_000, 400_000]);
    file.bytes.resize(file.bytes.len() + 400_000, 7);
    file.words(&[1, 1, 2, 2]);
    file.bytes.extend([9; 2]);
    let (seen, outcome) = read_bytes(&file.bytes);
    assert_eq!((seen.len(), outcome.oversized, outcome.frames), (1, 1, 2));
    assert_eq!((&seen[0].bytes[..], seen[0].number), (&[9, 9][..], 2));
}

#[test]
fn several_captures_are_one_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = [50_u32, 40, 60]
        .iter()
        .map(|second| {
            let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
            file.words(&[*second, 0, 1, 1]);
            file.bytes.push(0);
            let path = folder.path().join(second.to_string());
            std::fs::write(&path, &file.bytes).unwrap();
            path
        })
        .collect();
    let (seen, source) = read(&paths.iter().map(|p| p.as_path()).collect::<Vec<_>>());
    let at: Vec<_> = seen.iter().map(|s| (s.at / 1_000_000_000, s.number)).collect();
    assert_eq!(at, [(50, 1), (50, 1), (60, 1)]);
    assert_eq!(source.outcomes()[1].times_raised, 1);
    let progress = source.progress();
    assert_eq!((progress.captures_ended(), progress.captures()), (3, 3));
    assert_eq!((progress.bytes_read(), progress.bytes_total()), (123, 123));
}

#[test]
fn frames_held_by_the_burst_loop_stay_as_they_are() {
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
    for i in 0..6_000_u32 {
        file.words(&[i, 0, 1_000, 1_000]);
        file.bytes.extend(i.to_le_bytes().repeat(250));
    }
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &file.bytes).unwrap();
    let mut source = PcapSource::open(&[path.path()]).unwrap();
    let mut held = Vec::new();
    while source.receive(&mut held, 500) == Received::Frames {}
    assert!(held.len() > 4_000 && held.len() < 6_000, "all chunks are out: {}", held.len());
    assert_eq!(source.receive(&mut held, 1), Received::Nothing);
    let mut next = 0_u32;
    loop {
        for frame in held.drain(..) {
            assert_eq!(source.bytes(&frame.slot), next.to_le_bytes().repeat(250));
            next += 1;
            source.discard(frame.slot);
        }
        match source.receive(&mut held, 500) {
            Received::EndOfInput => break,
            _ => assert!(!held.is_empty()),
        }
    }
    assert_eq!(next, 6_000);
}

#[test]
fn frames_travel_between_sources() {
    let mut file = ClassicFile::new(false, 0xa1b2_c3d4, 1);
    file.words(&[1, 0, 3, 3]);
    file.bytes.extend([7, 8, 9]);
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &file.bytes).unwrap();
    let [mut here, mut there] = [0; 2].map(|_| PcapSource::open(&[path.path()]).unwrap());
    let mut burst = Vec::new();
    here.receive(&mut burst, 1);
    let lent = here.lend(burst.remove(0).slot, PortSide::A);
    let (slot, side) = there.adopt(lent);
    assert_eq!((there.bytes(&slot), side), (&[7, 8, 9][..], PortSide::A));
    assert_eq!((here.statistics().in_hand, there.statistics().in_hand), (1, 1));
    there.forward(slot).unwrap();
    let at_home = here.statistics();
    assert_eq!((at_home.in_hand, at_home.returned_home), (0, 1));
    assert_eq!(there.statistics().in_hand, 0);
}

#[test]
fn what_is_no_capture_is_refused_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (bytes, remedy) in [
        (&b""[..], "see whether it was written"),
        (b"PK\x03\x04 something", "editcap"),
        (b"\xd4\xc3\xb2\xa1", "editcap"),
    ] {
        std::fs::write(file.path(), bytes).unwrap();
        let refused = PcapSource::open(&[file.path()]).err().unwrap().to_string();
        assert!(refused.contains(remedy), "{refused}");
    }
    assert!(PcapSource::open(&[Path::new("/nonexistent")]).is_err());
    assert!(PcapSource::open::<&Path>(&[]).is_err());
}

/// Reads whatever it is, if it is taken for a capture at all.
fn survive(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    if let Ok(mut source) = PcapSource::open(&[file.path()]) {
        let (mut burst, mut frames) = (Vec::new(), 0);
        while source.receive(&mut burst, 7) != Received::EndOfInput {
            for frame in burst.drain(..) {
                assert_eq!(source.bytes(&frame.slot).len(), frame.len as usize);
                frames += 1;
                source.discard(frame.slot);
            }
        }
        let outcome = &source.outcomes()[0];
        assert_eq!(outcome.delivered, frames);
        assert_ne!(outcome.end, CaptureEnd::Reading);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        magic in prop::sample::select(vec![0xa1b2_c3d4_u32, 0xd4c3_b2a1, 0x0a0d_0d0a, 0x1f8b_0808,
            0x28b5_2ffd, 0x4d3c_b2a1, 0x34cd_b2a1]),
        tail in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(tail);
        survive(&bytes);
    }

    #[test]
    fn damaged_pcapng_never_panics(
        big in any::<bool>(),
        frames in prop::collection::vec((0_u32..3, any::<u64>(), 0_usize..90), 0..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = pcapng(big);
        file.interface(1, 0, &[(9, &[6])]);
        file.interface(276, 0, &[]);
        for (interface, units, len) in frames {
            file.enhanced(interface, units, &vec![0xee; len]);
        }
        for (place, value) in damage {
            let at = place.index(file.bytes.len() - 12) + 12;
            file.bytes[at] = value;
        }
        file.bytes.truncate(cut.index(file.bytes.len()) + 1);
        survive(&file.bytes);
    }

    #[test]
    fn what_is_written_is_read(
        frames in prop::collection::vec(
            (1_u64..u64::from(u32::MAX) * 1_000_000_000, prop::collection::vec(any::<u8>(), 0..200),
             0_u32..100_000), 0..20),
    ) {
        let mut writer = PcapWriter::new(Vec::new(), LinkKind::LinuxSll2).unwrap();
        let mut frames = frames;
        frames.sort();
        for (at, bytes, wire_len) in &frames {
            writer.write(Tick(*at), bytes, *wire_len).unwrap();
        }
        let (seen, _) = read_bytes(&writer.finish().unwrap());
        prop_assert_eq!(seen.len(), frames.len());
        for (seen, (at, bytes, wire_len)) in seen.iter().zip(&frames) {
            prop_assert_eq!(seen.at, *at);
            prop_assert_eq!(&seen.bytes, bytes);
            prop_assert_eq!(seen.link, LinkKind::LinuxSll2);
            prop_assert_eq!(seen.wire_len, (*wire_len).max(u32::try_from(bytes.len()).unwrap()));
        }
    }
}
