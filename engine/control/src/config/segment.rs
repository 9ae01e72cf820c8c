//! `[[segment]]`: one protected link each.

use super::section::{Section, words};
use portcullis_types::{Addr, PortSide, Prefix, SegmentId};
use std::time::Duration;
use toml::de::DeValue;

/// Linux's IFNAMSIZ without the final zero.
const PORT_NAME_MAX: usize = 15;
/// What a page holds of a packet beside what drivers keep for themselves: `capture`'s
/// `ONE_PIECE_MTU_MAX`, to which the binary compares it.
pub const PAGE_MTU_MAX: u16 = 3_000;
/// Segments are numbered in 16 bits; this many is far more than one machine's ports.
const SEGMENTS_MAX: usize = 1024;

words! {
    /// Whether the engine acts.
    Mode {
        /// Acts: drops, terminates, blocks.
        Prevent = "prevent",
        /// Says what it would have done, and lets everything pass.
        Monitor = "monitor",
    }
}

words! {
    /// How frames are read and sent.
    CaptureChoice {
        /// AF_XDP where kernel and port can, AF_PACKET otherwise; the choice is said at start.
        Auto = "auto",
        /// AF_XDP or refuse to start.
        AfXdp = "af_xdp",
        /// AF_PACKET (TPACKET_V3).
        AfPacket = "af_packet",
    }
}

words! {
    /// Where the kernel program is attached and whether frames are copied.
    XdpMode {
        /// The best that works, tried in the order zero-copy, native, generic.
        Auto = "auto",
        /// In the driver, frames copied once.
        Native = "native",
        /// In the stack: any port, slowest.
        Generic = "generic",
        /// In the driver, the NIC writes into our memory.
        ZeroCopy = "zero-copy",
    }
}

words! {
    /// What a worker does when no frame is there.
    WaitMode {
        /// Spins a little, then sleeps.
        Adaptive = "adaptive",
        /// Sleeps at once: least CPU, most delay.
        Poll = "poll",
        /// Never sleeps: least delay, one whole core.
        Spin = "spin",
        /// Lets the kernel's driver poll from our own thread (needs a driver that can).
        BusyPoll = "busy-poll",
    }
}

words! {
    /// What happens to traffic when the engine is dead or hangs.
    OnFailure {
        /// The kernel program forwards by itself; existing blocks hold.
        Open = "open",
        /// Nothing passes.
        Closed = "closed",
    }
}

/// Where a segment's frames come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ports {
    /// Two ports; what comes in by one goes out by the other.
    Inline {
        /// The first port.
        a: String,
        /// The second port.
        b: String,
    },
    /// A copy of the traffic; nothing is forwarded.
    Tap(String),
}

impl Ports {
    /// The port of a side; a tap has only [`PortSide::A`].
    pub fn name(&self, side: PortSide) -> Option<&str> {
        match (self, side) {
            (Ports::Inline { a, .. }, PortSide::A) => Some(a),
            (Ports::Inline { b, .. }, PortSide::B) => Some(b),
            (Ports::Tap(port), PortSide::A) => Some(port),
            (Ports::Tap(_), PortSide::B) => None,
        }
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.name(PortSide::A), self.name(PortSide::B)].into_iter().flatten()
    }
}

/// `[[segment]]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its number: its place in the file, from 0.
    pub id: SegmentId,
    /// Its name in events, metrics and commands; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// `ports = ["a", "b"]` for an inline pair, `tap = "a"` for a copy.
    pub ports: Ports,
    /// The port behind which the protected machines are; `None` where only `protected` says it.
    pub inside: Option<PortSide>,
    /// The protected networks; with `inside` too, both must agree.
    pub protected: Vec<Prefix>,
    /// Whether the engine acts; `prevent` for a pair, `monitor` for a tap.
    pub mode: Mode,
    /// How frames are read and sent.
    pub capture: CaptureChoice,
    /// Where the kernel program is attached.
    pub xdp_mode: XdpMode,
    /// Queues per port; `None` (`"auto"`) is what the ports have.
    pub queues: Option<u16>,
    /// Slots of each ring of each queue, a power of two from 64 to 32768.
    pub ring_frames: u32,
    /// What a worker does when no frame is there.
    pub wait: WaitMode,
    /// What happens when the engine is dead or hangs.
    pub on_failure: OnFailure,
    /// The engine counts as hanging when its heartbeat is older than this; 100 ms to 1 min.
    pub hang_after: Duration,
    /// Let the engine switch off the offloads that hide frames, instead of naming the command.
    pub fix_offloads: bool,
    /// The longest IP packet, 576 to 9216: ports that carry longer ones are refused. `None`
    /// (`"auto"`) is the ports' own.
    pub mtu: Option<u16>,
    /// Frames beyond one page: needs driver support for multi-buffer, and more memory per frame.
    /// Without it ports that carry packets above [`PAGE_MTU_MAX`] are refused, AF_PACKET aside.
    pub jumbo: bool,
}

