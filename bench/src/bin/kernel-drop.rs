//! Dropping a blocked source in the kernel program beside dropping it in the engine: at least 1.5x
//! the packets per processor second.
//!
//! Method: one lab, one engine with the whole street, one blocked source that sends 64-byte packets
//! from a packet socket as fast as one core can, half a second at a time. The block stands in the
//! engine's tables and in the kernel's map; for every other half second the bench takes it out of
//! the kernel's map behind the engine's back. Counted is the processor time of everybody who had to
//! do with it: the sending thread (on veth the receiving side of the port runs on it, and with it
//! the kernel program and the copy to the engine's ring), the worker's thread, and the kernel's
//! threads for received frames. The making of the packets is in both, which makes the ratio smaller
//! than the one of dropping alone. Senders have core 0, the worker core 1.
//!
//! Options: `--rounds 15`. Needs root, and an engine built by `scripts/build`.

use anyhow::{Result, ensure};
use portcullis_bench::kernel_blocks::KernelBlocks;
use portcullis_bench::live::{Worker, bare_wires, blast, softirq_threads};
use portcullis_bench::{Options, Rounds, Wanted, udp_frame};
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{Lab, Queues, Side};
use portcullis_tests::place::Place;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The source of flow 5, see [`udp_frame`].
const SOURCE: [u8; 4] = [10, 0, 0, 5];

/// Packets per second of processor time, and the shares of it: sender, worker, kernel threads.
fn rate(lab: &Lab, worker: Worker, frames: &Arc<Vec<Vec<u8>>>) -> Result<(f64, [f64; 3])> {
    let before = (worker.used()?.ran, softirq_threads());
    let sender = blast(lab, Side::Outside, frames, Duration::from_millis(500));
    let (sent, cpu) = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    std::thread::sleep(Duration::from_millis(60));
    let ns = |n: u64| n as f64 / sent as f64;
    let shares = [
        cpu * 1e9 / sent as f64,
        ns(worker.used()?.ran - before.0),
        ns(softirq_threads() - before.1),
    ];
    Ok((1e9 / shares.iter().sum::<f64>(), shares))
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("kernel-drop.rs"))?;
    let rounds: u32 = options.take("rounds", 15)?;
    options.end()?;
    let lab = Lab::build(&[], Queues::One);
    bare_wires(&lab);
    let segment_lines = "wait = \"poll\"".to_owned();
    let engine =
        Engine::start(&lab, &Settings { segment_lines, workers: "1", ..Settings::default() });
    ensure!(engine.block(IpAddr::from(SOURCE), Place::UNTAGGED, "1h"), "the block is refused");
    let mut blocks = KernelBlocks::open(lab.bpffs())?;
    ensure!(blocks.has(SOURCE)?, "the block is not in the kernel's map");
    let worker = Worker::find(engine.pid(), "worker 0")?;
    worker.keep_on(1)?;
    let mut frame = vec![0; 60];
    udp_frame(&mut frame, 5, false);
    let frames = Arc::new(vec![frame; 64]);
    let mut pairs = Rounds::default();
    for round in 1..=rounds {
        let (kernel, in_kernel) = rate(&lab, worker, &frames)?;
        blocks.take_out(SOURCE)?;
        let (user, in_user) = rate(&lab, worker, &frames)?;
        blocks.put_in(SOURCE)?;
        pairs.note(kernel, user);
        println!(
            "round {round}: in the kernel {kernel:.0}/s {in_kernel:.0?} ns, \
             in user space {user:.0}/s {in_user:.0?} ns, {:.2}",
            kernel / user
        );
    }
    let figures = engine.figures();
    println!("the engine counted {:.0} blocked in user space", figures.sum("blocked"));
    let (kernel, user, ratio) = pairs.summary();
    println!("medians per processor second: kernel {kernel:.0}, user space {user:.0}");
    Wanted::AtLeast(1.5).judge("kernel / user space", ratio);
    Ok(())
}
