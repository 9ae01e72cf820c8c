//! Whether a source's failed probes make a scan, and of which shape.
//!
//! Honest hosts succeed. So what counts is what failed: a port that was shut, a host that was not
//! there, a question that nobody answered within the grace, a handshake that the client took back.

use crate::settings::{Settings, Steps, WINDOWS};
use crate::source::{Aim, Millis, Outcome, PROBES, Probe, Source, age};
use crate::technique::{Family, Technique};

/// The shape of a scan; its number is the first part of a rule's `sid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Shape {
    /// Many ports of one host.
    Vertical = 0,
    /// One port of many hosts.
    Horizontal = 20,
    /// Many ports of many hosts.
    Block = 40,
    /// Many hosts.
    Sweep = 60,
    /// Many hosts, each on a port of its own: as peer-to-peer programs call on each other.
    Scattered = 80,
}

/// How a number of probes ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) closed: u32,
    pub(crate) half_open: u32,
    pub(crate) silent: u32,
    /// Not answered yet, and within the grace.
    pub(crate) fresh: u32,
}

impl Tally {
    fn add(&mut self, probe: &Probe, age: u32, grace: u32) {
        let count = match probe.outcome {
            Outcome::Closed => &mut self.closed,
            Outcome::HalfOpen => &mut self.half_open,
            Outcome::Pending if age > grace => &mut self.silent,
            Outcome::Answered if age > grace => &mut self.half_open,
            Outcome::Pending => &mut self.fresh,
            Outcome::Answered => return,
        };
        *count += 1;
    }

    pub(crate) fn failed(&self) -> u32 {
        self.closed + self.half_open + self.silent
    }
}

/// A scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scan {
    pub(crate) shape: Shape,
    pub(crate) technique: Technique,
    pub(crate) tally: Tally,
    pub(crate) hosts: u32,
    pub(crate) ports: u32,
    pub(crate) window_ms: u32,
    /// Nobody answered anything: it may be half of a conversation that is seen.
    pub(crate) is_mute: bool,
}

/// Where nobody answers anything, so many halves of the usual number are asked for: a firewall
/// drops, but a tap that sees one direction shows honest connections so, too.
const MUTE_HALVES: u32 = 5;

/// Whose probes are judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Senders {
    /// Those of one machine on the link: who forges an address does not speak for its owner.
    One(u16),
    /// Those of all.
    All,
}

/// Judges a source as of now, seen from its newest probe.
pub(crate) fn judge(
    source: &Source,
    senders: Senders,
    aim: Aim,
    now: Millis,
    settings: &Settings,
) -> Option<Scan> {
    let mut of_host = [Tally::default(); WINDOWS];
    let mut of_port = [Tally::default(); WINDOWS];
    let mut of_all = [Tally::default(); WINDOWS];
    let case = Case { source, senders, aim, now, settings };
    let like = |p: &&Probe| case.counts(p);
    let grace = settings.grace(aim.technique.family());
    for probe in source.probes().iter().filter(like) {
        let age = age(now, probe.at);
        for (at, window) in settings.windows.iter().enumerate() {
            if age > *window {
                continue;
            }
            let add = |tallies: &mut [Tally; WINDOWS]| {
                if let Some(tally) = tallies.get_mut(at) {
                    tally.add(probe, age, grace);
                }
            };
            add(&mut of_all);
            if probe.aim.target == aim.target {
                add(&mut of_host);
            }
            if probe.aim.port == aim.port {
                add(&mut of_port);
            }
        }
    }
    if aim.technique.is_sweep() {
        return case.horizontal(&of_port, &of_all, Shape::Sweep);
    }
    let vertical = case.vertical(&of_host);
    vertical
        .or_else(|| case.horizontal(&of_port, &of_all, Shape::Horizontal))
        .or_else(|| case.block(&of_all))
}

struct Case<'a> {
    source: &'a Source,
    senders: Senders,
    aim: Aim,
    now: Millis,
    settings: &'a Settings,
}