impl Segment {
    /// The segment that `replay` uses where no configuration names one: a tap called `replay`
    /// which protects the private networks of RFC 1918 and RFC 4193.
    pub fn for_replay() -> Self {
        let v4 = |a, b, len| Prefix::of(Addr::v4([a, b, 0, 0]), len);
        let mut ula = [0; 16];
        ula[0] = 0xfc;
        Segment {
            name: "replay".into(),
            protected: vec![
                v4(10, 0, 8),
                v4(172, 16, 12),
                v4(192, 168, 16),
                Prefix::of(Addr::v6(ula), 7),
            ],
            mode: Mode::Prevent,
            ..Segment::blank(SegmentId(0), Ports::Tap("replay".into()))
        }
    }

    /// Whether frames are forwarded.
    pub fn is_inline(&self) -> bool {
        matches!(self.ports, Ports::Inline { .. })
    }

    fn blank(id: SegmentId, ports: Ports) -> Self {
        let mode = match ports {
            Ports::Inline { .. } => Mode::Prevent,
            Ports::Tap(_) => Mode::Monitor,
        };
        Segment {
            id,
            name: String::new(),
            ports,
            inside: None,
            protected: Vec::new(),
            mode,
            capture: CaptureChoice::Auto,
            xdp_mode: XdpMode::Auto,
            queues: None,
            ring_frames: 2048,
            wait: WaitMode::Adaptive,
            on_failure: OnFailure::Open,
            hang_after: Duration::from_secs(1),
            fix_offloads: false,
            mtu: None,
            jumbo: false,
        }
    }

    fn read(mut s: Section<'_, '_>, id: SegmentId) -> Self {
        let ports = read_ports(&mut s);
        let d = Segment::blank(id, ports);
        let inside_port = s.optional_text("inside");
        let segment = Segment {
            id,
            name: s.parsed("name", d.name, name),
            inside: inside_port.as_deref().and_then(|port| side_of(&s, &d.ports, port)),
            ports: d.ports,
            protected: s.list("protected", d.protected, |t| t.parse::<Prefix>()),
            mode: s.word("mode", d.mode),
            capture: s.word("capture", d.capture),
            xdp_mode: s.word("xdp_mode", d.xdp_mode),
            queues: s.number_or_auto("queues", d.queues, 1..=super::engine::WORKERS_MAX),
            ring_frames: s.number("ring_frames", d.ring_frames, 64..=32768),
            wait: s.word("wait", d.wait),
            on_failure: s.word("on_failure", d.on_failure),
            hang_after: s.duration(
                "hang_after",
                d.hang_after,
                Duration::from_millis(100)..=Duration::from_secs(60),
            ),
            fix_offloads: s.switch("fix_offloads", d.fix_offloads),
            mtu: s.number_or_auto("mtu", d.mtu, 576..=9216),
            jumbo: s.switch("jumbo", d.jumbo),
        };
        segment.examine(&s, inside_port.is_some());
        s.finish();
        segment
    }

    /// What one key alone cannot show.
    fn examine(&self, s: &Section<'_, '_>, inside_written: bool) {
        if !s.has("name") {
            s.missing("name", "write name = \"…\": events and commands use it");
        }
        if !inside_written && !s.has("protected") {
            let remedy = "write inside = \"PORT\" (the port towards the protected machines), \
                          or protected = [\"10.0.0.0/8\", …], or both";
            s.wrong(s.at(), "the segment does not say what it protects", remedy);
        }
        if !self.ring_frames.is_power_of_two() {
            let message = format!("`ring_frames = {}` is no power of two", self.ring_frames);
            let remedy = format!("write {}", self.ring_frames.next_power_of_two().min(32768));
            s.wrong(s.at_key("ring_frames"), message, remedy);
        }
        if !self.is_inline() && self.mode == Mode::Prevent {
            let remedy = "write mode = \"monitor\", or name two `ports`";
            s.wrong(s.at_key("mode"), "a tap sees a copy and cannot prevent anything", remedy);
        }
        if self.capture == CaptureChoice::AfPacket && s.has("xdp_mode") {
            let remedy = "remove it, or write capture = \"auto\"";
            s.doubtful(s.at_key("xdp_mode"), "`xdp_mode` has no effect on AF_PACKET", remedy);
        }
        if self.mtu.is_some_and(|mtu| mtu > PAGE_MTU_MAX)
            && !self.jumbo
            && self.capture != CaptureChoice::AfPacket
        {
            let remedy = "write jumbo = true";
            s.wrong(
                s.at_key("mtu"),
                format!("an MTU beyond {PAGE_MTU_MAX} does not fit one page"),
                remedy,
            );
        }
    }
}

