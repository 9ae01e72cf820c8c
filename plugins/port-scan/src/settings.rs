//! What an operator may change, and the numbers that stand otherwise.

use crate::technique::Family;
use portcullis_plugin_sdk::Init;

/// How many windows are judged.
pub(crate) const WINDOWS: usize = 3;

/// Counts that make a scan, one for each window.
pub(crate) type Steps = [u32; WINDOWS];

const ARP_GRACE_MS: u32 = 900;

/// The settings, each a line `key = value` in the plugin's grant.
///
/// | key | default | meaning |
/// |---|---|---|
/// | `sources` | 4096 | sources followed at once, 256 to 6144 (1.7 KiB each) |
/// | `window_fast_ms`, `window_ms`, `window_slow_ms` | 10000, 60000, 600000 | the three windows |
/// | `grace_ms` | 1500 | after this time without an answer a probe has failed |
/// | `ports` | 15 | failed ports of a host in the fast window; in the others 4/3 and 2 times |
/// | `hosts` | 20 | failed hosts on one port, likewise |
/// | `sweep` | 25 | hosts that do not answer a ping, likewise |
/// | `sweep_arp` | 60 | addresses that do not answer an ARP request, likewise |
/// | `pairs` | 40 | failed ports of hosts where both are many, likewise |
/// | `repeat_ms` | 10000 | how long until a scan that goes on is reported again |
pub(crate) struct Settings {
    pub(crate) sources: usize,
    /// Milliseconds, ascending.
    pub(crate) windows: Steps,
    grace_ms: u32,
    pub(crate) repeat_ms: u32,
    ports: u32,
    hosts: u32,
    sweep: u32,
    sweep_arp: u32,
    pairs: u32,
}

impl Settings {
    pub(crate) fn read(init: &Init<'_>) -> Settings {
        let number = |key: &str, default: u32, from: u32, to: u32| {
            let n = init.number(key, u64::from(default));
            u32::try_from(n).unwrap_or(to).clamp(from, to)
        };
        let fast = number("window_fast_ms", 10_000, 1_000, 60_000);
        let middle = number("window_ms", 60_000, fast, 600_000);
        Settings {
            sources: number("sources", 4096, 256, 6144) as usize,
            windows: [fast, middle, number("window_slow_ms", 600_000, middle, 3_600_000)],
            grace_ms: number("grace_ms", 1_500, 100, 30_000),
            repeat_ms: number("repeat_ms", 10_000, 1_000, 3_600_000),
            ports: number("ports", 15, 5, 40),
            hosts: number("hosts", 20, 5, 40),
            sweep: number("sweep", 25, 5, 40),
            sweep_arp: number("sweep_arp", 60, 10, 80),
            pairs: number("pairs", 40, 10, 48),
        }
    }

    /// Failed ports of one host. Half as many of what nobody honest sends; more of what a capture
    /// that begins in the middle, or a lost datagram, may look like.
    pub(crate) fn vertical(&self, family: Family) -> Steps {
        match family {
            Family::Stealth => steps(self.ports.div_ceil(2)),
            Family::Midstream | Family::Datagram => steps(self.ports + self.ports / 3),
            _ => steps(self.ports),
        }
    }

    /// Failed hosts on one port, or silent hosts of a sweep.
    pub(crate) fn horizontal(&self, family: Family) -> Steps {
        match family {
            Family::Stealth => steps(self.hosts.div_ceil(2)),
            Family::Midstream | Family::Datagram => steps(self.hosts + self.hosts / 3),
            Family::Ping => steps(self.sweep),
            Family::Resolve => [self.sweep_arp, self.sweep_arp.saturating_mul(4) / 3, u32::MAX],
            Family::Open => steps(self.hosts),
        }
    }

    /// How long an answer may take, ms. ARP's comes from the same link, and who asks asks again
    /// after a second.
    pub(crate) fn grace(&self, family: Family) -> u32 {
        if family == Family::Resolve { self.grace_ms.min(ARP_GRACE_MS) } else { self.grace_ms }
    }

    /// Failed pairs of host and port.
    pub(crate) fn block(&self) -> Steps {
        steps(self.pairs)
    }
}

fn steps(fast: u32) -> Steps {
    [fast, fast * 4 / 3, fast * 2]
}
