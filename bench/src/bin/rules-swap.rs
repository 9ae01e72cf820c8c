//! 200 swaps of the rules under live forwarding at half the loss-free rate: frames lost, and by how
//! much the worker pauses longer than without swaps. None lost wanted.
//!
//! Method: frames of 60 bytes of 1,000 flows go through the engine over veth. First the loss-free
//! rate is looked for: from 10,000 frames a second each a quarter more than before, a second each,
//! until one loses three times in a row. Then, at half of it, windows take turns: in one the rules
//! are swapped, in the next nothing happens for the same time (a window begins with the order and
//! ends `--after` milliseconds after the answer, when spares have been warmed and the set before
//! has been freed). Each frame carries the time of its sending; the kernel stamps it behind the
//! engine. The delay is that of one burst and of whatever kept the worker, so delays without swaps
//! are what the machine does by itself, and the longest delay of each window is the pause that is
//! compared. Sender and receiver share the cores with the engine.
//!
//! Options: `--swaps 200`, `--after 150`, `--rate 0` (0: half of what is found), `--sets A,B` (two
//! compiled sets in place of the small ones made here). Needs root, and an engine built by
//! `scripts/build`.

use anyhow::{Context, Result, ensure};
use portcullis_bench::live::bare_wires;
use portcullis_bench::paced::{Kind, Stream, loss_free_rate};
use portcullis_bench::{Options, Wanted, median};
use portcullis_control::api::Client;
use portcullis_control::api::model::SwapRules;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{Lab, Queues};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rules of the sets made here.
const RULES: [usize; 2] = [300, 150];
/// Where the search begins, frames a second.
const BEGIN: u32 = 10_000;
const STILL: u64 = 1;
const SWAPPED: u64 = 2;

fn made(folder: &Path, number: usize) -> Result<PathBuf> {
    let mut text = String::new();
    for n in 0..RULES[number % 2] {
        writeln!(
            text,
            "alert udp any any -> any any (msg:\"set {number}, rule {n}\"; \
             content:\"set-{number}-rule-{n}\"; sid:{}; rev:1;)",
            9_000_000 + number * 100_000 + n
        )?;
    }
    let file = folder.join(format!("{number}.rules"));
    std::fs::write(&file, text)?;
    Ok(file)
}

fn settings(file: &Path) -> Result<Settings> {
    let is_text = file.extension().is_some_and(|e| e == "rules");
    let named = if is_text { "files" } else { "compiled" };
    let file = file.to_str().context("a name in UTF-8")?;
    let list = if is_text { format!("[\"{file}\"]") } else { format!("\"{file}\"") };
    let sections = format!(
        "[rules]\n{named} = {list}\n\n[streams]\nmemory = \"16MiB\"\nmax = 16384\n\
         conversations = \"32MiB\"\n"
    );
    Ok(Settings { sections, workers: "1", ..Settings::default() })
}

fn print(name: &str, kind: &Kind) {
    let at = |share| kind.delays.at(share);
    println!(
        "{name}: {} frames, {} lost; delay in us: p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, \
         p99.99 {:.0}, longest {:.0}",
        kind.delays.count(),
        kind.lost,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0)
    );
    let mut longest = kind.longest.clone();
    longest.sort_by(f64::total_cmp);
    let of = |part: usize| longest.get(longest.len() * part / 100).copied().unwrap_or(f64::NAN);
    println!(
        "    longest of each of {} windows: median {:.0}, p90 {:.0}, p99 {:.0}",
        longest.len(),
        median(&longest),
        of(90),
        of(99)
    );
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("rules-swap.rs"))?;
    let swaps: usize = options.take("swaps", 200)?;
    let after = Duration::from_millis(options.take("after", 150)?);
    let rate: u32 = options.take("rate", 0)?;
    let sets: String = options.take("sets", String::new())?;
    options.end()?;
    let lab = Lab::build(&[], Queues::One);
    bare_wires(&lab);
    let sets: Vec<PathBuf> = match sets.split_once(',') {
        Some((a, b)) => vec![a.into(), b.into()],
        None => vec![made(lab.folder(), 0)?, made(lab.folder(), 1)?],
    };
    let engine = Engine::start(&lab, &settings(&sets[0])?);
    let rate = match rate {
        0 => {
            let found = loss_free_rate(&lab, BEGIN)?;
            println!("loss-free: {found} frames a second");
            found / 2
        }
        given => given,
    };
    let client = Client::new(&lab.folder().join("run/control.sock"));
    let stream = Stream::start(&lab, rate)?;
    std::thread::sleep(Duration::from_millis(500));
    let mut took = Vec::new();
    for swap in 1..=swaps {
        let file = Some(sets[swap % 2].display().to_string());
        stream.window(SWAPPED);
        let began = Instant::now();
        let told = client.swap_rules(&SwapRules { file })?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(told.changed, "nothing was swapped: {told:?}");
        std::thread::sleep(after);
        let window = began.elapsed();
        stream.window(STILL);
        std::thread::sleep(window);
    }
    stream.window(0);
    let delivery = stream.finish()?;
    println!(
        "{swaps} swaps at {:.0} frames a second ({rate} wanted), each answered in {:.0} ms \
         (median)",
        delivery.rate,
        median(&took)
    );
    let [_, still, swapped] = &delivery.kinds;
    print("without", still);
    print("swapping", swapped);
    println!("sent {}, received {}", delivery.sent, delivery.received);
    let excess = median(&swapped.longest) - median(&still.longest);
    println!("excess of the longest pause of a window, median: {excess:.0} us");
    Wanted::AtMost(0.0).judge("frames lost", (delivery.sent - delivery.received) as f64);
    drop(engine);
    Ok(())
}
