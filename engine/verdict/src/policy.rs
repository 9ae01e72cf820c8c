//! The whole policy: what an operator decided, complete and immutable. `control` builds it off the
//! street and swaps it; nothing here reads a file.

use crate::{
    BlockDuration, BreakerLimits, Ceilings, Exclusions, InventoryProof, ProtectedAddresses,
};
use portcullis_types::{Action, Addr, Class, PluginId, Prefix, RuleId, SegmentId};
use std::fmt;
use std::str::FromStr;

/// All that the judge consults. Swapped whole at a burst boundary.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The Network Attack Blocker.
    pub attacks: ClassPolicy,
    /// The Network Activity Scanner.
    pub activity: ClassPolicy,
    /// The protected links. A segment that is not named here is only watched.
    pub segments: Vec<SegmentPolicy>,
    /// The ordered list of exclusions.
    pub exclusions: Exclusions,
    /// Addresses that are never blocked.
    pub protected: ProtectedAddresses,
    /// Addresses that the inventory vouches for.
    pub inventory: InventoryProof,
    /// How far a rule may go, by class, category, confidence and severity.
    pub ceilings: Ceilings,
    /// How many new blocks a minute may bring.
    pub breaker: BreakerLimits,
    /// Whether a protected machine may itself be blocked; off by default.
    pub block_inside: bool,
    /// Whose `pass` rules work.
    pub pass: PassGrants,
}

impl Policy {
    /// The policy of a class.
    pub fn class(&self, class: Class) -> &ClassPolicy {
        match class {
            Class::Attack => &self.attacks,
            Class::Suspicious => &self.activity,
        }
    }

    /// The policy of a segment, where it is configured.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentPolicy> {
        // Segments are numbered in the order of the configuration, so this is nearly always a hit.
        self.segments
            .get(usize::from(id.0))
            .filter(|s| s.id == id)
            .or_else(|| self.segments.iter().find(|s| s.id == id))
    }

    /// The segment of a name.
    pub fn segment_named(&self, name: &str) -> Option<&SegmentPolicy> {
        self.segments.iter().find(|s| &*s.name == name)
    }

    /// The mode of a segment; an unknown segment is only watched.
    pub fn mode(&self, id: SegmentId) -> Mode {
        self.segment(id).map_or(Mode::Monitor, |s| s.mode)
    }
}

/// One detection class's switch, categories and action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassPolicy {
    /// The switch. Off: findings of the class are neither reported nor acted on.
    pub enabled: bool,
    /// Which categories are looked at.
    pub categories: Categories,
    /// What is done on detection, at most.
    pub action: ClassAction,
    /// How long a block lasts.
    pub block_for: BlockDuration,
    /// Rules that are switched off in this class.
    pub rule_exclusions: Vec<RuleRef>,
    /// Whether an offender whose address is not proven may be blocked; off by default, since an
    /// attacker could then have any address blocked by forging it.
    pub block_unproven: bool,
}

impl Default for ClassPolicy {
    fn default() -> Self {
        ClassPolicy {
            enabled: true,
            categories: Categories::default(),
            action: ClassAction::TerminateAndBlock,
            block_for: BlockDuration::HOUR,
            rule_exclusions: Vec::new(),
            block_unproven: false,
        }
    }
}

/// The categories with a switch. All others (`malware`, `scan`, `dos`, …) are always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categories {
    /// Advertising software; on by default.
    pub adware: bool,
    /// Legal software that intruders use: remote administration, downloaders, monitors, password
    /// tools; off by default.
    pub other: bool,
}

impl Default for Categories {
    fn default() -> Self {
        Categories { adware: true, other: false }
    }
}

impl Categories {
    /// Whether findings of the category are looked at. Only the activity class has switches.
    pub fn looks_at(&self, class: Class, category: &str) -> bool {
        match (class, category) {
            (Class::Suspicious, "adware") => self.adware,
            (Class::Suspicious, "other") => self.other,
            _ => true,
        }
    }
}

/// The action on detection, as the configuration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassAction {
    /// Report only.
    Ignore,
    /// End the connection; the flow stays dropped.
    Terminate,
    /// End the connection and block all traffic from the offender.
    TerminateAndBlock,
}

impl ClassAction {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClassAction::Ignore => "ignore",
            ClassAction::Terminate => "terminate",
            ClassAction::TerminateAndBlock => "terminate-and-block",
        }
    }

    /// The action that it allows at most.
    pub fn limit(self) -> Action {
        match self {
            ClassAction::Ignore => Action::Report,
            ClassAction::Terminate => Action::Terminate,
            ClassAction::TerminateAndBlock => Action::TerminateAndBlock,
        }
    }
}

impl FromStr for ClassAction {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "ignore" => Ok(ClassAction::Ignore),
            "terminate" => Ok(ClassAction::Terminate),
            "terminate-and-block" => Ok(ClassAction::TerminateAndBlock),
            _ => Err("write ignore, terminate or terminate-and-block"),
        }
    }
}

