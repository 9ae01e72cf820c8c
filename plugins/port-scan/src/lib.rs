//! Port scans and host sweeps, judged per source over sliding windows of the events' own time.
//!
//! ```text
//! flow start ─▶ technique ─▶ source: pending probe ─▶ shape? ─▶ finding
//! flow reply ─▶ closed, answered, or a success ─┘
//! flow proven, established ─▶ half-open, or a success ─▶ the same finding, now proven
//! ```
//!
//! A probe that gets what it asked for is an honest question and is forgotten; what counts is what
//! fails. This detector keeps its sources in guest memory of a fixed size: a fault or a swap costs
//! it what it has counted so far, which a scan that goes on makes up for.

mod settings;
mod shape;
mod source;
mod sources;
mod technique;

use portcullis_plugin_sdk::{
    Action, Addr, Confidence, Detector, Direction, EventKind, EventView, Findings, Init, Keyed,
    Party, tcp,
};
use settings::Settings;
use shape::{Scan, Senders, Shape};
use source::{Aim, Key, Millis, Outcome, Report, Source, age};
use sources::Sources;
use technique::Technique;

/// Indices of the manifest's `metrics`.
#[derive(Clone, Copy)]
enum Metric {
    SourcesEvicted = 0,
    ProbesUncounted = 1,
    Reports = 2,
    Forged = 3,
}

/// Rules of [`Shape::Scattered`], for TCP and UDP.
const SCATTERED_TCP: u32 = 81;
const SCATTERED_UDP: u32 = 82;

/// How long after its newest probe a source still counts as scanning, ms: a handshake within it
/// belongs to the scan and proves the scanner.
const SCANNING_MS: u32 = 10_000;

/// How long a source stays proven by an earlier handshake, ms, as policy's recent proof has it:
/// what was reported meanwhile needs no second report, and would undo an operator's unblocking.
const PROVEN_MS: u32 = 300_000;

/// Fewer probes than this make no scan of any shape.
const PROBES_JUDGED: usize = 5;

/// Probes since the last report that make a scan one that goes on; an honest connection or two,
/// tried again and again by its user, are fewer.
const PROBES_REPEATED: u32 = 5;

/// How long after a report its scan's probes are taken for part of it, ms: they were on their way
/// before the report had an effect, and make no scan of an honest connection that comes later.
const ON_THE_WAY_MS: u32 = 1_000;

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// Finds who probes whom.
pub struct PortScan {
    settings: Settings,
    sources: Sources,
    links: Links,
    hasher: Keyed,
}

impl Detector for PortScan {
    fn new(init: &Init<'_>) -> Self {
        let settings = Settings::read(init);
        let [.., slow] = settings.windows;
        let hasher = init.hasher();
        let sources = Sources::new(settings.sources, slow, hasher);
        PortScan { settings, sources, links: Links::new(hasher), hasher }
    }

    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        match event.kind() {
            Some(EventKind::FlowStart) => self.on_start(event, out),
            Some(EventKind::FlowReply) => self.on_reply(event, out),
            Some(EventKind::FlowEstablished) => self.on_established(event, out),
            Some(EventKind::FlowProven) => self.on_proven(event, out),
            Some(EventKind::Packet) if event.protocol() == 0 => self.on_arp(event, out),
            _ => {}
        }
    }
}

impl PortScan {
    fn on_start(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        // The server spoke first: a conversation whose beginning was not seen.
        if event.direction() == Direction::ToClient && event.server() != event.client() {
            return;
        }
        let mac = event.flow().client_mac;
        let link = link(self.hasher, mac);
        if event.flow().ip_version == 4 {
            self.links.note(link, mac, event.client());
        }
        if let Some(aim) = self.aim(event) {
            self.probe(aim, short(link), event, out);
        }
    }

    fn probe(&mut self, aim: Aim, sender: u16, event: &EventView<'_>, out: &mut Findings<'_>) {
        let now = millis(event);
        let Some((source, evicted)) = self.sources.follow(&key(event), now) else { return };
        let [.., slow] = self.settings.windows;
        let grace = self.settings.grace(aim.technique.family());
        if source.probe(aim, sender, now, grace) {
            out.metric(Metric::ProbesUncounted as u32, 1);
        }
        if evicted {
            out.metric(Metric::SourcesEvicted as u32, 1);
        }
        source.forget_older(now, slow);
        // Most sources have probed little: they need not be looked up again.
        if source.probes().len() >= PROBES_JUDGED {
            self.consider(aim, event, out);
        }
    }

