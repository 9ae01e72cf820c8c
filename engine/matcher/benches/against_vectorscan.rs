//! Our matcher beside Vectorscan: bytes per second of processor time, on real traffic.
//!
//! `cargo bench -p portcullis-matcher --features vectorscan --bench against_vectorscan -- RULES
//! CAPTURE...` takes the plain contents of a file of rules as one group, and of each frame of
//! pcap files what lies behind 54 bytes (Ethernet, IPv4, TCP). Rounds of the two are interleaved,
//! and each one's fastest counts.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench, not a product")]

use portcullis_matcher::{Builder, Case, Limits, Literal, LiteralSearch, Vectorscan};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

const ROUNDS: usize = 9;
const HEADERS: usize = 54;

fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap())
}

/// Contents of at least so many bytes, without bars and escapes.
fn contents(text: &str, least: usize) -> Vec<(Vec<u8>, Case)> {
    let mut all = Vec::new();
    for rest in text.split("content:\"").skip(1) {
        let Some((content, behind)) = rest.split_once('"') else { continue };
        if content.len() < least || content.contains(['|', '\\']) {
            continue;
        }
        let nocase = behind.split("content:").next().unwrap().contains("nocase");
        let case = if nocase { Case::Insensitive } else { Case::Sensitive };
        all.push((content.as_bytes().to_vec(), case));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

/// Payloads of a little-endian pcap file.
fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut all = Vec::new();
    while let Some(head) = rest.get(..16) {
        let length = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let Some(frame) = rest.get(16..16 + length) else { break };
        all.extend(frame.get(HEADERS..).filter(|p| !p.is_empty()).map(<[u8]>::to_vec));
        rest = &rest[16 + length..];
    }
    all
}

/// Hits and time of one round.
fn round(search: &mut impl LiteralSearch, payloads: &[Vec<u8>]) -> (u64, Duration) {
    let (mut hits, began) = (0_u64, spent());
    for payload in payloads {
        search.search(0, payload, 0, &mut |_| hits += 1);
    }
    (hits, spent().saturating_sub(began))
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| w != "--bench").collect();
    let [rules, captures @ ..] = words.as_slice() else {
        println!("name a file of rules, and captures");
        return;
    };
    let rules = std::fs::read(rules).unwrap();
    let text = String::from_utf8_lossy(&rules);
    let read = |path: &String| payloads(&std::fs::read(path).unwrap());
    let payloads: Vec<Vec<u8>> = captures.iter().flat_map(read).collect();
    // Short ones, such as `GET `, are found all the time; rules are found by their longest.
    for least in [4, 8, 12] {
        compare(&contents(&text, least), &payloads);
    }
}

fn compare(literals: &[(Vec<u8>, Case)], payloads: &[Vec<u8>]) {
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    let all = || {
        let each = literals.iter().zip(0..);
        each.map(|((bytes, nocase), id)| Literal { id, bytes, nocase: *nocase, group: 0 })
    };
    let began = spent();
    let mut builder = Builder::new(Limits::default());
    all().for_each(|literal| builder.add(literal).unwrap());
    let ours = builder.build();
    let built = spent();
    let mut theirs = Vectorscan::new(all()).unwrap();
    let compiled = spent();
    println!("{} literals, {} payloads, {bytes} bytes", literals.len(), payloads.len());
    println!("built in {:?} (ours), {:?} (vectorscan)", built - began, compiled - built);
    let mut best = [Duration::MAX; 2];
    let mut hits = [0; 2];
    for _ in 0..ROUNDS {
        let rounds = [round(&mut &ours, payloads), round(&mut theirs, payloads)];
        for (at, (found, time)) in rounds.into_iter().enumerate() {
            hits[at] = found;
            best[at] = best[at].min(time);
        }
    }
    assert_eq!(hits[0], hits[1], "they find the same");
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e9;
    let [our_rate, their_rate] = best.map(rate);
    println!(
        "{} hits; {our_rate:.3} GB/s (ours), {their_rate:.3} GB/s (vectorscan): {:.2} times",
        hits[0],
        our_rate / their_rate
    );
}
