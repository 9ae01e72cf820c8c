//! What is asked and answered on the control socket: plain values, the same for both ends.
//!
//! Requests refuse keys that they do not know, so a mistyped one is never ignored; replies may gain
//! keys, and readers skip those that they do not know. Durations are whole seconds, moments are
//! RFC 3339 in UTC, VLAN stacks are lists of VIDs with the outermost first (`[]` is no tag).

use crate::config::Diagnostic;
use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What is wrong.
    pub error: String,
    /// What to do instead.
    pub remedy: String,
}

/// The engine at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StatusReply {
    /// The engine's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: String,
    /// For how long.
    pub uptime_seconds: u64,
    /// The configuration that is in force.
    pub config: String,
    /// Bytes that it will use at most.
    pub memory_max_bytes: u64,
    /// Each segment.
    pub segments: Vec<SegmentStatus>,
    /// Blocks in force.
    pub blocks: u64,
    /// Exclusion rows in force.
    pub exclusions: u64,
    /// The rules at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RuleSetInfo>,
    /// Swaps of rules since the start.
    #[serde(default)]
    pub rules_swapped: u64,
    /// What could not be read behind the headers, and why; none where nothing reads there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingStatus>,
    /// Each plugin with its state, as in `plugin list`.
    pub plugins: Vec<PluginInfo>,
    /// What an operator should look at: full tables, quarantined plugins, lost events, a breaker
    /// that opened. Empty when all is well.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What could not be read behind the headers, over all workers since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReadingStatus {
    /// Streams that are put together now.
    pub streams: u64,
    /// Bytes missing in streams.
    pub gap_bytes: u64,
    /// Flows that were not decoded for want of memory.
    pub undecoded: u64,
    /// Headers cut at their limits.
    pub headers_cut: u64,
    /// Bodies cut at their limit.
    pub bodies_cut: u64,
    /// Bodies that inflate too far.
    pub inflate_bombs: u64,
    /// Bytes lost in streams that were decoded.
    pub decoder_gap_bytes: u64,
    /// Scans whose budget was spent on near misses.
    pub scan_overruns: u64,
}

/// One segment at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SegmentStatus {
    /// Its name.
    pub name: String,
    /// `prevent` or `monitor`.
    pub mode: String,
    /// Its ports.
    pub ports: Vec<String>,
    /// How frames are read, e.g. `af_xdp native, 2 queues`.
    pub capture: String,
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that went out.
    pub forwarded: u64,
    /// Frames dropped, all reasons.
    pub dropped: u64,
    /// Of these, for a block: in the worker or in the kernel.
    pub blocked: u64,
    /// Flows in the table.
    pub flows: u64,
    /// Findings that counted.
    pub alerts: u64,
}

/// One block in force.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BlockInfo {
    /// The segment's name.
    pub segment: String,
    /// VIDs, outermost first.
    pub vlan: Vec<u16>,
    /// The first address of what is blocked.
    pub source: String,
    /// Bits of `source` that count.
    pub prefix_len: u8,
    /// The tunnel, 0 for none.
    #[serde(default)]
    pub tunnel: u32,
    /// `attack` or `activity`; none for an operator's.
    pub class: Option<String>,
    /// `gid:sid:rev`; none for an operator's.
    pub rule: Option<String>,
    /// One line for people.
    pub message: String,
    /// The detector; none for an operator's.
    pub detector: Option<String>,
    /// `detector`, `operator NAME` or `raised`.
    pub made_by: String,
    /// From when.
    pub since: String,
    /// Until when; none: until it is lifted.
    pub until: Option<String>,
    /// What remains; none: until it is lifted.
    pub remaining_seconds: Option<u64>,
    /// Packets stopped, in workers and in the kernel.
    pub packets: u64,
    /// Bytes stopped.
    pub bytes: u64,
    /// The protected address that was the target.
    pub target: Option<String>,
    /// The machine that the inventory knows at that address.
    #[serde(default)]
    pub target_machine: Option<String>,
}

/// Which blocks are meant; what is not given fits any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockFilter {
    /// A segment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// A place: `untagged`, `10`, or `10.20` with the outermost first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<String>,
    /// An address or a network that the blocked source lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `attack` or `activity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `gid:sid` or `gid:sid:rev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A detector's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Skip this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// This many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A part of the blocked list.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BlockList {
    /// Those that fit, ordered by segment, VLAN and source.
    pub blocks: Vec<BlockInfo>,
    /// How many fit in all.
    pub total: u64,
}

/// One block, or all of a source: what is not given fits any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSelector {
    /// `ADDRESS` or `ADDRESS/LENGTH`, exactly as blocked.
    pub source: String,
    /// The segment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// VIDs; `[]` is no tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vec<u16>>,
    /// The tunnel; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<u32>,
}

/// An operator's block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBlock {
    /// `ADDRESS`, or `ADDRESS/LENGTH` for IPv6 /64 and longer.
    pub source: String,
    /// The segment; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// VIDs; `[]` is no tag.
    #[serde(default)]
    pub vlan: Vec<u16>,
    /// The tunnel; 0 is none.
    #[serde(default)]
    pub tunnel: u32,
    /// How long; none: the class's `block_for`. 0: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// One line for people.
    #[serde(default)]
    pub message: String,
}

/// Blocks to lift.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveBlocks {
    /// Which.
    pub blocks: Vec<BlockSelector>,
    /// Do not block these sources again for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u64>,
    /// Add an exclusion for each source at its place, with this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
}

/// A change of a block's end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendBlock {
    /// Which.
    pub block: BlockSelector,
    /// How its end changes.
    pub change: EndChange,
}

