//! Memory under a SYN flood of ten million distinct sources: the engine's resident set stays below
//! what it printed at its start, and honest connections go on.
//!
//! Method: one lab with a client, a web server and an engine with the shipped detectors between
//! them. A packet socket sends ten million SYNs, each from another address and port, past the
//! bridge into the engine, paced so that a core of a shared machine keeps up. Meanwhile the client
//! fetches a page again and again, a new connection each time. The resident set is the highest that
//! the system has seen of the process (`VmHWM`); the limit is the sum that the engine logs before
//! it starts. Both must hold: memory at most 1.00x, and at least 90 % of the fetches done. How many
//! SYNs the engine has seen is printed: what the wire lost did not flood it.
//!
//! Options: `--sources 10000000`, `--rate 150000` (per second). Needs root, and an engine built by
//! `scripts/build`.

use anyhow::{Context, Result};
use portcullis_bench::live::{Wire, keep_on};
use portcullis_bench::{Options, Wanted, tcp_frame};
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Lab, Side, WIRE};
use portcullis_tests::{service, traffic};
use std::time::{Duration, Instant};

/// SYNs given to the kernel with one call.
const BURST: u32 = 64;
/// Where a frame without tags has its IPv4 source and checksum, and its TCP checksum.
const SOURCE_AT: usize = 26;
const IP_SUM_AT: usize = 24;
const TCP_SUM_AT: usize = 50;
/// No host has it: the bridge behind the engine floods it to the server, which ignores it.
const NOBODY: [u8; 6] = [2, 0xee, 0, 0, 0, 0xee];

fn flood(lab: &Lab, sources: u32, per_second: u32) -> std::thread::JoinHandle<Result<u64>> {
    lab.bridge(Side::Outside).within(move || {
        keep_on(0, 0)?;
        let wire = Wire::open(WIRE)?;
        let (began, mut sent) = (Instant::now(), 0_u64);
        let mut frames: Vec<Vec<u8>> = (0..BURST).map(syn).collect();
        let mut next = 0_u32;
        while next < sources {
            let due = began.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
            if u128::from(next) > due {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let count = BURST.min(sources - next);
            for (number, frame) in (next..next + count).zip(&mut frames) {
                renumber(frame, number);
            }
            sent += wire.send(frames.iter().take(count as usize).map(Vec::as_slice)) as u64;
            next += count;
        }
        Ok(sent)
    })
}

/// The address of a source: 11.0.0.0 and up, one each.
fn address(number: u32) -> [u8; 4] {
    (0x0b00_0000 + number).to_be_bytes()
}

/// The SYN of one source.
fn syn(number: u32) -> Vec<u8> {
    let mac = [2, 0xee, 0, 0, 0, 1];
    let source = (mac, address(number), 40_000);
    tcp_frame(source, (NOBODY, [10, 9, 0, 10], 80), 0x02, (7, 0), &[])
}

/// Makes a SYN that of another source; both checksums follow by the difference (RFC 1624).
fn renumber(frame: &mut [u8], number: u32) {
    let to = address(number);
    let Some(source) = frame.get_mut(SOURCE_AT..SOURCE_AT + 4) else { return };
    let was = [source[0], source[1], source[2], source[3]];
    source.copy_from_slice(&to);
    for at in [IP_SUM_AT, TCP_SUM_AT] {
        let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let mut sum = (!word(&frame[at..]) & 0xffff)
            + (!word(&was) & 0xffff)
            + (!word(&was[2..]) & 0xffff)
            + word(&to)
            + word(&to[2..]);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let [.., high, low] = (!sum).to_be_bytes();
        frame[at..at + 2].copy_from_slice(&[high, low]);
    }
}

fn resident_high(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// "memory: 412.5 MiB at most", as the engine logs it.
fn promised(log: &str) -> Result<f64> {
    let line = log.lines().find(|l| l.contains("MiB at most")).context("no memory in the log")?;
    let before = line.split("MiB at most").next().unwrap_or_default().trim();
    let word = before.rsplit(' ').next().unwrap_or_default();
    Ok(word.parse::<f64>().with_context(|| line.to_owned())? * f64::from(1 << 20))
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("memory-flood.rs"))?;
    let sources: u32 = options.take("sources", 10_000_000)?;
    let per_second: u32 = options.take("rate", 150_000)?;
    options.end()?;
    let lab = Lab::of(&["honest0", "server0"]);
    let _web = service::http(&lab, lab.host("server0"));
    let engine = Engine::start(&lab, &Settings::default());
    let limit = promised(&engine.log())?;
    let client = lab.host("honest0");
    let before = resident_high(engine.pid())?;
    let (flood_began, flooding) = (Instant::now(), flood(&lab, sources, per_second));
    let (mut tried, mut done, mut worst) = (0_u32, 0_u32, Duration::ZERO);
    while !flooding.is_finished() {
        let began = Instant::now();
        let fetched = traffic::fetches_within(client, lab::SERVER.into(), Duration::from_secs(4));
        tried += 1;
        done += u32::from(fetched);
        worst = worst.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    let sent = flooding.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    let took = flood_began.elapsed();
    std::thread::sleep(Duration::from_millis(1500));
    let (figures, high) = (engine.figures(), resident_high(engine.pid())?);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!(
        "sent {sent} SYNs in {took:.0?}; the engine started {:.0} flows, evicted {:.0}",
        figures.sum("flows_started"),
        figures.sum("flows_evicted")
    );
    println!("fetches: {done} of {tried} done, the slowest took {worst:.1?}");
    println!(
        "resident at most {:.1} MiB ({:.1} before the flood), promised {:.1} MiB",
        mib(high as f64),
        mib(before as f64),
        mib(limit)
    );
    Wanted::AtMost(1.0).judge("highest resident set / printed at start", high as f64 / limit);
    let share = f64::from(done) / f64::from(tried.max(1));
    Wanted::AtLeast(0.9).judge("share of honest fetches done", share);
    Ok(())
}
