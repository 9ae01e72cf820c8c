#![allow(clippy::cast_possible_truncation, reason = "test traffic: low bytes are what is wanted")]
//! Mixed traffic of a company's border from a seed: DNS, TLS, HTTP and SMTP in realistic shares,
//! many flows at a time; and TLS in bulk. The same bytes in every run.
//!
//! Of 100 flows 40 ask DNS, 35 speak TLS, 20 HTTP and 5 SMTP; of the bytes TLS has about half and
//! HTTP most of the rest. Clients are in 10.0.0.0/8 and servers in 198.18.0.0/15 (RFC 2544), but
//! for one in eight, which comes from outside to a server of the company.

mod dns;
mod frames;
mod http;
mod misses;
mod smtp;
mod text;
mod tls;

use crate::traffic::Sequence;
use anyhow::Result;
use frames::{Ends, Frames};
pub use misses::{Filling, Literals};
use std::io::{BufWriter, Write};
use std::path::Path;

/// What is spoken in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// DNS, TLS, HTTP, SMTP.
    Enterprise,
    /// TLS only, 4 MiB a connection.
    TlsBulk,
}

/// Flows at a time.
const AT_ONCE: usize = 500;
/// Microseconds between two packets: about 800 Mbit/s.
const STEP: u64 = 8;

/// One conversation's turns: to the server, to the client.
#[derive(Debug, Default)]
struct Talk {
    turns: Vec<(bool, Vec<u8>)>,
}

impl Talk {
    fn ask(&mut self, bytes: impl Into<Vec<u8>>) {
        self.turns.push((true, bytes.into()));
    }

    fn answer(&mut self, bytes: impl Into<Vec<u8>>) {
        self.turns.push((false, bytes.into()));
    }
}

impl Sequence {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// Whether something of `percent` in a hundred happens.
    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A size between the two, small ones as likely as great ones of the same order.
    #[allow(clippy::cast_sign_loss, reason = "both bounds are above zero, so is what lies between")]
    fn size(&mut self, low: f64, high: f64) -> usize {
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        (low * (high / low).powf(share)).max(0.0).round() as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

/// Writes a classic pcap of `flows` conversations.
///
/// # Errors
/// The file cannot be written.
pub fn write_mixed_capture(path: &Path, mix: Mix, flows: u32) -> Result<()> {
    let at_once = if mix == Mix::TlsBulk { 20 } else { AT_ONCE };
    write(path, flows, at_once, |sequence, number| conversation(sequence, mix, number))
}

/// Writes a classic pcap of `flows` conversations, half over HTTP and half plain, all filled in one
/// way; each has the same packets of the same lengths whatever the filling.
///
/// # Errors
/// The file cannot be written.
pub fn write_filled_capture(path: &Path, filling: Filling<'_>, flows: u32) -> Result<()> {
    write(path, flows, AT_ONCE, |_, number| {
        // Of its own: what a filling draws must not move what comes behind it.
        let mut sequence = Sequence(u64::from(number) << 32 | 11);
        let (port, talk): (u16, _) = match number % 2 {
            0 => (80, misses::http(&mut sequence, filling)),
            _ => (4_444, misses::plain(&mut sequence, filling)),
        };
        let ends = Ends::new(&mut Sequence(u64::from(number)), number, port, number % 4 < 2);
        Frames::tcp(ends, talk)
    })
}

fn write(
    path: &Path,
    flows: u32,
    at_once: usize,
    mut conversation: impl FnMut(&mut Sequence, u32) -> Frames,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut sequence = Sequence(7);
    let mut active: Vec<Frames> = Vec::new();
    let (mut opened, mut at) = (0, 1_700_000_000_000_000_u64);
    loop {
        while active.len() < at_once && opened < flows {
            active.push(conversation(&mut sequence, opened));
            opened += 1;
        }
        if active.is_empty() {
            break;
        }
        let which = sequence.below(active.len() as u64) as usize;
        // Packets come in trains.
        for _ in 0..=sequence.below(4) {
            let Some(frame) = active[which].next() else {
                active.swap_remove(which);
                break;
            };
            let (seconds, micros) = ((at / 1_000_000) as u32, (at % 1_000_000) as u32);
            for word in [seconds, micros, frame.len() as u32, frame.len() as u32] {
                out.write_all(&word.to_le_bytes())?;
            }
            out.write_all(&frame)?;
            at += STEP;
        }
    }
    out.flush()?;
    Ok(())
}

fn conversation(sequence: &mut Sequence, mix: Mix, number: u32) -> Frames {
    if mix == Mix::TlsBulk {
        return Frames::tcp(Ends::new(sequence, number, 443, false), tls::bulk(sequence));
    }
    let inbound = sequence.happens(12);
    match sequence.below(100) {
        0..40 => Frames::udp(Ends::new(sequence, number, 53, false), dns::talk(sequence)),
        40..75 => Frames::tcp(Ends::new(sequence, number, 443, inbound), tls::talk(sequence)),
        75..95 => {
            let port = if sequence.happens(10) { 8080 } else { 80 };
            Frames::tcp(Ends::new(sequence, number, port, inbound), http::talk(sequence))
        }
        _ => {
            let inbound = sequence.happens(50);
            Frames::tcp(Ends::new(sequence, number, 25, inbound), smtp::talk(sequence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("mixed-capture-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        let write = |name: &str| {
            let path = folder.join(name);
            write_mixed_capture(&path, Mix::Enterprise, 200).expect("written");
            std::fs::read(path).expect("read")
        };
        let (first, second) = (write("a"), write("b"));
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(first, second);
        for word in ["HTTP/1.1 200 OK", "MAIL FROM", "EHLO"] {
            let found = first.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(found, "{word} is nowhere");
        }
    }
}