/// All rows, and what must hold between them.
pub(super) fn read_all(s: &mut Section<'_, '_>) -> Vec<Segment> {
    let rows = s.rows("segment").unwrap_or_default();
    if rows.len() > SEGMENTS_MAX {
        let message = format!("{} segments", rows.len());
        s.wrong(s.at_key("segment"), message, format!("write at most {SEGMENTS_MAX}"));
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (row, id) in rows.into_iter().take(SEGMENTS_MAX).zip(0u16..) {
        let at = row.at();
        let segment = Segment::read(row, SegmentId(id));
        if let Some(twin) = segments.iter().find(|o| !o.name.is_empty() && o.name == segment.name) {
            let message = format!("two segments are called `{}`", twin.name);
            s.wrong(at.clone(), message, "give each segment a name of its own");
        }
        for port in segment.ports.names() {
            if let Some(owner) = segments.iter().find(|o| o.ports.names().any(|p| p == port)) {
                let message = format!("port `{port}` belongs to segment `{}` already", owner.name);
                s.wrong(at.clone(), message, "give each segment ports of its own");
            }
        }
        segments.push(segment);
    }
    segments
}

/// `ports` or `tap`; where both or neither is right, a mistake and a port without a name.
fn read_ports(s: &mut Section<'_, '_>) -> Ports {
    let tap = s.parsed("tap", None, |t| port(t).map(Some));
    let pair = s.has("ports");
    let ports = s.list("ports", Vec::new(), port);
    let at = s.at_key("ports");
    let whole = match s.raw("ports").map(|v| v.get_ref()) {
        Some(DeValue::Array(items)) => items.len() == ports.len(),
        _ => false,
    };
    match (tap, pair) {
        (Some(_), true) => {
            let remedy = "write `ports` for an inline pair, or `tap` for a copy";
            s.wrong(at, "a segment has `ports` or a `tap`, not both", remedy);
        }
        (Some(tap), false) => return Ports::Tap(tap),
        (None, true) => match ports.as_slice() {
            [a, b] if a != b => return Ports::Inline { a: a.clone(), b: b.clone() },
            [a, _] => {
                let remedy = "name two different ports";
                s.wrong(at, format!("`{a}` cannot be paired with itself"), remedy);
            }
            _ if whole => {
                let message = format!("`ports` names {}", ports.len());
                s.wrong(at, message, "name two: ports = [\"a\", \"b\"]; for a copy, tap = \"a\"");
            }
            _ => {}
        },
        (None, false) if s.has("tap") => {}
        (None, false) => {
            s.missing("ports", "write ports = [\"a\", \"b\"] for an inline pair, or tap = \"a\"");
        }
    }
    // Nothing with mistakes is ever used: a pair without names stands in.
    Ports::Inline { a: String::new(), b: String::new() }
}

fn side_of(s: &Section<'_, '_>, ports: &Ports, port: &str) -> Option<PortSide> {
    let side = [PortSide::A, PortSide::B].into_iter().find(|side| ports.name(*side) == Some(port));
    let known: Vec<&str> = ports.names().filter(|n| !n.is_empty()).collect();
    if let (Ports::Tap(_), Some(_)) = (ports, side) {
        let remedy =
            "write protected = [\"10.0.0.0/8\", …]: a tap shows both directions at one port";
        s.wrong(s.at_key("inside"), "`inside` says nothing about a tap", remedy);
        return None;
    }
    if side.is_none() && !known.is_empty() {
        let message = format!("`inside = \"{port}\"` is no port of this segment");
        s.wrong(s.at_key("inside"), message, format!("write one of: {}", known.join(", ")));
    }
    side
}

/// A network interface's name, as the kernel takes it.
fn port(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= PORT_NAME_MAX && text != "." && text != "..";
    if fits && text.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "write an interface's name, 1 to {PORT_NAME_MAX} letters, as `ip link` shows it"
        ))
    }
}

/// A name that is safe in metrics, paths and command lines.
fn name(text: &str) -> Result<String, &'static str> {
    let fits = (1..=64).contains(&text.len());
    if fits && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 64 letters, digits, `-`, `_` or `.`")
    }
}
