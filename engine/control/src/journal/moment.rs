//! One moment on three clocks, so that a remaining time is right after a restart, a reboot and a
//! change of the wall clock.

use portcullis_types::Tick;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

/// Names one boot of the machine: `CLOCK_BOOTTIME` only compares within one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootId(pub u128);

impl BootId {
    /// The running kernel's, from `/proc/sys/kernel/random/boot_id`.
    pub fn read() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        text.trim().parse().map_err(|e: &str| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

impl FromStr for BootId {
    type Err = &'static str;

    /// 32 hexadecimal digits; hyphens between them are skipped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "a boot id is 32 hexadecimal digits";
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || digits.starts_with('+') {
            return Err(WANT);
        }
        u128::from_str_radix(&digits, 16).map(BootId).map_err(|_| WANT)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BootId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BootId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// When something was written, or when it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// The engine's timeline: `CLOCK_BOOTTIME` nanoseconds.
    pub tick: Tick,
    /// Nanoseconds since 1970, as the wall clock says; it may be changed under us.
    pub wall_ns: u64,
    /// Which boot `tick` counts from.
    pub boot: BootId,
}

impl Moment {
    /// The present, of a boot that was read once.
    pub fn now(boot: BootId) -> Self {
        let read = |clock| {
            let t = clock_gettime(clock);
            let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
            let ns = u64::try_from(t.tv_nsec).unwrap_or(0);
            seconds.saturating_mul(1_000_000_000).saturating_add(ns)
        };
        let tick = Tick(read(ClockId::Boottime));
        Moment { tick, wall_ns: read(ClockId::Realtime), boot }
    }

    /// Where a moment that was written at `self` lies on the timeline of `now`.
    ///
    /// Within one boot it is unchanged, whatever became of the wall clock. Across boots what
    /// remained is lowered by what the wall clock says has passed, never below nothing and never
    /// above what remained: a clock set back cannot lengthen a block.
    pub fn carry(&self, until: Tick, now: &Moment) -> Tick {
        if until == Tick::NEVER || self.boot == now.boot {
            return until;
        }
        let passed = Duration::from_nanos(now.wall_ns.saturating_sub(self.wall_ns));
        now.tick + until.since(self.tick).saturating_sub(passed)
    }

    /// The same for a moment in the past: as long ago as the wall clock says, at the earliest the
    /// beginning of this boot.
    pub fn carry_past(&self, since: Tick, now: &Moment) -> Tick {
        if self.boot == now.boot {
            return since;
        }
        let passed = Duration::from_nanos(now.wall_ns.saturating_sub(self.wall_ns));
        now.tick - (self.tick.since(since) + passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn moment(boot: u128, tick_s: u64, wall_s: u64) -> Moment {
        Moment { tick: Tick(tick_s * S), wall_ns: wall_s * S, boot: BootId(boot) }
    }

    #[test]
    fn within_one_boot_the_wall_clock_is_nothing() {
        let written = moment(1, 100, 5_000);
        for wall in [0, 5_000, 99_000] {
            let now = moment(1, 130, wall);
            assert_eq!(written.carry(Tick(160 * S), &now), Tick(160 * S));
            assert_eq!(written.carry_past(Tick(90 * S), &now), Tick(90 * S));
        }
    }

    #[test]
    fn across_boots_what_remained_is_clamped() {
        let written = moment(1, 100, 5_000);
        let until = Tick(160 * S); // 60 s remained
        assert_eq!(written.carry(until, &moment(2, 7, 5_020)), Tick(47 * S), "20 s passed");
        assert_eq!(written.carry(until, &moment(2, 7, 1_000)), Tick(67 * S), "clock set back");
        assert_eq!(written.carry(until, &moment(2, 7, 9_999)), Tick(7 * S), "long over");
        assert_eq!(written.carry(Tick::NEVER, &moment(2, 7, 9_999)), Tick::NEVER);
        assert_eq!(written.carry_past(Tick(95 * S), &moment(2, 70, 5_020)), Tick(45 * S));
        assert_eq!(written.carry_past(Tick(0), &moment(2, 7, 5_020)), Tick::ZERO);
    }

    #[test]
    fn a_boot_id_reads_and_prints() {
        let id: BootId = "6f1c0b9e-3d3a-4a55-9d0e-0123456789ab".parse().expect("a boot id");
        assert_eq!(id.to_string(), "6f1c0b9e3d3a4a559d0e0123456789ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("".parse::<BootId>().is_err() && "x".repeat(32).parse::<BootId>().is_err());
        assert_ne!(BootId::read().expect("Linux has one"), BootId::default());
    }
}
