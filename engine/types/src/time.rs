//! Time on the street is an argument, never a reading.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the engine's own timeline, in nanoseconds.
///
/// Live, it is `CLOCK_BOOTTIME`, so that it never jumps and means the same as the kernel program's
/// `bpf_ktime_get_boot_ns`. In replay, it is the capture's clock in nanoseconds since 1970. The
/// difference to the wall clock is known to `control` alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// Before everything.
    pub const ZERO: Tick = Tick(0);
    /// After everything: "until an operator lifts it".
    pub const NEVER: Tick = Tick(u64::MAX);

    /// Nanoseconds from `earlier` to `self`; zero where `earlier` is later.
    #[inline]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;
    /// Saturates at [`Tick::NEVER`].
    #[inline]
    fn add(self, d: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Tick {
    type Output = Tick;
    /// Saturates at [`Tick::ZERO`].
    #[inline]
    fn sub(self, d: Duration) -> Tick {
        Tick(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Whoever may read a clock: the rim of the engine, once per burst.
pub trait Clock {
    /// The present moment on the engine's timeline.
    fn now(&self) -> Tick;
}
