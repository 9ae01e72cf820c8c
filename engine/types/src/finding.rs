//! What a detector says, after the host has checked it.

use crate::{Addr, FrameIndex, SegmentId, Tick, VlanStack};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Which of the two detection classes a finding belongs to; each is a switch of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Class {
    /// An attempted network attack on a protected machine: the Network Attack Blocker.
    Attack = 0,
    /// Suspicious activity that may be a sign of an intrusion: the Network Activity Scanner.
    Suspicious = 1,
}

/// How far an action goes. Ordered: a ceiling is a `min`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Action {
    /// Let the traffic pass and say nothing more about it. Needs a grant.
    Pass = 0,
    /// Report only (`ignore` in the configuration, `alert` in rules).
    Report = 1,
    /// End the connection; the flow stays dropped.
    Terminate = 2,
    /// End the connection and block all traffic from the offender.
    TerminateAndBlock = 3,
}

/// How grave it is. Ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    Info = 0,
    /// Of little consequence.
    Low = 1,
    /// To be looked at.
    Medium = 2,
    /// To be acted on.
    High = 3,
    /// To be acted on now.
    Critical = 4,
}

/// How sure the rule is. Ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Confidence {
    /// Often wrong.
    Low = 0,
    /// Sometimes wrong.
    Medium = 1,
    /// Hardly ever wrong.
    High = 2,
}

/// What a verdict is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reach {
    /// This packet only.
    Packet = 0,
    /// The transaction that the packet belongs to; acts on the flow where there is none.
    Transaction = 1,
    /// The whole flow.
    Flow = 2,
    /// Everything from the offender.
    Offender = 3,
}

/// A rule's name: `gid:sid:rev`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RuleId {
    /// Generator: 1 for Suricata-language rules, other numbers for plugins.
    pub gid: u32,
    /// The rule within its generator.
    pub sid: u32,
    /// Its revision.
    pub rev: u32,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.gid, self.sid, self.rev)
    }
}

impl FromStr for RuleId {
    type Err = &'static str;
    /// `gid:sid:rev`, all three.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "write gid:sid:rev, three numbers, such as 1:2010935:3";
        let mut parts = s.split(':').map(|p| p.parse::<u32>().map_err(|_| WANT));
        let mut next = || parts.next().ok_or(WANT)?;
        let id = RuleId { gid: next()?, sid: next()?, rev: next()? };
        if parts.next().is_some() { Err(WANT) } else { Ok(id) }
    }
}

/// A link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which plugin spoke: its index in the set of loaded plugins, stable across swaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct PluginId(pub u16);

/// Who the offender or the target is, resolved by the host to what the flow says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// Nobody can be named, e.g. because the source is forged.
    Nobody,
    /// An address, in the flow's segment and VLAN stack.
    Addr(Addr),
    /// A link-layer address, in the flow's segment and VLAN stack.
    Mac(Mac),
}

impl Party {
    /// The IP address, where it is one.
    pub fn addr(&self) -> Option<Addr> {
        if let Party::Addr(a) = self { Some(*a) } else { None }
    }
}

/// How an address has shown that it is not forged (product: *proof of source*).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Proof {
    /// Nothing but a source field says so.
    #[default]
    None = 0,
    /// (a) A completed TCP handshake on this flow.
    Handshake = 1,
    /// (b) An ACK or RST whose numbers answer our side's SYN-ACK.
    Answer = 2,
    /// (c) Such a handshake from the same segment, VLAN and address within the last minutes.
    Recent = 3,
    /// (d) A static MAC or an inventory entry.
    Inventory = 4,
}

impl Proof {
    /// Whether the address is proven at all.
    #[inline]
    pub fn is_proven(self) -> bool {
        self != Proof::None
    }

    /// The word in events.
    pub fn name(self) -> &'static str {
        match self {
            Proof::None => "unproven",
            Proof::Handshake => "handshake",
            Proof::Answer => "answer",
            Proof::Recent => "recent-handshake",
            Proof::Inventory => "inventory",
        }
    }
}

