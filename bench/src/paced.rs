//! A paced stream of numbered, stamped frames through an engine, and what became of each: lost or
//! not, and how long it took from the sender's call to the kernel's stamp behind the engine.
//!
//! It must never know what happens to the engine meanwhile.

use crate::live::{Tap, Wire, realtime_ns};
use crate::udp_frame;
use anyhow::{Context, Result, anyhow};
use portcullis_tests::lab::{Lab, Side, WIRE};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Length of each frame without the check sequence.
const FRAME_LEN: usize = 60;
/// Where the number and the stamp stand: after Ethernet, IPv4 and UDP.
const NUMBER_AT: usize = 42;
const STAMP_AT: usize = 50;
/// Different flows.
const FLOWS: u32 = 1_000;
/// Frames become due once in this time.
const TICK: Duration = Duration::from_micros(500);
/// What a sender that had no core does not make up for: what it would send at once says nothing of
/// the rate that is asked for.
const DEBT_MAX: Duration = Duration::from_millis(2);
/// How long the last frames may take.
const TAIL: Duration = Duration::from_millis(500);
/// Microseconds up to which delays are told apart.
const DELAY_MAX: usize = 500_000;

/// Delays of frames, by the microsecond.
#[derive(Clone, Debug)]
pub struct Delays {
    counts: Vec<u64>,
}

impl Default for Delays {
    fn default() -> Self {
        Delays { counts: vec![0; DELAY_MAX + 1] }
    }
}

impl Delays {
    fn note(&mut self, microseconds: usize) {
        self.counts[microseconds.min(DELAY_MAX)] += 1;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The least delay, in microseconds, that this share of all does not exceed.
    pub fn at(&self, share: f64) -> f64 {
        let wanted = share * self.count() as f64;
        let mut seen = 0;
        for (delay, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return delay as f64;
            }
        }
        f64::NAN
    }
}

/// What became of the frames that arrived during one kind of window.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// All frames' delays.
    pub delays: Delays,
    /// The longest delay of each window, microseconds.
    pub longest: Vec<f64>,
    /// Frames that did not come.
    pub lost: u64,
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Frames that the sender's kernel took.
    pub sent: u64,
    /// Frames that arrived.
    pub received: u64,
    /// Frames a second.
    pub rate: f64,
    /// By the kind of window in which they arrived; kind 0 is between windows.
    pub kinds: [Kind; 3],
}

/// A stream that runs until [`Stream::finish`].
#[derive(Debug)]
pub struct Stream {
    is_over: Arc<AtomicBool>,
    window: Arc<AtomicU64>,
    sender: JoinHandle<Result<(u64, f64)>>,
    receiver: JoinHandle<Result<Delivery>>,
}

impl Stream {
    /// Starts sending so many frames a second from the outer wire to the inner one.
    ///
    /// # Errors
    /// A wire cannot be opened.
    pub fn start(lab: &Lab, per_second: u32) -> Result<Stream> {
        let (is_over, window) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (flag, seen) = (Arc::clone(&is_over), Arc::clone(&window));
        let receiver = lab.bridge(Side::Inside).within(move || {
            let tap = Tap::open(WIRE)?;
            ready.send(())?;
            receive(&tap, &seen, &flag)
        });
        is_ready.recv_timeout(Duration::from_secs(5)).context("the receiver does not start")?;
        let flag = Arc::clone(&is_over);
        let sender = lab.bridge(Side::Outside).within(move || send(per_second, &flag));
        Ok(Stream { is_over, window, sender, receiver })
    }

    /// From now on frames count for a new window of this kind: 0 is none, 1 or 2.
    pub fn window(&self, kind: u64) {
        let number = (self.window.load(Ordering::Relaxed) >> 2) + 1;
        self.window.store(number << 2 | kind.min(2), Ordering::Relaxed);
    }

    /// Stops sending, waits for what is on its way, and counts.
    ///
    /// # Errors
    /// A wire broke.
    pub fn finish(self) -> Result<Delivery> {
        self.is_over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread of the stream panicked");
        let (sent, seconds) = self.sender.join().map_err(panicked)??;
        let mut delivery = self.receiver.join().map_err(panicked)??;
        delivery.sent = sent;
        delivery.rate = sent as f64 / seconds;
        // Those behind the last that came.
        let lost: u64 = delivery.kinds.iter().map(|kind| kind.lost).sum();
        delivery.kinds[0].lost += sent.saturating_sub(delivery.received + lost);
        Ok(delivery)
    }
}