    fn on_reply(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let now = millis(event);
        let (record, packet) = (event.flow(), event.event());
        let Some(source) = self.sources.find(&key(event)) else { return };
        let unreachable = packet.icmp_type != 0 && matches!(record.protocol, 6 | 17)
            || is_unreachable(record.protocol, packet.icmp_type);
        let reset = record.protocol == 6 && event.tcp_flags() & tcp::RST != 0;
        let place = aim_at(event, self.hasher);
        for &technique in techniques(record.protocol) {
            let aim = Aim { technique, ..place };
            let Some(probe) = source.find(aim) else { continue };
            let aim = probe.aim;
            if reset || unreachable {
                probe.outcome = Outcome::Closed;
                return self.consider(aim, event, out);
            }
            if record.protocol == 6 && event.tcp_flags() & tcp::SYN != 0 {
                probe.outcome = Outcome::Answered;
            } else {
                source.succeed(aim, now);
            }
            return;
        }
    }

    /// A handshake: what it was for has succeeded, and it shows who sends from that address.
    fn on_established(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let now = millis(event);
        let Some(source) = self.sources.find(&key(event)) else { return };
        let place = aim_at(event, self.hasher);
        for technique in [Technique::Syn, Technique::Ack, Technique::Maimon] {
            let aim = Aim { technique, ..place };
            if source.find(aim).is_some() {
                source.succeed(aim, now);
            }
        }
        if event.flow().client_proof != 0 {
            self.prove(event, out);
        }
    }

    /// The client answered a SYN-ACK; without a handshake it took its SYN back.
    fn on_proven(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        if event.tcp_flags() & tcp::RST == 0 {
            return;
        }
        let Some(source) = self.sources.find(&key(event)) else { return };
        let aim = Aim { technique: Technique::Syn, ..aim_at(event, self.hasher) };
        if let Some(probe) = source.find(aim) {
            probe.outcome = Outcome::HalfOpen;
            let aim = probe.aim;
            self.consider(aim, event, out);
        }
        self.prove(event, out);
    }

    fn on_arp(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let (operation, asking, target) = (event.event().operation, event.client(), event.server());
        if asking.is_unspecified() || target.is_unspecified() || asking == target {
            return; // An announcement, or a host that looks for a free address.
        }
        let aim =
            |target| Aim { target: hash(self.hasher, target), port: 0, technique: Technique::Arp };
        if operation == ARP_REQUEST {
            self.probe(aim(target), sender(self.hasher, event), event, out);
        } else if operation == ARP_REPLY {
            let asked = aim(asking);
            let key = Key::new(target, event.flow());
            if let Some(source) = self.sources.find(&key) {
                source.succeed(asked, millis(event));
            }
        }
    }

    /// What the flow that starts here probes.
    fn aim(&self, event: &EventView<'_>) -> Option<Aim> {
        let (client, server) = (event.client(), event.server());
        if client.is_unspecified() || client == server || server.is_group() {
            return None;
        }
        let technique = Technique::of(event)?;
        Some(Aim { technique, ..aim_at(event, self.hasher) })
    }

    /// Judges the source after a change, and says what is new.
    fn consider(&mut self, aim: Aim, event: &EventView<'_>, out: &mut Findings<'_>) {
        let now = millis(event);
        let Some(source) = self.sources.find(&key(event)) else { return };
        if source.probes().len() < PROBES_JUDGED {
            return;
        }
        let sender = sender(self.hasher, event);
        let judge = |of| shape::judge(source, of, aim, now, &self.settings);
        let (scan, many) = match judge(Senders::One(sender)) {
            Some(scan) => (scan, false),
            None if !source.has_many_senders() => return,
            None => match judge(Senders::All) {
                Some(scan) => (scan, true),
                None => return,
            },
        };
        let report = Report {
            sid: sid(&scan),
            at: now,
            failures: source.failures,
            attempts: source.attempts,
            sender,
            proven: event.flow().client_proof != 0
                || source.proven_at.is_some_and(|at| age(now, at) <= PROVEN_MS),
            target: if scan.ports > 1 && scan.hosts == 1 {
                event.server()
            } else {
                Addr::default()
            },
        };
        absorb(source, now);
        if is_news(source, &report, self.settings.repeat_ms) {
            remember(source, report, now);
            let router =
                scan.technique == Technique::Arp && self.links.is_router(event.flow().client_mac);
            let doubt = match (many, router) {
                (true, _) => Doubt::ManySenders,
                (_, true) => Doubt::Router,
                _ => Doubt::None,
            };
            send(&scan, &report, doubt, out);
        }
    }