/// How a block's end changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EndChange {
    /// Later by this many seconds.
    LaterSeconds(u64),
    /// Earlier by this many seconds; the block ends where none remain.
    EarlierSeconds(u64),
    /// This many seconds from now.
    FromNowSeconds(u64),
}

/// How many things an order changed, and which of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Changed {
    /// How many.
    pub count: u64,
    /// The blocks as they were (lifted) or are (extended); at most a thousand.
    #[serde(default)]
    pub blocks: Vec<BlockInfo>,
}

/// One row of the exclusion list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExclusionInfo {
    /// Its place in the list, from 1: the first row that fits decides.
    pub position: u64,
    /// The row in the text grammar.
    pub row: String,
    /// `configuration` or `operator`.
    pub origin: String,
    /// Why it can never decide, where that is so.
    #[serde(default)]
    pub unreachable: Option<String>,
    /// Whether its `expires` has passed.
    #[serde(default)]
    pub expired: bool,
}

/// The exclusion list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExclusionList {
    /// In the order in which they are tried.
    pub exclusions: Vec<ExclusionInfo>,
}

/// A new exclusion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddExclusion {
    /// The row in the text grammar.
    pub row: String,
}

/// What a new exclusion did.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ExclusionAdded {
    /// The row as it was understood.
    pub exclusion: ExclusionInfo,
    /// The blocks that it freed.
    pub freed: u64,
}

/// An exclusion to take away. Only rows that were added at run time can be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveExclusion {
    /// The row, as the list shows it.
    pub row: String,
}

/// What policy is asked about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The address.
    pub source: String,
    /// VIDs; `[]` is no tag.
    #[serde(default)]
    pub vlan: Vec<u16>,
    /// The segment; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Whom it talks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// `tcp`, `udp`, `icmp` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `gid:sid:rev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What policy says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ExplainReply {
    /// `pass`, `report`, `terminate` or `terminate-and-block`, for each class that was asked about.
    pub outcome: Vec<ClassOutcome>,
    /// The exclusion row that decides, where one does.
    pub exclusion: Option<String>,
    /// Each step in a sentence, in the order in which they were taken.
    pub steps: Vec<String>,
}

/// What would become of a finding of one class.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClassOutcome {
    /// `attack` or `activity`.
    pub class: String,
    /// The action.
    pub action: String,
    /// How long the block would last, where there would be one.
    pub block_seconds: Option<u64>,
}

/// A segment's mode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// The segment's name.
    pub segment: String,
    /// `prevent` or `monitor`.
    pub mode: String,
}

/// One plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its name in the manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub vendor: String,
    /// `attack`, `activity`.
    pub classes: Vec<String>,
    /// `flow` or `host`.
    pub scope: String,
    /// `running`, `suspended`, `quarantined` or `disabled`.
    pub state: String,
    /// How many rules it has.
    pub rules: u64,
    /// The set that they come from, where it is none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSetInfo>,
    /// Bytes of memory per instance at most.
    pub memory_bytes: u64,
    /// The most that a finding of it leads to.
    pub max_action: String,
    /// Events that it was given.
    pub events: u64,
    /// Findings that it made.
    pub findings: u64,
    /// Faults.
    pub faults: u64,
    /// The file that it came from.
    pub file: String,
}

/// All plugins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PluginList {
    /// In the order of loading.
    pub plugins: Vec<PluginInfo>,
}

/// One plugin with its rules.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PluginDetail {
    /// The plugin.
    pub plugin: PluginInfo,
    /// What it may use.
    pub capabilities: Vec<String>,
    /// Its rules.
    pub rules: Vec<RuleInfo>,
}

/// One rule of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RuleInfo {
    /// `gid:sid:rev`.
    pub rule: String,
    /// One line for people.
    pub message: String,
    /// `attack` or `activity`.
    pub class: String,
    /// Its category.
    pub category: String,
    /// How grave.
    pub severity: String,
    /// How sure.
    pub confidence: String,
    /// The most that it asks for.
    pub action: String,
    /// ATT&CK techniques.
    #[serde(default)]
    pub attack: Vec<String>,
    /// CVE ids and documents.
    #[serde(default)]
    pub references: Vec<String>,
}

/// A plugin to put in another's place, or to load.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapPlugin {
    /// The `.wasm` file; its manifest names the plugin. A path that the engine can read.
    pub file: String,
}

/// What a swap did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PluginSwapped {
    /// The plugin that runs now.
    pub plugin: PluginInfo,
    /// The version that it replaced; none where it is new.
    pub replaced: Option<String>,
}

/// Which rules to put to work.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapRules {
    /// A compiled set, or a file of rules; none: what the configuration in force names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A set of rules.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RuleSetInfo {
    /// Of its content, as `rules info` shows it.
    pub hash: String,
    /// How many rules.
    pub rules: u64,
    /// Rules that were refused while reading text.
    pub refused: u64,
    /// The files that it came from.
    pub source: String,
}

/// What a swap of rules did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RulesSwapped {
    /// Whether the set is another than before.
    pub changed: bool,
    /// The set that runs now.
    pub set: RuleSetInfo,
    /// The set that it replaced.
    pub replaced: Option<RuleSetInfo>,
    /// The detectors that read it.
    pub plugins: Vec<String>,
}

/// What a reload did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReloadReply {
    /// What changed, in words.
    pub changed: Vec<String>,
    /// What changed in the file but takes a restart.
    #[serde(default)]
    pub needs_restart: Vec<String>,
    /// What is doubtful about the file.
    #[serde(default)]
    pub warnings: Vec<Diagnostic>,
}

/// An order was carried out and there is nothing to say about it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// In words.
    pub done: String,
}
