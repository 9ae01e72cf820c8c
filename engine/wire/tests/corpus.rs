//! Real captures: nothing panics, the manifest's VLANs are seen, and clean traffic is not called
//! malformed. `--nocapture` prints how often each reject was found.
//!
//! The corpus lies beside the checkout or where `PORTCULLIS_CORPUS_DIR` says. Where it is absent
//! the test says so and passes, unless `PORTCULLIS_CORPUS=required`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use portcullis_types::VlanStack;
use portcullis_wire::{Checks, LinkType, Packet, PacketKind, Reject, RejectSet, parse};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("PORTCULLIS_CORPUS_DIR").map_or(beside, PathBuf::from);
    if folder.join("MANIFEST.jsonl").is_file() {
        return Some(folder);
    }
    let required = std::env::var_os("PORTCULLIS_CORPUS").is_some_and(|v| v == "required");
    assert!(!required, "no corpus at {}: set PORTCULLIS_CORPUS_DIR", folder.display());
    println!("skipped: no corpus at {}", folder.display());
    None
}

fn link_type(number: u32) -> Option<LinkType> {
    Some(match number {
        0 => LinkType::Null,
        1 => LinkType::Ethernet,
        12 | 101 | 228 | 229 => LinkType::RawIp,
        104 => LinkType::CiscoHdlc,
        108 => LinkType::Loop,
        113 => LinkType::LinuxSll,
        276 => LinkType::LinuxSll2,
        _ => return None,
    })
}

/// A frame, and whether the capture cut it short.
type Captured<'a> = (&'a [u8], bool);

/// Frames of a classic pcap; `None` for other formats and links.
fn frames(bytes: &[u8]) -> Option<(LinkType, Vec<Captured<'_>>)> {
    let little = match bytes.first_chunk::<4>()? {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => return None,
    };
    let word = |bytes: &[u8], at: usize| {
        let four = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if little { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) })
    };
    let link = link_type(word(bytes, 20)? & 0xffff)?;
    let mut found = Vec::new();
    let mut rest = bytes.get(24..)?;
    while let (Some(len), Some(wire_len)) = (word(rest, 8), word(rest, 12)) {
        let Some(frame) = rest.get(16..16 + len as usize) else { break };
        found.push((frame, wire_len > len));
        rest = &rest[16 + frame.len()..];
    }
    Some((link, found))
}

/// What one capture showed.
#[derive(Default)]
struct Seen {
    frames: u64,
    stacks: BTreeSet<String>,
    rejects: BTreeMap<&'static str, u64>,
    dropped: u64,
}

impl Seen {
    fn look(&mut self, frame: &[u8], link: LinkType, cut: bool) {
        self.frames += 1;
        let spared = if cut { RejectSet::CUT_CAPTURE } else { RejectSet::EMPTY };
        let (vlan, found) = match parse(frame, link, Checks::NONE) {
            Ok(packet) => {
                hold_together(&packet, frame);
                (packet.vlan, packet.rejects.without(spared))
            }
            // A header that the snap length cut says nothing either.
            Err(e) if cut => (e.vlan, RejectSet::EMPTY),
            Err(e) => (e.vlan, e.rejects.with(e.reject)),
        };
        for reject in found.iter() {
            *self.rejects.entry(reject.name()).or_default() += 1;
        }
        self.dropped += u64::from(!found.intersection(RejectSet::DEFAULT_DROP).is_empty());
        if vlan.depth() > 0 {
            self.stacks.insert(vlan.to_string());
        }
    }
}

fn hold_together(packet: &Packet, frame: &[u8]) {
    assert_eq!(packet.payload(frame).len(), usize::from(packet.payload_len));
    assert!(packet.payload_offset >= packet.l4_offset && packet.l4_offset >= packet.l3_offset);
    assert_eq!(packet.kind == PacketKind::Ip, packet.ip_version != 0);
    let _ = packet.tcp_options(frame);
}

/// The manifest's stacks, e.g. `200.2001`, in our form: it lists VID 0, which is no place here.
fn stacks(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts
        .map(|text| text.split('.').map(|vid| vid.parse().unwrap()).collect::<Vec<u16>>())
        .filter_map(|vids| VlanStack::from_vids(&vids))
        .filter(|stack| stack.depth() > 0)
        .map(|stack| stack.to_string())
        .collect()
}

#[test]
fn real_traffic() {
    let Some(folder) = corpus() else { return };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.jsonl")).unwrap();
    let (mut captures, mut frames_in_all, mut clean_frames, mut clean_dropped) = (0, 0, 0, 0);
    let mut clean = BTreeMap::<&str, (u64, BTreeSet<String>)>::new();
    let mut missing = Vec::new();
    for line in manifest.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let Some((link, frames)) = frames(&bytes) else { continue };
        let mut seen = Seen::default();
        for (frame, cut) in frames {
            seen.look(frame, link, cut);
        }
        captures += 1;
        frames_in_all += seen.frames;
        let unseen: Vec<_> = stacks(&row["vlan_ids"]).difference(&seen.stacks).cloned().collect();
        if !unseen.is_empty() {
            missing.push(format!("{name}: {unseen:?}, saw {:?}", seen.stacks));
        }
        if row["fp_use"] == "clean" {
            clean_frames += seen.frames;
            clean_dropped += seen.dropped;
            for (reject, count) in seen.rejects {
                let entry = clean.entry(reject).or_default();
                entry.0 += count;
                entry.1.insert(name.to_owned());
            }
        }
    }
    println!("{captures} captures, {frames_in_all} frames; clean: {clean_frames} frames");
    for (reject, (count, files)) in &clean {
        let default =
            Reject::ALL.iter().any(|r| r.name() == *reject && RejectSet::DEFAULT_DROP.contains(*r));
        let mark = if default { "DROP" } else { "" };
        let few: Vec<_> = files.iter().take(4).collect();
        println!("{count:8} {:4} {mark:4} {reject:32} {few:?}", files.len());
    }
    println!("clean frames that DEFAULT_DROP names: {clean_dropped}");
    assert!(captures > 1000, "the corpus holds over a thousand classic captures");
    assert!(missing.is_empty(), "VLANs of the manifest not seen:\n{}", missing.join("\n"));
    // Anonymised addresses (class D and E sources) and lengths that segmentation left at zero make
    // about 1.2 in a thousand; more means that something common is called malformed.
    assert!(clean_dropped * 500 < clean_frames, "{clean_dropped} of {clean_frames}");
}