    /// A scanner that has shown itself is reported again: only the proven are blocked.
    fn prove(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let now = millis(event);
        let Some(source) = self.sources.find(&key(event)) else { return };
        source.proven_at = Some(now);
        let newest = source.probes().iter().map(|p| age(now, p.at)).min();
        if newest.is_none_or(|age| age > SCANNING_MS) {
            return;
        }
        let router = self.links.is_router(event.flow().client_mac);
        let sender = sender(self.hasher, event);
        let failures = source.failures;
        for report in source.reports_mut() {
            let arp_of_router = router && report.sid == Shape::Sweep as u32 + Technique::Arp as u32;
            if report.sid == 0
                || report.sender != sender
                || report.proven
                || arp_of_router
                || age(now, report.at) > self.settings.repeat_ms
            {
                continue;
            }
            (report.proven, report.at) = (true, now);
            report.failures = report.failures.max(failures);
            out.metric(Metric::Reports as u32, 1);
            out.find(report.sid)
                .target(party(report.target))
                .counting(report.failures)
                .text(format_args!(
                    "a scanner that has now proven its address; {} probes so far",
                    report.failures
                ))
                .send();
        }
    }
}

/// Takes what was on its way when a report was made for a part of it.
fn absorb(source: &mut Source, now: Millis) {
    let attempts = source.attempts;
    let fresh = |r: &&mut Report| r.sid != 0 && age(now, r.at) <= ON_THE_WAY_MS;
    source.reports_mut().iter_mut().filter(fresh).for_each(|report| report.attempts = attempts);
}

/// Whether a report says more than the source's earlier ones. The same probes are not told twice,
/// under another name or because an honest connection came after them: only a scan that goes on is.
fn is_news(source: &Source, report: &Report, repeat_ms: u32) -> bool {
    let mut told = source.reports().iter().filter(|r| r.sid != 0);
    let goes_on = told.all(|r| report.attempts >= r.attempts.saturating_add(PROBES_REPEATED));
    match source.reports().iter().find(|r| r.sid == report.sid) {
        None => goes_on || report.proven && source.reports().iter().all(|r| !r.proven),
        Some(r) => {
            report.proven && !r.proven
                || report.failures >= r.failures.saturating_mul(2)
                || goes_on && age(report.at, r.at) >= repeat_ms
        }
    }
}

/// Puts a report in the place of the same rule's last one, else of the oldest.
fn remember(source: &mut Source, report: Report, now: Millis) {
    let place = source.reports_mut().iter_mut().max_by_key(|r| {
        if r.sid == report.sid { (2, 0) } else { (u32::from(r.sid == 0), age(now, r.at)) }
    });
    if let Some(place) = place {
        *place = report;
    }
}

/// Why the source of a scan is not named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// Its probes come from many link-layer addresses: forged.
    ManySenders,
    /// A router asks for the hosts that somebody beyond it sweeps.
    Router,
}

fn send(scan: &Scan, report: &Report, why: Doubt, out: &mut Findings<'_>) {
    out.metric(Metric::Reports as u32, 1);
    let doubt = match why {
        Doubt::None => "",
        Doubt::ManySenders => "; from many link addresses: forged",
        Doubt::Router => "; by a router",
    };
    if why == Doubt::ManySenders {
        out.metric(Metric::Forged as u32, 1);
    }
    let tally = scan.tally;
    let sure = if scan.is_mute { Confidence::Medium } else { Confidence::High };
    let seconds = scan.window_ms / 1000;
    let draft = out
        .find(report.sid)
        .offender(if why == Doubt::None { Party::Client } else { Party::Nobody })
        .action(if why == Doubt::None { Action::TerminateAndBlock } else { Action::Report })
        .target(party(report.target))
        .confidence(sure)
        .counting(tally.failed() + tally.fresh);
    let (how, hosts, ports) = (scan.technique.name(), scan.hosts, scan.ports);
    match scan.technique.is_sweep() {
        true => draft.text(format_args!(
            "{how}: {hosts} hosts within {seconds} s; {} silent, {} unreachable, {} awaited{doubt}",
            tally.silent, tally.closed, tally.fresh,
        )),
        false => draft.text(format_args!(
            "{how}: {ports} ports, {hosts} hosts within {seconds} s; \
             {} closed, {} silent, {} half-open, {} awaited{doubt}",
            tally.closed, tally.silent, tally.half_open, tally.fresh,
        )),
    }
    .send();
}

