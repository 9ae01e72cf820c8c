//! One source: its recent probes and what became of them, and what was said about it.
//!
//! Bounded: the newest 96 probes that have not succeeded, the newest 32 successes. Every probe is
//! one host and one port by one technique, so counting them counts distinct ones.

use crate::technique::Technique;
use portcullis_plugin_sdk::Addr;
use portcullis_plugin_sdk::abi::FlowRec;

/// Probes remembered; more than any threshold, so that a scan is seen whole.
pub(crate) const PROBES: usize = 96;
/// Successes remembered.
const SUCCESSES: usize = 32;
/// Reports remembered.
const REPORTS: usize = 4;

/// Milliseconds of the events' clock, on a circle of 49 days.
pub(crate) type Millis = u32;

/// How long ago; what lies in the future (captures of several machines) is now.
pub(crate) fn age(now: Millis, then: Millis) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

/// Where a source was seen, and its address: another VLAN is another source. In whole words, which
/// are compared and hashed one by one; what differs most comes first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    /// The halves of the address.
    last: u64,
    first: u64,
    /// Segment and VIDs, 16 bits each.
    place: u64,
    tunnel: u64,
}

impl Key {
    const NOBODY: Key = Key { last: 0, first: 0, place: 0, tunnel: 0 };

    /// An address where a flow's record was made.
    #[inline]
    pub(crate) fn new(addr: Addr, record: &FlowRec) -> Key {
        let [first, last] = addr.words();
        let [a, b, c] = record.vids.map(u64::from);
        let place = u64::from(record.segment) | a << 16 | b << 32 | c << 48;
        Key { last, first, place, tunnel: u64::from(record.tunnel) }
    }

    /// What is hashed. VIDs leave room at the upper ends of their 16 bits.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 3] {
        [self.last, self.first, self.place ^ self.tunnel.rotate_left(28)]
    }
}

/// What became of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Pending,
    /// The port, or the whole host, is not there.
    Closed,
    /// A SYN was answered, and no handshake has followed yet.
    Answered,
    /// A SYN was answered and the client took it back: a half-open scan.
    HalfOpen,
}

/// Host, port and technique.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Aim {
    /// Keyed hash of the target's address.
    pub(crate) target: u32,
    pub(crate) port: u16,
    pub(crate) technique: Technique,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) aim: Aim,
    pub(crate) outcome: Outcome,
    /// Keyed hash of the link-layer address that sent it.
    pub(crate) sender: u16,
    pub(crate) at: Millis,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Success {
    pub(crate) port: u16,
    pub(crate) technique: Technique,
    pub(crate) at: Millis,
}

/// A finding that was sent.
#[derive(Clone, Copy)]
pub(crate) struct Report {
    /// The rule; 0 for none.
    pub(crate) sid: u32,
    pub(crate) at: Millis,
    /// [`Source::failures`] when it was sent.
    pub(crate) failures: u32,
    /// [`Source::attempts`] when it was sent, with what was on its way then.
    pub(crate) attempts: u32,
    /// Whether the source was proven by then.
    pub(crate) proven: bool,
    /// Who sent the probes, see [`Probe::sender`].
    pub(crate) sender: u16,
    /// Whom it was about; unspecified for nobody.
    pub(crate) target: Addr,
}

const NO_AIM: Aim = Aim { target: 0, port: 0, technique: Technique::Syn };
const NO_PROBE: Probe = Probe { aim: NO_AIM, outcome: Outcome::Pending, sender: 0, at: 0 };
const NO_SUCCESS: Success = Success { port: 0, technique: Technique::Syn, at: 0 };
const NO_REPORT: Report = Report {
    sid: 0,
    at: 0,
    failures: 0,
    attempts: 0,
    proven: false,
    sender: 0,
    target: Addr([0; 16]),
};

/// What is known of a source.
///
/// What a search and an eviction read of each source is one cache line, and the eight of a set lie
/// next to each other: a newcomer looks at all of them. Its probes are elsewhere.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Source {
    pub(crate) key: Key,
    pub(crate) last: Millis,
    len: usize,
    /// Probes made since it is followed, by what is remembered here.
    pub(crate) failures: u32,
    succeeded: usize,
    /// When it last showed itself; `None` before that.
    pub(crate) proven_at: Option<Millis>,
    /// Probes made, the same ones again included, but for those that succeeded: what tells a scan
    /// that goes on from an honest connection after one.
    pub(crate) attempts: u32,
    /// From the first probe in its place on.
    memory: Option<Box<Memory>>,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Source>() == 64);

/// What a source did, and what was said about it.
#[derive(Clone)]
struct Memory {
    reports: [Report; REPORTS],
    probes: [Probe; PROBES],
    successes: [Success; SUCCESSES],
}

impl Memory {
    const EMPTY: Memory = Memory {
        reports: [NO_REPORT; REPORTS],
        probes: [NO_PROBE; PROBES],
        successes: [NO_SUCCESS; SUCCESSES],
    };
}

impl Source {
    pub(crate) const EMPTY: Source = Source {
        key: Key::NOBODY,
        last: 0,
        failures: 0,
        proven_at: None,
        attempts: 0,
        len: 0,
        succeeded: 0,
        memory: None,
    };