impl Case<'_> {
    fn counts(&self, probe: &Probe) -> bool {
        let from = self.senders == Senders::All || self.senders == Senders::One(probe.sender);
        from && probe.aim.technique.is_like(self.aim.technique)
    }

    fn family(&self) -> Family {
        self.aim.technique.family()
    }

    fn windows<'t>(
        &self,
        tallies: &'t [Tally; WINDOWS],
        steps: Steps,
    ) -> impl Iterator<Item = (&'t Tally, u32, u32)> + use<'t> {
        let windows = self.settings.windows;
        tallies.iter().zip(steps).zip(windows).map(|((tally, step), window)| (tally, step, window))
    }

    fn vertical(&self, of_host: &[Tally; WINDOWS]) -> Option<Scan> {
        let family = self.family();
        let steps = self.settings.vertical(family);
        let (tally, _, window_ms) =
            self.windows(of_host, steps).find(|&(t, step, _)| match family {
                // Nobody honest sends it: no answer has to be awaited.
                Family::Stealth => t.failed() + t.fresh >= step,
                // An onlooker who came late sees such segments in honest connections; only answers
                // that say "there is no such connection" tell.
                Family::Midstream => t.failed() >= step && t.closed >= t.failed() / 3,
                // Without any "port unreachable", datagrams may simply need no answer.
                Family::Datagram => t.failed() >= step && (t.closed >= 4 || t.failed() >= 2 * step),
                // So many at once on one host is no accident, answered or not.
                _ => t.failed() >= step || t.failed() + t.fresh >= 2 * step,
            })?;
        let ports = tally.failed() + tally.fresh;
        Some(self.scan(Shape::Vertical, *tally, (1, ports), window_ms))
    }

    fn horizontal(
        &self,
        of_port: &[Tally; WINDOWS],
        of_all: &[Tally; WINDOWS],
        shape: Shape,
    ) -> Option<Scan> {
        let family = self.family();
        let steps = self.settings.horizontal(family);
        let found = self.windows(of_port, steps).zip(of_all).find(|&((t, step, window), all)| {
            let failed = t.failed();
            let mute = t.closed + t.half_open == 0;
            // A peer-to-peer program calls many ports; this one must stand out.
            let stands_out = shape == Shape::Sweep || 2 * failed >= all.failed();
            let outweighs = failed >= 2 * self.successes(window);
            match family {
                Family::Stealth => failed + t.fresh >= step,
                Family::Midstream => failed >= step && t.closed >= failed / 3,
                Family::Datagram => {
                    failed >= step && stands_out && outweighs && (!mute || failed >= 2 * step)
                }
                Family::Ping | Family::Resolve => failed >= step && outweighs,
                Family::Open => {
                    let enough = if mute { step * MUTE_HALVES / 2 } else { step };
                    failed >= enough && stands_out && outweighs
                }
            }
        });
        let ((tally, _, window_ms), _) = found?;
        let hosts = tally.failed() + tally.fresh;
        Some(self.scan(shape, *tally, (hosts, 1), window_ms))
    }

    /// Recent successes of the same kind on the same port.
    fn successes(&self, window: u32) -> u32 {
        let same = self.source.successes().iter().filter(|s| {
            s.port == self.aim.port
                && s.technique.is_like(self.aim.technique)
                && age(self.now, s.at) <= window
        });
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    fn block(&self, of_all: &[Tally; WINDOWS]) -> Option<Scan> {
        let steps = self.settings.block();
        let (tally, _, window_ms) =
            self.windows(of_all, steps).find(|&(t, step, _)| t.failed() >= step)?;
        let succeeded = self.source.successes().iter().filter(|s| {
            s.technique.is_like(self.aim.technique) && age(self.now, s.at) <= window_ms
        });
        if u32::try_from(succeeded.count()).unwrap_or(u32::MAX) * 2 > tally.failed() {
            return None;
        }
        let (hosts, ports, system) = self.extent(window_ms);
        let all = tally.failed() + tally.fresh;
        let grid = hosts >= 3
            && ports >= 3
            && all >= 2 * hosts
            && (all >= 2 * ports || hosts <= ports / 3);
        let shape = match grid || hosts >= 3 && ports >= 10 && system * 2 >= all {
            true => Shape::Block,
            // Each host on its own port: nothing that repeats. Only much of it is worth a word.
            false if all >= 80 && tally.closed >= 20 => Shape::Scattered,
            false => return None,
        };
        Some(self.scan(shape, *tally, (hosts, ports), window_ms))
    }

    /// Distinct hosts, distinct ports, and probes to system ports.
    fn extent(&self, window: u32) -> (u32, u32, u32) {
        let (mut hosts, mut ports) = ([0u32; PROBES], [0u16; PROBES]);
        let (mut n, mut system) = (0, 0);
        for p in self.source.probes() {
            if !self.counts(p) || age(self.now, p.at) > window {
                continue;
            }
            if let (Some(host), Some(port)) = (hosts.get_mut(n), ports.get_mut(n)) {
                (*host, *port) = (p.aim.target, p.aim.port);
                n += 1;
                system += u32::from(p.aim.port < 1024);
            }
        }
        (distinct(hosts.get_mut(..n)), distinct(ports.get_mut(..n)), system)
    }

    fn scan(&self, shape: Shape, tally: Tally, (hosts, ports): (u32, u32), window_ms: u32) -> Scan {
        let is_mute = tally.closed + tally.half_open == 0;
        let technique = self.aim.technique;
        Scan { shape, technique, tally, hosts, ports, window_ms, is_mute }
    }
}

fn distinct<T: Ord + Copy>(values: Option<&mut [T]>) -> u32 {
    let Some(values) = values else { return 0 };
    values.sort_unstable();
    let steps = values.iter().zip(values.iter().skip(1)).filter(|(a, b)| a != b).count();
    u32::try_from(steps + usize::from(!values.is_empty())).unwrap_or(u32::MAX)
}
