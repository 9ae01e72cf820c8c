//! Conversations of a capture, for tests: reads pcap and pcapng, puts streams together in order
//! and tells a conversation each. It knows no fragments and no tunnels.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(unreachable_pub, reason = "a module of several tests")]
#![allow(clippy::indexing_slicing, reason = "a test may stop")]

use portcullis_decode::{Conversation, Direction, Limits, Output, Transport};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The corpus: the folder that `PORTCULLIS_CORPUS` names, or `shared/corpus` above this one.
pub fn corpus() -> Option<PathBuf> {
    let setting = std::env::var("PORTCULLIS_CORPUS").unwrap_or_default();
    if !setting.is_empty() && setting != "required" {
        return Some(PathBuf::from(setting));
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|above| above.join("shared/corpus")).find(|path| path.is_dir())
}

/// An address and a port.
pub type End = (IpAddr, u16);

/// A flow and what was decoded of it.
pub struct Told {
    /// Who spoke first.
    pub client: End,
    /// The other one.
    pub server: End,
    /// What is spoken.
    pub application: u16,
    /// Whether both spoke.
    pub both: bool,
    /// Whether the client spoke.
    pub asked: bool,
    /// Everything that came out.
    pub out: Output,
}

struct Flow {
    client: End,
    server: End,
    conversation: Conversation,
    out: Output,
    next: [Option<u32>; 2],
    early: [BTreeMap<u32, Vec<u8>>; 2],
    spoke: [bool; 2],
}

/// Decodes every flow of a capture.
pub fn decode(path: &Path) -> Vec<Told> {
    decode_cut(path, usize::MAX)
}

/// The same, streams told in parts of at most so many bytes.
pub fn decode_cut(path: &Path, step: usize) -> Vec<Told> {
    let bytes = std::fs::read(path).expect("the capture can be read");
    let mut flows: Vec<Flow> = Vec::new();
    let mut index: HashMap<(End, End, u8), usize> = HashMap::new();
    let limits = Arc::new(Limits::default());
    for (link, frame) in frames(&bytes) {
        let Some(packet) = packet(link, frame) else { continue };
        let (a, b) = (packet.source, packet.destination);
        let key = if a < b { (a, b, packet.protocol) } else { (b, a, packet.protocol) };
        let tcp = packet.protocol == 6;
        let opens = tcp && packet.flags & 0x12 == 0x02;
        let old = index.get(&key).copied().filter(|_| !opens);
        let at = old.unwrap_or_else(|| {
            let backwards = tcp && packet.flags & 0x12 == 0x12 || !tcp && a.1 == 53 && b.1 != 53;
            let (client, server) = if backwards { (b, a) } else { (a, b) };
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            flows.push(Flow {
                client,
                server,
                conversation: Conversation::new(transport, server.1, Arc::clone(&limits)),
                out: Output::default(),
                next: [None; 2],
                early: Default::default(),
                spoke: [false; 2],
            });
            index.insert(key, flows.len() - 1);
            flows.len() - 1
        });
        flows[at].packet(&packet, step);
    }
    flows
        .into_iter()
        .map(|mut flow| {
            for way in [Direction::ToServer, Direction::ToClient] {
                flow.conversation.end(way, &mut flow.out);
            }
            let application = flow.conversation.application();
            let (both, asked) = (flow.spoke == [true; 2], flow.spoke[0]);
            Told {
                client: flow.client,
                server: flow.server,
                application,
                both,
                asked,
                out: flow.out,
            }
        })
        .collect()
}

impl Flow {
    fn packet(&mut self, packet: &Packet<'_>, step: usize) {
        let up = packet.source == self.client;
        let way = if up { Direction::ToServer } else { Direction::ToClient };
        let at = way as usize;
        self.spoke[at] |= !packet.payload.is_empty();
        if packet.protocol == 17 {
            self.conversation.data(way, packet.payload, &mut self.out);
            return;
        }
        if packet.flags & 0x02 != 0 {
            self.next[at] = Some(packet.sequence.wrapping_add(1));
            return;
        }
        if packet.payload.is_empty() {
            return;
        }
        self.next[at].get_or_insert(packet.sequence);
        self.early[at].entry(packet.sequence).or_insert_with(|| packet.payload.to_vec());
        while let Some(next) = self.next[at] {
            let found = self.early[at].iter().find_map(|(&from, bytes)| {
                let skip = next.wrapping_sub(from) as usize;
                (skip <= bytes.len()).then_some((from, skip))
            });
            let Some((from, skip)) = found else { break };
            let bytes = self.early[at].remove(&from).expect("it was found");
            for part in bytes[skip..].chunks(step) {
                self.conversation.data(way, part, &mut self.out);
            }
            self.next[at] = Some(next.wrapping_add(u32::try_from(bytes.len() - skip).unwrap_or(0)));
        }
    }
}