/// Numbers frames from 1 on; how many the kernel took, and in how many seconds.
fn send(per_second: u32, is_over: &AtomicBool) -> Result<(u64, f64)> {
    let wire = Wire::open(WIRE)?;
    let made = |flow| {
        let mut frame = [0_u8; FRAME_LEN];
        udp_frame(&mut frame, flow, false);
        frame
    };
    let mut frames: Vec<[u8; FRAME_LEN]> = (0..FLOWS).map(made).collect();
    let (began, mut sent, mut at) = (Instant::now(), 0_u64, 0_usize);
    let mut forgiven = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let due = |time: Duration| {
            let frames = time.as_nanos() * u128::from(per_second) / 1_000_000_000;
            u64::try_from(frames).unwrap_or(u64::MAX)
        };
        let passed = began.elapsed().saturating_sub(forgiven);
        let debt = Duration::from_secs_f64(
            due(passed).saturating_sub(sent) as f64 / f64::from(per_second),
        );
        forgiven += debt.saturating_sub(DEBT_MAX);
        let until = due(began.elapsed().saturating_sub(forgiven));
        while sent < until {
            let count = usize::try_from(until - sent)?.min(32).min(frames.len() - at);
            let batch = &mut frames[at..at + count];
            let stamp = realtime_ns();
            for (frame, number) in batch.iter_mut().zip(sent + 1..) {
                frame[NUMBER_AT..NUMBER_AT + 8].copy_from_slice(&number.to_be_bytes());
                frame[STAMP_AT..STAMP_AT + 8].copy_from_slice(&stamp.to_be_bytes());
            }
            let taken = wire.send(batch.iter().map(|frame| &frame[..]));
            if taken == 0 {
                break;
            }
            sent += taken as u64;
            at = (at + taken) % frames.len();
        }
        std::thread::sleep(TICK);
    }
    Ok((sent, began.elapsed().as_secs_f64()))
}

/// Reads until nothing has come for a while after the end.
fn receive(tap: &Tap, window: &AtomicU64, is_over: &AtomicBool) -> Result<Delivery> {
    let mut delivery = Delivery::default();
    let (mut next, mut current, mut longest) = (1_u64, 0_u64, 0_usize);
    let mut last = Instant::now();
    while !is_over.load(Ordering::Relaxed) || last.elapsed() < TAIL {
        let taken = tap.receive(|frame, stamp| {
            let number = |at: usize| frame.get(at..at + 8)?.first_chunk::<8>().copied();
            let (Some(ours), Some(from)) = (number(NUMBER_AT), number(STAMP_AT)) else { return };
            // Not the stream's: the lab's own neighbour discovery.
            if frame.get(23) != Some(&17) {
                return;
            }
            let now = window.load(Ordering::Relaxed);
            if now != current {
                let over = &mut delivery.kinds[usize::try_from(current & 3).unwrap_or(0)];
                over.longest.push(longest as f64);
                (current, longest) = (now, 0);
            }
            let kind = &mut delivery.kinds[usize::try_from(current & 3).unwrap_or(0)];
            let (number, from) = (u64::from_be_bytes(ours), u64::from_be_bytes(from));
            kind.lost += number.saturating_sub(next);
            next = number + 1;
            delivery.received += 1;
            let delay = usize::try_from(stamp.saturating_sub(from) / 1_000).unwrap_or(DELAY_MAX);
            kind.delays.note(delay);
            longest = longest.max(delay);
        })?;
        if taken > 0 {
            last = Instant::now();
        }
    }
    Ok(delivery)
}

/// The highest rate tried at which nothing was lost for a second, frames a second: from
/// `begin` on each a quarter more than the one before, until one loses three times in a row.
///
/// # Errors
/// Even `begin` loses.
pub fn loss_free_rate(lab: &Lab, begin: u32) -> Result<u32> {
    const MOST: u32 = 1_000_000;
    let (mut rate, mut best) = (begin, None);
    'rates: while rate <= MOST {
        for _ in 0..3 {
            let stream = Stream::start(lab, rate)?;
            std::thread::sleep(Duration::from_secs(1));
            let delivery = stream.finish()?;
            // A sender that has not the cores for more ends the search too.
            let is_sent = delivery.rate > 0.9 * f64::from(rate);
            if is_sent && delivery.sent == delivery.received {
                best = Some(rate);
                rate += rate / 4;
                continue 'rates;
            }
        }
        break;
    }
    best.with_context(|| format!("even {begin} frames a second are not forwarded without loss"))
}
