//! What the street costs beside a loop that touches nothing: processor nanoseconds of the worker's
//! thread for each forwarded packet, `run --bare` over the whole street. At least 0.85.
//!
//! Method: two labs, each a veth pair on either side of an engine of its own, with the same rings
//! and kernel program; one runs the whole street with the shipped detectors, the other
//! `run --bare`. A machine with two shared cores cannot send as fast as a worker forwards, so the
//! load is made: the process is stopped (SIGSTOP), its receive ring is filled with UDP packets of
//! 1,000 known flows, and it is let go (SIGCONT). Until the ring is empty the worker never waits
//! and every burst is full: 100 % load. A round is 20 such rings in each lab in turn; senders have
//! core 0, workers core 1. The time is the scheduler's account of the worker's thread
//! (`/proc/.../schedstat`), user and system, so the kernel's copy for sending is in both; the
//! packets are those that arrive behind the engine. The share of the drain in which the worker was
//! not asleep is printed as its load.
//!
//! Options: `--rounds 15`, `--only 60` or `1514` (bytes without the check sequence). Needs root and
//! an engine built by `scripts/build`.

use anyhow::{Context, Result, ensure};
use portcullis_bench::live::{Worker, bare_wires, fill, handed_over, signal};
use portcullis_bench::{Options, Rounds, Wanted, median, udp_frame};
use portcullis_tests::command::{Running, wait_until};
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{Lab, Queues, Side};
use portcullis_tests::requirement;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FLOWS: u32 = 1_000;
/// Frames in a ring, and those that are put there; some room is left for the lab's own.
const RING: usize = 4_096;
const FILL: usize = 4_000;
const RINGS_PER_ROUND: usize = 20;

fn settings() -> Settings {
    // A stopped worker is dead after `hang_after`: the kernel program must not notice.
    let segment_lines = format!("wait = \"poll\"\nring_frames = {RING}\nhang_after = \"60s\"");
    Settings { segment_lines, workers: "1", ..Settings::default() }
}

/// One side of the comparison.
struct Place<'a> {
    lab: &'a Lab,
    worker: Worker,
}

/// What one round gave.
struct Round {
    ns: f64,
    load: f64,
}

impl Place<'_> {
    fn round(&self, frames: &Arc<Vec<Vec<u8>>>) -> Result<Round> {
        let packets = handed_over(self.lab)?;
        let (mut ran, mut busy, mut wall) = (0, 0, 0);
        for _ in 0..RINGS_PER_ROUND {
            signal(self.worker.pid(), libc::SIGSTOP)?;
            std::thread::sleep(Duration::from_millis(2));
            fill(self.lab, Side::Outside, frames, FILL)?;
            let (before, began) = (self.worker.used()?, Instant::now());
            signal(self.worker.pid(), libc::SIGCONT)?;
            let mut last = (self.worker.used()?, Instant::now());
            // The drain ends when a millisecond has passed without work.
            loop {
                std::thread::sleep(Duration::from_micros(500));
                let now = self.worker.used()?;
                if now.ran + now.waited > last.0.ran + last.0.waited + 50_000 {
                    last = (now, Instant::now());
                } else if last.1.elapsed() > Duration::from_millis(4) {
                    break;
                }
            }
            let end = self.worker.used()?;
            ran += end.ran - before.ran;
            busy += (last.0.ran - before.ran) + (last.0.waited - before.waited);
            wall += last.1.duration_since(began).as_nanos();
        }
        let packets = handed_over(self.lab)? - packets;
        let sent = (FILL * RINGS_PER_ROUND) as u64;
        // The wire to the engine loses some where its kernel threads do not get a core in time.
        ensure!(packets > sent / 2, "of {sent} packets {packets} were forwarded");
        Ok(Round { ns: ran as f64 / packets as f64, load: busy as f64 / wall as f64 })
    }
}

fn start_bare(lab: &Lab) -> Result<Running> {
    for name in ["state", "run", "log", "plugins"] {
        std::fs::create_dir_all(lab.folder().join(name))?;
    }
    let (configuration, log) = (lab.folder().join("bare.toml"), lab.folder().join("bare.log"));
    std::fs::write(&configuration, settings().text(lab))?;
    let binary = requirement::engine_binary();
    let words =
        [&*binary.to_string_lossy(), "run", "--bare", "-c", &*configuration.to_string_lossy()];
    let running = lab.engine().start(&words, &log);
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(
        wait_until(Duration::from_secs(20), || told().contains("ready")),
        "run --bare does not start: {}",
        told()
    );
    Ok(running)
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("bare-street.rs"))?;
    let rounds: u32 = options.take("rounds", 15)?;
    let only: usize = options.take("only", 0)?;
    options.end()?;
    let labs = [Lab::build(&[], Queues::One), Lab::build(&[], Queues::One)];
    labs.iter().for_each(bare_wires);
    let [with_street, with_bare] = &labs;
    let engine = Engine::start(with_street, &settings());
    let bare = start_bare(with_bare)?;
    let street = Place { lab: with_street, worker: Worker::find(engine.pid(), "worker 0")? };
    let bare = Place { lab: with_bare, worker: Worker::find(bare.pid(), "worker 0")? };
    for place in [&street, &bare] {
        place.worker.keep_on(1).context("the worker's core")?;
    }
    for len in [60_usize, 1514].into_iter().filter(|&len| only == 0 || len == only) {
        let frame = |flow| {
            let mut frame = vec![0; len];
            udp_frame(&mut frame, flow, false);
            frame
        };
        let frames = Arc::new((0..FLOWS).map(frame).collect::<Vec<_>>());
        // The first round opens the flows.
        street.round(&frames)?;
        bare.round(&frames)?;
        let (mut pairs, mut loads) = (Rounds::default(), Vec::new());
        for round in 1..=rounds {
            let (ours, theirs) = (street.round(&frames)?, bare.round(&frames)?);
            println!(
                "{len} bytes, round {round}: street {:.0} ns at load {:.2}, \
                 bare {:.0} ns at load {:.2}, {:.3}",
                ours.ns,
                ours.load,
                theirs.ns,
                theirs.load,
                theirs.ns / ours.ns
            );
            loads.extend([ours.load, theirs.load]);
            pairs.note(theirs.ns, ours.ns);
        }
        let (theirs, ours, ratio) = pairs.summary();
        let load = median(&loads);
        println!("medians: street {ours:.0} ns a packet, bare {theirs:.0} ns; load {load:.2}");
        Wanted::AtLeast(0.85).judge(&format!("bare / street at {} B", len + 4), ratio);
    }
    Ok(())
}
