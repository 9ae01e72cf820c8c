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
use portcullis_tests::lab::{self, Lab, Queues, Side, WIRE};
use portcullis_tests::{service, traffic};
use std::time::{Duration, Instant};

/// No host has it: the bridge behind the engine floods it to the server, which ignores it.
const NOBODY: [u8; 6] = [2, 0xee, 0, 0, 0, 0xee];

fn flood(lab: &Lab, sources: u32, per_second: u32) -> std::thread::JoinHandle<Result<u64>> {
    lab.bridge(Side::Outside).within(move || {
        keep_on(0, 0)?;
        let wire = Wire::open(WIRE)?;
        let (began, mut sent) = (Instant::now(), 0_u64);
        let mut next = 0_u32;
        while next < sources {
            let due = began.elapsed().as_micros() * u128::from(per_second) / 1_000_000;
            if u128::from(next) > due {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let some: Vec<Vec<u8>> = (next..sources.min(next + 64)).map(syn).collect();
            sent += wire.send(some.iter().map(Vec::as_slice)) as u64;
            next += 64;
        }
        Ok(sent)
    })
}

/// The SYN of one source: 11.0.0.0 and up, one address each.
fn syn(number: u32) -> Vec<u8> {
    let source = (0x0b00_0000 + number).to_be_bytes();
    let [.., high, low] = number.to_be_bytes();
    let port = 1024 | u16::from_be_bytes([high, low]);
    let mac = [2, 0xee, 0, 0, 0, 1];
    tcp_frame((mac, source, port), (NOBODY, [10, 9, 0, 10], 80), 0x02, (number, 0), &[])
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
    let mut options = Options::read()?;
    let sources: u32 = options.take("sources", 10_000_000)?;
    let per_second: u32 = options.take("rate", 150_000)?;
    options.end()?;
    let is_meant = |name: &str| ["honest0", "server0"].contains(&name);
    let plans: Vec<_> = lab::STREET.into_iter().filter(|plan| is_meant(plan.name)).collect();
    let lab = Lab::build(&plans, Queues::One);
    let _web = service::http(&lab, lab.host("server0"));
    let engine = Engine::start(&lab, &Settings::default());
    let limit = promised(&engine.log())?;
    let client = lab.host("honest0");
    let before = resident_high(engine.pid())?;
    let flooding = flood(&lab, sources, per_second);
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
    std::thread::sleep(Duration::from_millis(1500));
    let (figures, high) = (engine.figures(), resident_high(engine.pid())?);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!("sent {sent} SYNs, the engine started {:.0} flows", figures.sum("flows_started"));
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