/// What `verdict` may know of the flow that a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowFacts {
    /// The protected link.
    pub segment: SegmentId,
    /// The place on it.
    pub vlan: VlanStack,
    /// The tunnel that the flow came in, 0 for none.
    pub tunnel: u32,
    /// IP protocol number (or 0 for what is not IP).
    pub protocol: u8,
    /// Who opened the conversation.
    pub client: Addr,
    /// Whom it was opened to.
    pub server: Addr,
    /// Ports, 0 where the protocol has none.
    pub client_port: u16,
    /// Ports, 0 where the protocol has none.
    pub server_port: u16,
    /// Whether the client end is on the protected side.
    pub client_inside: bool,
    /// Whether the server end is on the protected side.
    pub server_inside: bool,
    /// How the client has shown itself.
    pub client_proof: Proof,
    /// How the server has shown itself.
    pub server_proof: Proof,
}

/// A few bytes that show why, with where they came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// The detector's own words, at most 256 bytes, already made safe to print.
    pub text: Option<Box<str>>,
    /// The bytes of the buffer that the finding points at, at most 256.
    pub bytes: Option<Box<[u8]>>,
}

/// What the host knows of a rule from its plugin's manifest, never from a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleMeta {
    /// The rule.
    pub id: RuleId,
    /// One line for people.
    pub message: String,
    /// Its class.
    pub class: Class,
    /// Its category, e.g. `scan`, `dos`, `malware`, `adware`, `other`.
    pub category: String,
    /// How grave.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The most that this rule asks for.
    pub action: Action,
    /// Whether one packet is all that it takes to find it, so that anybody can send that in
    /// another's name: then an earlier proof of the address does not count.
    pub forgeable: bool,
    /// ATT&CK technique ids such as `T1046`.
    pub attack: Vec<String>,
    /// CVE ids and addresses of documents.
    pub references: Vec<String>,
    /// The rule language's classtype, e.g. `trojan-activity`; empty where it has none.
    pub classtype: String,
    /// The rule language's priority, 1 the gravest; 0 where it has none.
    pub priority: u8,
    /// The rule language's metadata in its order, keys and values.
    pub metadata: Vec<(String, String)>,
}

/// What one detector says about one event, checked by the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Who says it.
    pub plugin: PluginId,
    /// The rule, as the manifest has it.
    pub rule: Arc<RuleMeta>,
    /// The class asserted, one of the manifest's.
    pub class: Class,
    /// How sure, at most the rule's.
    pub confidence: Confidence,
    /// How grave, at most the rule's.
    pub severity: Severity,
    /// What the detector proposes, at most what was granted.
    pub action: Action,
    /// What it is about.
    pub reach: Reach,
    /// Who did it.
    pub offender: Party,
    /// To whom.
    pub target: Party,
    /// How the offender's address has shown itself, as the flow or the host-scope detector knows.
    pub proof: Proof,
    /// The flow that it is about.
    pub facts: FlowFacts,
    /// The flow's index in its worker's table with its generation, where there is one.
    pub flow: Option<(u32, u32)>,
    /// The frame in the burst that carried the event; `None` from a host-scope detector.
    pub frame: Option<FrameIndex>,
    /// Which of the plugin's findings on one frame is judged first: the lower. A `pass` ends with
    /// itself.
    pub order: u32,
    /// When.
    pub at: Tick,
    /// How long the detector would block, capped by the host; `None` leaves it to policy.
    pub duration: Option<Duration>,
    /// Why.
    pub evidence: Evidence,
}

/// Numbers in records, back into words; `None` for one that this version does not know.
macro_rules! from_number {
    ($($name:ident: $($variant:ident),+;)+) => {
        $(impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// From its number in records.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| *known as u8 == number)
            }
        })+
    };
}

from_number! {
    Action: Pass, Report, Terminate, TerminateAndBlock;
    Class: Attack, Suspicious;
    Confidence: Low, Medium, High;
    Reach: Packet, Transaction, Flow, Offender;
    Severity: Info, Low, Medium, High, Critical;
}