struct Packet<'a> {
    source: End,
    destination: End,
    protocol: u8,
    sequence: u32,
    flags: u8,
    payload: &'a [u8],
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn packet(link: u32, frame: &[u8]) -> Option<Packet<'_>> {
    let ip = match link {
        1 => {
            let mut at = 12;
            while matches!(be16(frame, at)?, 0x8100 | 0x88a8) {
                at += 4;
            }
            matches!(be16(frame, at)?, 0x0800 | 0x86dd).then_some(())?;
            frame.get(at + 2..)?
        }
        113 => frame.get(16..)?,
        0 => frame.get(4..)?,
        _ => frame,
    };
    let (source, destination, protocol, body): (IpAddr, IpAddr, u8, &[u8]) = match ip.first()? >> 4
    {
        4 => {
            let header = usize::from(ip[0] & 15) * 4;
            let total = usize::from(be16(ip, 2)?).min(ip.len());
            (be16(ip, 6)? & 0x3fff == 0).then_some(())?;
            let address =
                |at: usize| <[u8; 4]>::try_from(ip.get(at..at + 4)?).ok().map(IpAddr::from);
            (address(12)?, address(16)?, *ip.get(9)?, ip.get(header..total)?)
        }
        6 => {
            let end = (40 + usize::from(be16(ip, 4)?)).min(ip.len());
            let address =
                |at: usize| <[u8; 16]>::try_from(ip.get(at..at + 16)?).ok().map(IpAddr::from);
            (address(8)?, address(24)?, *ip.get(6)?, ip.get(40..end)?)
        }
        _ => return None,
    };
    let (sport, dport) = (be16(body, 0)?, be16(body, 2)?);
    let (sequence, flags, payload) = match protocol {
        6 => {
            let header = usize::from(*body.get(12)? >> 4) * 4;
            (be32(body, 4)?, *body.get(13)?, body.get(header..)?)
        }
        17 => {
            let length = usize::from(be16(body, 4)?).clamp(8, body.len());
            (0, 0, body.get(8..length)?)
        }
        _ => return None,
    };
    let (source, destination) = ((source, sport), (destination, dport));
    Some(Packet { source, destination, protocol, sequence, flags, payload })
}

/// Link type and bytes of each frame.
fn frames(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        return blocks(bytes);
    }
    let little = matches!(bytes.first(), Some(0xd4 | 0x4d));
    let word = |at: usize| -> Option<u32> {
        let four = <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let (mut frames, mut at) = (Vec::new(), 24);
    let link = word(20).unwrap_or(0) & 0xffff;
    while let Some(length) = word(at + 8) {
        let Some(frame) = bytes.get(at + 16..at + 16 + length as usize) else { break };
        frames.push((link, frame));
        at += 16 + length as usize;
    }
    frames
}

fn blocks(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let little = bytes.get(8) == Some(&0x4d);
    let word = |at: usize| -> Option<u32> {
        let four = <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let (mut frames, mut links, mut at) = (Vec::new(), Vec::new(), 0);
    while let (Some(kind), Some(length)) = (word(at), word(at + 4)) {
        match kind {
            1 => links.push(word(at + 8).unwrap_or(0) & if little { 0xffff } else { 0xffff_0000 }),
            6 => {
                let link = links.get(word(at + 8).unwrap_or(0) as usize).copied().unwrap_or(1);
                let captured = word(at + 20).unwrap_or(0) as usize;
                if let Some(frame) = bytes.get(at + 28..at + 28 + captured) {
                    frames.push((link, frame));
                }
            }
            _ => {}
        }
        if length < 12 {
            break;
        }
        at += length as usize;
    }
    frames
}
