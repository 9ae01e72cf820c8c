//! From an attack to the kernel's map, as an observer outside sees it, beside the histogram that
//! the engine exports. Median at most 1 ms.
//!
//! Method: a crafted TCP handshake through the engine (SYN and ACK on the outer wire, SYN-ACK on
//! the inner one), so that the client is proven; then the packet that carries the attack (WinNuke).
//! From just before that packet is given to the wire until the client's key is in the pinned map,
//! which the bench asks again and again: the way to the engine, the burst, detection, verdict, the
//! list, the journal's promise and the map. The engine's own histogram has the last part of it,
//! from the verdict to the map. A client each of 200 addresses. Nothing is compared here, so the
//! machine's load shows: read the median.
//!
//! Options: `--rounds 200`. Needs root, and an engine built by `scripts/build`.

use anyhow::{Result, bail, ensure};
use portcullis_bench::kernel_blocks::KernelBlocks;
use portcullis_bench::live::{Wire, bare_wires};
use portcullis_bench::{Options, Wanted, median, tcp_frame};
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{Lab, Queues, Side, WIRE};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const SERVER: [u8; 4] = [192, 168, 0, 1];
const LIMIT: Duration = Duration::from_secs(2);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH_ACK_URG: u8 = 0x38;

/// A thread on one wire that sends what it is told and says when it is about to.
struct Hand {
    frames: Sender<Vec<u8>>,
    sent: Receiver<Instant>,
}

impl Hand {
    fn on(lab: &Lab, side: Side) -> Hand {
        let (frames, heard) = channel::<Vec<u8>>();
        let (told, sent) = channel();
        // It ends with the channel.
        drop(lab.bridge(side).within(move || -> Result<()> {
            let wire = Wire::open(WIRE)?;
            for frame in heard {
                let now = Instant::now();
                ensure!(wire.send([frame.as_slice()]) == 1, "the wire takes nothing");
                told.send(now)?;
            }
            Ok(())
        }));
        Hand { frames, sent }
    }

    fn send(&self, frame: Vec<u8>) -> Result<Instant> {
        self.frames.send(frame)?;
        Ok(self.sent.recv_timeout(LIMIT)?)
    }
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("block-latency.rs"))?;
    let rounds: u16 = options.take("rounds", 200)?;
    options.end()?;
    let lab = Lab::build(&[], Queues::One);
    bare_wires(&lab);
    let engine = Engine::start(&lab, &Settings::default());
    let blocks = KernelBlocks::open(lab.bpffs())?;
    let (outer, inner) = (Hand::on(&lab, Side::Outside), Hand::on(&lab, Side::Inside));
    let mut seen = Vec::new();
    for round in 0..rounds {
        let [high, low] = round.to_be_bytes();
        let client = [10, 77, high, low];
        let to_server = |flags, seq, ack, payload: &[u8]| {
            tcp_frame(
                ([2, 0, 0, 0, 0, 1], client, 40_000),
                ([2, 0, 0, 0, 0, 2], SERVER, 139),
                flags,
                (seq, ack),
                payload,
            )
        };
        outer.send(to_server(SYN, 1_000, 0, &[]))?;
        std::thread::sleep(Duration::from_millis(2));
        inner.send(tcp_frame(
            ([2, 0, 0, 0, 0, 2], SERVER, 139),
            ([2, 0, 0, 0, 0, 1], client, 40_000),
            SYN | ACK,
            (5_000, 1_001),
            &[],
        ))?;
        std::thread::sleep(Duration::from_millis(2));
        outer.send(to_server(ACK, 1_001, 5_001, &[]))?;
        std::thread::sleep(Duration::from_millis(2));
        let began = outer.send(to_server(PSH_ACK_URG, 1_001, 5_001, b"out of band"))?;
        while !blocks.has(client)? {
            if began.elapsed() > LIMIT {
                bail!("{client:?} is not blocked after {LIMIT:?}:\n{}", engine.log());
            }
        }
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        std::thread::sleep(Duration::from_millis(10));
    }
    seen.sort_by(f64::total_cmp);
    let at = |part: usize| seen.get(seen.len() * part / 100).copied().unwrap_or(f64::NAN);
    println!(
        "packet to map, seen from outside: median {:.0} us, p90 {:.0} us, p99 {:.0} us, \
         least {:.0} us",
        median(&seen),
        at(90),
        at(99),
        at(0)
    );
    println!("verdict to map, by the engine's own histogram (cumulative):");
    std::thread::sleep(Duration::from_millis(1500));
    let figures = engine.figures();
    for (series, value) in figures.counted().filter(|(s, _)| s.contains("block_latency")) {
        println!("  {series} {value}");
    }
    Wanted::AtMost(1_000.0).judge("median from packet to map, us", median(&seen));
    Ok(())
}