fn party(addr: Addr) -> Party {
    if addr == Addr::default() { Party::Nobody } else { Party::Addr(addr) }
}

fn sid(scan: &Scan) -> u32 {
    match (scan.shape, scan.technique) {
        (Shape::Scattered, Technique::Udp) => SCATTERED_UDP,
        (Shape::Scattered, _) => SCATTERED_TCP,
        (shape, technique) => shape as u32 + technique as u32,
    }
}

/// The techniques that a reply of the protocol may answer, one for each group that is judged alike.
fn techniques(protocol: u8) -> &'static [Technique] {
    match protocol {
        6 => &[
            Technique::Syn,
            Technique::Fin,
            Technique::Null,
            Technique::Xmas,
            Technique::Ack,
            Technique::Maimon,
        ],
        17 => &[Technique::Udp],
        1 | 58 => &[Technique::Echo, Technique::Timestamp, Technique::Mask],
        _ => &[],
    }
}

/// ICMP's own "destination unreachable" among the answers to ICMP probes.
fn is_unreachable(protocol: u8, icmp_type: u8) -> bool {
    protocol == 1 && icmp_type == 3 || protocol == 58 && icmp_type == 1
}

#[inline]
fn key(event: &EventView<'_>) -> Key {
    Key::new(event.client(), event.flow())
}

/// The flow's other end; the technique is the caller's.
#[inline]
fn aim_at(event: &EventView<'_>, hasher: Keyed) -> Aim {
    Aim {
        target: hash(hasher, event.server()),
        port: event.server_port(),
        technique: Technique::Syn,
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn hash(hasher: Keyed, addr: Addr) -> u32 {
    hasher.words(addr.words()) as u32
}

/// Who sent the flow's first packet on the link.
#[inline]
fn sender(hasher: Keyed, event: &EventView<'_>) -> u16 {
    short(link(hasher, event.flow().client_mac))
}

/// Keyed hash of a link-layer address.
#[inline]
fn link(hasher: Keyed, mac: [u8; 6]) -> u64 {
    hasher.words([mac_word(mac)])
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a part of a hash is a hash")]
fn short(hash: u64) -> u16 {
    hash as u16
}

/// A link-layer address as a word.
#[inline]
fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a clock on a circle of 2^32 ms")]
fn millis(event: &EventView<'_>) -> Millis {
    (event.at() / 1_000_000) as u32
}

/// Link-layer addresses that send for more than one IPv4 address: routers. A router that is swept
/// through asks by ARP for every address; that is not its doing.
struct Links {
    rows: Vec<Link>,
    hasher: Keyed,
}

#[derive(Clone, Copy, Default)]
struct Link {
    mac: u64,
    addr: Addr,
    many: bool,
}

/// Link-layer addresses remembered; two that fall on one place replace each other.
const LINKS: usize = 1024;

impl Links {
    fn new(hasher: Keyed) -> Self {
        Links { rows: vec![Link::default(); LINKS], hasher }
    }

    #[inline]
    fn row(&mut self, link: u64) -> Option<&mut Link> {
        self.rows.get_mut(usize::try_from(link % LINKS as u64).unwrap_or(0))
    }

    /// `link` is the keyed hash of `mac`.
    #[inline]
    fn note(&mut self, link: u64, mac: [u8; 6], addr: Addr) {
        let mac = mac_word(mac);
        let Some(row) = self.row(link) else { return };
        if row.mac != mac {
            *row = Link { mac, addr, many: false };
        } else if row.addr != addr {
            row.many = true;
        }
    }

    fn is_router(&mut self, mac: [u8; 6]) -> bool {
        let link = link(self.hasher, mac);
        let mac = mac_word(mac);
        self.row(link).is_some_and(|row| row.mac == mac && row.many)
    }
}

portcullis_plugin_sdk::export_detector!(PortScan, include_bytes!("../plugin.toml"));
