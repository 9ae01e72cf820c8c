//! The baseline: forwards everything and reads nothing.
//!
//! What the engine costs is the difference between its burst loop and this one, over the same
//! rings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_types::{PortSide, Tick};

use crate::{FrameSource, Received};

/// How long one wait is at most: half of the shortest sensible heartbeat limit.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What a bare loop has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BareForward {
    /// Frames queued for the other port.
    pub forwarded: u64,
    /// Frames that could not be queued.
    pub dropped: u64,
    /// Bursts that had at least one frame.
    pub bursts: u64,
    /// The port that went away and ended the loop.
    pub gone: Option<PortSide>,
}

/// Forwards every frame of `source` to the other port, in bursts of at most `burst_max`, until
/// `stop` is set, the input ends or a port goes away.
pub fn bare_forward_loop<S: FrameSource>(
    source: &mut S,
    stop: &AtomicBool,
    burst_max: usize,
) -> BareForward {
    let mut done = BareForward::default();
    let mut burst = Vec::with_capacity(burst_max);
    while !stop.load(Ordering::Relaxed) {
        source.alive(boot_time());
        match source.receive(&mut burst, burst_max) {
            Received::EndOfInput => break,
            Received::PortGone(side) => {
                done.gone = Some(side);
                break;
            }
            Received::Nothing => {
                source.flush();
                source.wait(WAIT_MAX);
                continue;
            }
            Received::Frames => done.bursts += 1,
        }
        for frame in burst.drain(..) {
            match source.forward(frame.slot) {
                Ok(()) => done.forwarded += 1,
                Err(_) => done.dropped += 1,
            }
        }
        source.flush();
    }
    source.flush();
    done
}

/// `CLOCK_BOOTTIME`, the clock of the kernel program's heartbeat.
fn boot_time() -> Tick {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Tick(seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0))
}
