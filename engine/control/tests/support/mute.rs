//! An engine that knows its status and refuses everything else.

use portcullis_control::api::model::*;
use portcullis_control::api::{Operations, Peer, Refusal, RefusalKind};

pub(crate) struct Mute;

fn no<T>() -> Result<T, Refusal> {
    Err(Refusal::new(RefusalKind::Unavailable, "nothing is here", "ask another"))
}

#[rustfmt::skip]
impl Operations for Mute {
    fn status(&self) -> Result<StatusReply, Refusal> { Ok(StatusReply::default()) }
    fn metrics(&self) -> Result<String, Refusal> { no() }
    fn list_blocks(&self, _: BlockFilter) -> Result<BlockList, Refusal> { no() }
    fn show_block(&self, _: BlockSelector) -> Result<BlockList, Refusal> { no() }
    fn add_block(&self, _: &Peer, _: AddBlock) -> Result<BlockInfo, Refusal> { no() }
    fn remove_blocks(&self, _: &Peer, _: RemoveBlocks) -> Result<Changed, Refusal> { no() }
    fn extend_block(&self, _: &Peer, _: ExtendBlock) -> Result<Changed, Refusal> { no() }
    fn clear_blocks(&self, _: &Peer, _: BlockFilter) -> Result<Changed, Refusal> { no() }
    fn list_exclusions(&self) -> Result<ExclusionList, Refusal> { no() }
    fn add_exclusion(&self, _: &Peer, _: AddExclusion) -> Result<ExclusionAdded, Refusal> { no() }
    fn remove_exclusion(&self, _: &Peer, _: RemoveExclusion) -> Result<Done, Refusal> { no() }
    fn explain(&self, _: ExplainRequest) -> Result<ExplainReply, Refusal> { no() }
    fn set_mode(&self, _: &Peer, _: SetMode) -> Result<Done, Refusal> { no() }
    fn list_plugins(&self) -> Result<PluginList, Refusal> { no() }
    fn show_plugin(&self, _: &str) -> Result<PluginDetail, Refusal> { no() }
    fn swap_plugin(&self, _: &Peer, _: SwapPlugin) -> Result<PluginSwapped, Refusal> { no() }
    fn swap_rules(&self, _: &Peer, _: SwapRules) -> Result<RulesSwapped, Refusal> { no() }
    fn reload(&self, _: &Peer) -> Result<ReloadReply, Refusal> { no() }
    fn shutdown(&self, _: &Peer) -> Result<Done, Refusal> { no() }
}
