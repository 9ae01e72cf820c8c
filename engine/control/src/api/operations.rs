//! What the engine must be able to do for the control socket.

use super::model::{
    AddBlock, AddExclusion, BlockFilter, BlockInfo, BlockList, BlockSelector, Changed, Done,
    ErrorReply, ExclusionAdded, ExclusionList, ExplainReply, ExplainRequest, ExtendBlock,
    PluginDetail, PluginList, PluginSwapped, ReloadReply, RemoveBlocks, RemoveExclusion,
    RulesSwapped, SetMode, StatusReply, SwapPlugin, SwapRules,
};
use super::peer::Peer;

/// Whose fault it is that a request was not carried out; decides the HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalKind {
    /// It contradicts what is there (409).
    Conflict,
    /// It makes no sense (400).
    Invalid,
    /// What it names is not there (404).
    Missing,
    /// Policy forbids it (403).
    Forbidden,
    /// A limit of ours: full, busy, shutting down (503).
    Unavailable,
}

/// Why a request was not carried out, and what to do instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Whose fault it is.
    pub kind: RefusalKind,
    /// The two sentences.
    pub reply: ErrorReply,
}

impl Refusal {
    /// A refusal in two sentences.
    pub fn new(kind: RefusalKind, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal { kind, reply: ErrorReply { error: error.into(), remedy: remedy.into() } }
    }
}

/// The engine, as the control socket sees it.
///
/// Each method runs on a thread that may wait (for the enforcement thread, for the journal); the
/// server bounds how long a peer waits and how many requests run at once. An order that returns
/// `Ok` is acknowledged: blocks and unblocks must be in the journal by then.
pub trait Operations: Send + Sync + 'static {
    /// The engine at a glance.
    fn status(&self) -> Result<StatusReply, Refusal>;
    /// All figures as Prometheus text.
    fn metrics(&self) -> Result<String, Refusal>;
    /// Blocks in force.
    fn list_blocks(&self, filter: BlockFilter) -> Result<BlockList, Refusal>;
    /// The blocks that a selector fits; [`RefusalKind::Missing`] where none does.
    fn show_block(&self, which: BlockSelector) -> Result<BlockList, Refusal>;
    /// Blocks a source by hand.
    fn add_block(&self, who: &Peer, block: AddBlock) -> Result<BlockInfo, Refusal>;
    /// Lifts blocks.
    fn remove_blocks(&self, who: &Peer, which: RemoveBlocks) -> Result<Changed, Refusal>;
    /// Lengthens or shortens blocks.
    fn extend_block(&self, who: &Peer, change: ExtendBlock) -> Result<Changed, Refusal>;
    /// Lifts every block that a filter fits.
    fn clear_blocks(&self, who: &Peer, filter: BlockFilter) -> Result<Changed, Refusal>;
    /// The exclusion list.
    fn list_exclusions(&self) -> Result<ExclusionList, Refusal>;
    /// Adds an exclusion behind those that there are, and frees the blocks that it fits.
    fn add_exclusion(&self, who: &Peer, row: AddExclusion) -> Result<ExclusionAdded, Refusal>;
    /// Takes away an exclusion that was added at run time.
    fn remove_exclusion(&self, who: &Peer, row: RemoveExclusion) -> Result<Done, Refusal>;
    /// What policy says about an address at a place.
    fn explain(&self, question: ExplainRequest) -> Result<ExplainReply, Refusal>;
    /// Changes a segment's mode.
    fn set_mode(&self, who: &Peer, mode: SetMode) -> Result<Done, Refusal>;
    /// All plugins.
    fn list_plugins(&self) -> Result<PluginList, Refusal>;
    /// One plugin with its rules.
    fn show_plugin(&self, name: &str) -> Result<PluginDetail, Refusal>;
    /// Loads a plugin, or puts it in the place of the one with its name.
    fn swap_plugin(&self, who: &Peer, plugin: SwapPlugin) -> Result<PluginSwapped, Refusal>;
    /// Puts another set of rules in the place of the one at work.
    fn swap_rules(&self, who: &Peer, rules: SwapRules) -> Result<RulesSwapped, Refusal>;
    /// Reads the configuration again.
    fn reload(&self, who: &Peer) -> Result<ReloadReply, Refusal>;
    /// Ends the engine gracefully.
    fn shutdown(&self, who: &Peer) -> Result<Done, Refusal>;
}