/// Whether a segment acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// In line, and acts.
    #[default]
    Prevent,
    /// A copy, or in line without ever acting: events say what it would have done.
    Monitor,
}

/// The word is no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeError;

impl fmt::Display for ModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write prevent or monitor")
    }
}

impl std::error::Error for ModeError {}

impl Mode {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Prevent => "prevent",
            Mode::Monitor => "monitor",
        }
    }
}

impl FromStr for Mode {
    type Err = ModeError;
    fn from_str(s: &str) -> Result<Self, ModeError> {
        match s {
            "prevent" => Ok(Mode::Prevent),
            "monitor" => Ok(Mode::Monitor),
            _ => Err(ModeError),
        }
    }
}

/// One protected link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPolicy {
    /// Its number.
    pub id: SegmentId,
    /// Its name in the configuration.
    pub name: Box<str>,
    /// Whether it acts.
    pub mode: Mode,
    /// Networks that are protected there; empty where a port says which side is inside.
    pub protected: Vec<Prefix>,
}

impl SegmentPolicy {
    /// Whether the address lies in a protected network of this segment.
    pub fn protects(&self, addr: Addr) -> bool {
        self.protected.iter().any(|p| p.contains(addr))
    }
}

/// Whose `pass` works: the operator's own rules always (generator 1, sids 1,000,000–1,999,999,
/// which are set aside for local rules), a vendor's with a grant.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PassGrants {
    /// Plugins that hold the grant.
    pub plugins: Vec<PluginId>,
}

impl PassGrants {
    /// Whether a `pass` of this rule of this plugin works.
    pub fn allows(&self, plugin: PluginId, rule: RuleId) -> bool {
        rule.gid == 1 && (1_000_000..2_000_000).contains(&rule.sid)
            || self.plugins.contains(&plugin)
    }
}

/// A rule by its name, any revision or one: `gid:sid` or `gid:sid:rev`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleRef {
    /// Generator.
    pub gid: u32,
    /// The rule within its generator.
    pub sid: u32,
    /// Its revision; `None` for all of them.
    pub rev: Option<u32>,
}

impl RuleRef {
    /// Whether it names the rule.
    #[inline]
    pub fn names(&self, rule: RuleId) -> bool {
        self.gid == rule.gid && self.sid == rule.sid && self.rev.is_none_or(|r| r == rule.rev)
    }

    /// Whether it names every rule that `other` names.
    pub fn covers(&self, other: &RuleRef) -> bool {
        self.gid == other.gid
            && self.sid == other.sid
            && (self.rev.is_none() || self.rev == other.rev)
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.gid, self.sid)?;
        self.rev.map_or(Ok(()), |rev| write!(f, ":{rev}"))
    }
}

/// The text names no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRefError;

impl fmt::Display for RuleRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write gid:sid or gid:sid:rev, such as 1:2010935 or 1:2010935:3")
    }
}

impl std::error::Error for RuleRefError {}

impl FromStr for RuleRef {
    type Err = RuleRefError;
    fn from_str(s: &str) -> Result<Self, RuleRefError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u32>().map_err(|_| RuleRefError) } else { Err(RuleRefError) }
        };
        let mut parts = s.split(':');
        let gid = number(parts.next().ok_or(RuleRefError)?)?;
        let sid = number(parts.next().ok_or(RuleRefError)?)?;
        let rev = parts.next().map(number).transpose()?;
        if parts.next().is_some() { Err(RuleRefError) } else { Ok(RuleRef { gid, sid, rev }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_defaults() {
        let policy = Policy::default();
        for class in [Class::Attack, Class::Suspicious] {
            let c = policy.class(class);
            assert!(c.enabled && !c.block_unproven);
            assert_eq!(c.action, ClassAction::TerminateAndBlock);
            assert_eq!(c.block_for.duration().as_secs(), 3600);
        }
        let c = policy.activity.categories;
        assert!(
            c.looks_at(Class::Suspicious, "malware") && c.looks_at(Class::Suspicious, "adware")
        );
        assert!(!c.looks_at(Class::Suspicious, "other") && c.looks_at(Class::Attack, "other"));
        assert!(!policy.block_inside);
        assert_eq!(policy.mode(SegmentId(3)), Mode::Monitor);
    }

    #[test]
    fn rules_by_name() {
        let any: RuleRef = "1:5".parse().expect("a rule");
        let one: RuleRef = "1:5:2".parse().expect("a rule");
        let id = RuleId { gid: 1, sid: 5, rev: 3 };
        assert!(any.names(id) && !one.names(id) && any.covers(&one) && !one.covers(&any));
        assert_eq!((any.to_string(), one.to_string()), ("1:5".into(), "1:5:2".into()));
        for bad in ["", "1", "1:", "1:2:3:4", "a:b", "1:+2", "1:99999999999"] {
            assert_eq!(bad.parse::<RuleRef>(), Err(RuleRefError), "{bad}");
        }
    }
}