    fn memory(&mut self) -> &mut Memory {
        self.memory.get_or_insert_with(|| Box::new(Memory::EMPTY))
    }

    /// The findings that were sent, and places for them; none before its first probe.
    pub(crate) fn reports(&self) -> &[Report] {
        self.memory.as_deref().map_or(&[], |memory| &memory.reports)
    }

    /// See [`Source::reports`].
    pub(crate) fn reports_mut(&mut self) -> &mut [Report] {
        self.memory.as_deref_mut().map_or(&mut [], |memory| &mut memory.reports)
    }

    /// Starts over for another source.
    pub(crate) fn restart(&mut self, key: Key, now: Millis) {
        if self.reports().iter().any(|r| r.sid != 0) {
            self.reports_mut().fill(NO_REPORT);
        }
        let Source { failures, len, succeeded, .. } = self;
        (*failures, *len, *succeeded) = (0, 0, 0);
        (self.key, self.last, self.proven_at, self.attempts) = (key, now, None, 0);
    }

    /// What would be lost without it: probes, and of sources with as many, the latest. 0 for one
    /// that no window reaches.
    #[inline]
    pub(crate) fn worth(&self, now: Millis, window: u32) -> u64 {
        let age = age(now, self.last);
        if self.key == Key::NOBODY || age > window {
            return 0;
        }
        (1 + self.len as u64) << 32 | u64::from(u32::MAX - age)
    }

    pub(crate) fn probes(&self) -> &[Probe] {
        self.memory.as_ref().and_then(|memory| memory.probes.get(..self.len)).unwrap_or(&[])
    }

    pub(crate) fn successes(&self) -> &[Success] {
        let used = self.succeeded.min(SUCCESSES);
        self.memory.as_ref().and_then(|memory| memory.successes.get(..used)).unwrap_or(&[])
    }

    pub(crate) fn find(&mut self, like: Aim) -> Option<&mut Probe> {
        let probes = self.memory.as_mut()?.probes.get_mut(..self.len)?;
        probes.iter_mut().find(|p| {
            p.aim.target == like.target
                && p.aim.port == like.port
                && p.aim.technique.is_like(like.technique)
        })
    }

    /// A probe was sent. Says whether there was no room for it.
    ///
    /// Where all places are taken by probes that may still be answered, the newcomer is left out,
    /// so that the fastest scanner's first probes grow old enough to be judged.
    pub(crate) fn probe(&mut self, aim: Aim, sender: u16, now: Millis, grace: u32) -> bool {
        self.attempts = self.attempts.saturating_add(1);
        if self.find(aim).is_some() {
            // The same again, e.g. another connection to a port that is shut: nothing new, and the
            // first attempt's time stands.
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let is_full = self.len == PROBES;
        let at = if is_full { self.oldest(now) } else { self.len };
        let Some(place) = self.memory().probes.get_mut(at) else { return true };
        let waits = matches!(place.outcome, Outcome::Pending | Outcome::Answered);
        if is_full && waits && age(now, place.at) <= grace {
            return true;
        }
        *place = Probe { aim, outcome: Outcome::Pending, sender, at: now };
        self.len = (self.len + 1).min(PROBES);
        false
    }

    fn oldest(&self, now: Millis) -> usize {
        let ages = self.probes().iter().map(|p| age(now, p.at)).enumerate();
        ages.max_by_key(|&(_, age)| age).map_or(0, |(at, _)| at)
    }

    /// The probe was an honest question: it got what it asked for.
    pub(crate) fn succeed(&mut self, aim: Aim, now: Millis) {
        let like = |p: &Probe| {
            p.aim.target == aim.target
                && p.aim.port == aim.port
                && p.aim.technique.is_like(aim.technique)
        };
        if let Some(at) = self.probes().iter().position(like) {
            self.take_out(at);
            self.failures = self.failures.saturating_sub(1);
        }
        self.attempts = self.attempts.saturating_sub(1);
        let slot = self.succeeded % SUCCESSES;
        if let Some(place) = self.memory().successes.get_mut(slot) {
            *place = Success { port: aim.port, technique: aim.technique, at: now };
        }
        self.succeeded += 1;
        if self.succeeded == 2 * SUCCESSES {
            self.succeeded = SUCCESSES;
        }
    }

    /// Forgets a probe; the last one takes its place.
    fn take_out(&mut self, at: usize) {
        self.len = self.len.saturating_sub(1);
        if let Some(memory) = &mut self.memory {
            memory.probes.swap(at, self.len);
        }
    }

    /// Drops what no window reaches any more.
    pub(crate) fn forget_older(&mut self, now: Millis, window: u32) {
        let mut at = 0;
        while let Some(probe) = self.probes().get(at) {
            if age(now, probe.at) > window {
                self.take_out(at);
            } else {
                at += 1;
            }
        }
        if self.len == 0 {
            self.failures = 0;
        }
    }

    /// Whether the probes come from so many machines on the link that none sent most of them:
    /// then somebody forges, and nobody can be named.
    pub(crate) fn has_many_senders(&self) -> bool {
        let probes = self.probes();
        let from = |sender: u16| probes.iter().filter(|p| p.sender == sender).count();
        probes.iter().all(|p| 2 * from(p.sender) < probes.len())
    }
}
