//! The gate's values in the words of the control socket, and the refusals.

use super::keeper::Keeper;
use crate::api::model::{BlockInfo, BlockSelector};
use crate::api::{Refusal, RefusalKind};
use crate::config::Config;
use portcullis_enforce::{Block, BookError};
use portcullis_types::{Action, Class, Origin, Prefix, SegmentId, Tick, VlanStack};
use portcullis_verdict::{WallClock, format_timestamp};

/// A request that makes no sense.
pub(super) fn invalid(error: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, error, remedy)
}

/// What it names is not there.
pub(super) fn missing(error: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Missing, error, remedy)
}

/// It contradicts what is there.
pub(super) fn conflict(error: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, error, remedy)
}

/// The order was carried out, but does not survive a restart.
pub(super) fn not_kept(why: &str) -> Refusal {
    let error = format!("it is carried out, but not written to the disk yet: {why}");
    let remedy = "look after the disk of engine.state_dir; the journal is tried again by itself";
    Refusal::new(RefusalKind::Unavailable, error, remedy)
}

/// The engine is ending.
pub(super) fn ending() -> Refusal {
    let remedy = "try again when it runs";
    Refusal::new(RefusalKind::Unavailable, "the engine is shutting down", remedy)
}

/// What the book refused, in two sentences.
pub(super) fn of_book(error: &BookError) -> Refusal {
    let text = error.to_string();
    let (error, remedy) = text.split_once("; ").unwrap_or((&text, "see `portcullis blocks list`"));
    Refusal::new(RefusalKind::Conflict, error, remedy)
}

/// A moment as the control socket writes it.
pub(super) fn moment(wall: WallClock, at: Tick) -> String {
    format_timestamp(wall.unix_of(at))
}

/// The class as operators call it.
pub(super) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Attack => "attack",
        Class::Suspicious => "activity",
    }
}

/// The action as the control socket calls it.
pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Report => "report",
        Action::Terminate => "terminate",
        Action::TerminateAndBlock => "terminate-and-block",
    }
}

/// The segment of a name; the only one where none is named.
pub(super) fn segment_of(config: &Config, name: Option<&str>) -> Result<SegmentId, Refusal> {
    let known = || config.segments.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.segments.as_slice()) {
        (Some(name), _) => config.segment(name).map(|s| s.id).ok_or_else(|| {
            missing(format!("there is no segment `{name}`"), format!("write one of: {}", known()))
        }),
        (None, [only]) => Ok(only.id),
        (None, _) => Err(invalid("the segment is not named", format!("write one of: {}", known()))),
    }
}

/// A place from its VIDs.
pub(super) fn vlan_of(vids: &[u16]) -> Result<VlanStack, Refusal> {
    VlanStack::from_vids(vids).ok_or_else(|| {
        invalid(format!("{vids:?} is no VLAN stack"), "write at most three VIDs from 1 to 4094")
    })
}

/// A place as a filter writes it: `untagged`, `10` or `10.20`.
pub(super) fn vlan_of_text(text: &str) -> Result<VlanStack, Refusal> {
    if matches!(text, "untagged" | "novlan" | "0" | "") {
        return Ok(VlanStack::UNTAGGED);
    }
    let wrong = || invalid(format!("`{text}` is no VLAN"), "write untagged, 10 or 10.20");
    let vids: Result<Vec<u16>, _> = text.split('.').map(str::parse).collect();
    vlan_of(&vids.map_err(|_| wrong())?)
}

/// A source as it is blocked.
pub(super) fn source_of(text: &str) -> Result<Prefix, Refusal> {
    text.parse().map_err(|e: portcullis_types::PrefixError| {
        invalid(format!("`{text}` is no source: {e}"), "write an address, or an IPv6 /64")
    })
}

impl Keeper {
    /// A block, for people.
    pub(super) fn info(&self, block: &Block) -> BlockInfo {
        let loaded = self.config.load();
        let now = self.now();
        let segment = loaded.config.segments.get(usize::from(block.key.segment.0));
        let segment = segment.map_or("unknown", |s| s.name.as_str());
        let cause = &block.cause;
        let machine = cause.target.and_then(|target| {
            self.built.inventory.machine(segment, block.key.vlan, target).map(|m| m.name.clone())
        });
        let ends = block.until != Tick::NEVER;
        BlockInfo {
            segment: segment.to_owned(),
            vlan: block.key.vlan.to_vec(),
            source: block.key.source.addr().to_string(),
            prefix_len: block.key.source.len(),
            tunnel: block.key.tunnel,
            class: cause.class.map(|c| class_name(c).to_owned()),
            rule: cause.rule.map(|rule| rule.to_string()),
            message: cause.message.to_string(),
            detector: match &cause.origin {
                Origin::Detector(name) => Some(name.to_string()),
                Origin::Operator(_) | Origin::Raised => None,
            },
            made_by: match &cause.origin {
                Origin::Detector(_) => "detector".to_owned(),
                Origin::Operator(name) => format!("operator {name}"),
                Origin::Raised => "raised".to_owned(),
            },
            since: moment(self.wall, block.since),
            until: ends.then(|| moment(self.wall, block.until)),
            remaining_seconds: ends.then(|| block.remaining(now).as_secs_f64().ceil()).map(seconds),
            packets: block.packets,
            bytes: block.bytes,
            target: cause.target.map(|target| target.to_string()),
            target_machine: machine,
        }
    }
}

/// Whole seconds of a duration that was rounded up.
fn seconds(ceiled: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(ceiled).map_or(u64::MAX, |d| d.as_secs())
}

/// Whether a selector means the block.
pub(super) fn selects(
    which: &BlockSelector,
    config: &Config,
    block: &Block,
) -> Result<bool, Refusal> {
    let source = source_of(&which.source)?;
    let segment =
        which.segment.as_deref().map(|name| segment_of(config, Some(name))).transpose()?;
    let vlan = which.vlan.as_deref().map(vlan_of).transpose()?;
    let key = &block.key;
    Ok(source == key.source
        && segment.is_none_or(|s| s == key.segment)
        && vlan.is_none_or(|v| v == key.vlan)
        && which.tunnel.is_none_or(|t| t == key.tunnel))
}
