//! The gate as the control socket sees it: each method hands work to the gate's thread and waits.

use super::GateHandle;
use super::answers::{ending, invalid, not_kept};
use super::exclusions::Remembered;
use super::keeper::{Keeper, Message};
use crate::api::model::{
    AddBlock, AddExclusion, BlockFilter, BlockInfo, BlockList, BlockSelector, Changed, Done,
    ExclusionAdded, ExclusionList, ExplainReply, ExplainRequest, ExtendBlock, PluginDetail,
    PluginList, PluginSwapped, ReloadReply, RemoveBlocks, RemoveExclusion, RulesSwapped, SetMode,
    StatusReply, SwapPlugin, SwapRules,
};
use crate::api::{Operations, Peer, Refusal};
use crossbeam::channel::bounded;
use portcullis_verdict::Exclusion;

impl GateHandle {
    /// Asks the gate's thread.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = bounded(1);
        let work = move |keeper: &mut Keeper| {
            // Nobody waits where the peer has gone.
            let _ = answer.send(work(keeper));
        };
        let sent = self.shared.messages.send(Message::Request(Box::new(work)));
        sent.map_err(|_| ending())?;
        answered.recv().map_err(|_| ending())
    }

    /// Gives an order: it is carried out at once, and answered when it is on the disk.
    pub(super) fn order<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> Result<(T, Remembered), Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = bounded::<Result<T, Refusal>>(1);
        let work = move |keeper: &mut Keeper| match work(keeper) {
            Ok((value, remembered)) => {
                let told = move |held: Result<(), &str>| {
                    let _ = answer.send(held.map(|()| value).map_err(not_kept));
                };
                keeper.settle(Some(Box::new(told)), remembered);
            }
            Err(refusal) => {
                // What was done before the refusal is done.
                keeper.settle(None, Vec::new());
                let _ = answer.send(Err(refusal));
            }
        };
        let sent = self.shared.messages.send(Message::Request(Box::new(work)));
        sent.map_err(|_| ending())?;
        answered.recv().map_err(|_| ending())?
    }
}

/// An order with nothing to remember but what the book says.
fn of_book<T>(value: T) -> (T, Remembered) {
    (value, Vec::new())
}

impl Operations for GateHandle {
    fn status(&self) -> Result<StatusReply, Refusal> {
        self.ask(|keeper| keeper.status())
    }

    fn metrics(&self) -> Result<String, Refusal> {
        // Written off the gate's thread: it has blocks to make.
        Ok(self.ask(|keeper| keeper.figures())?.text())
    }

    fn list_blocks(&self, filter: BlockFilter) -> Result<BlockList, Refusal> {
        self.ask(move |keeper| keeper.list(&filter))?
    }

    fn show_block(&self, which: BlockSelector) -> Result<BlockList, Refusal> {
        self.ask(move |keeper| keeper.show(&which))?
    }

    fn add_block(&self, who: &Peer, block: AddBlock) -> Result<BlockInfo, Refusal> {
        let who = who.clone();
        self.order(move |keeper| keeper.add(&who, &block).map(of_book))
    }

    fn remove_blocks(&self, who: &Peer, which: RemoveBlocks) -> Result<Changed, Refusal> {
        let who = who.clone();
        self.order(move |keeper| {
            let Some(action) = &which.exclude else { return keeper.lift(&which).map(of_book) };
            let rows: Vec<String> =
                keeper.keys(&which)?.iter().map(|key| keeper.row_for(key, action)).collect();
            for row in &rows {
                Exclusion::parse(row)
                    .map_err(|e| invalid(format!("`{action}` is no action"), e.to_string()))?;
            }
            let changed = keeper.lift(&which)?;
            let mut remembered = Vec::new();
            for row in &rows {
                // One that is there already does what is wanted.
                if let Ok((_, more)) = keeper.exclude(&who, row) {
                    remembered.extend(more);
                }
            }
            Ok((changed, remembered))
        })
    }

    fn extend_block(&self, _: &Peer, change: ExtendBlock) -> Result<Changed, Refusal> {
        self.order(move |keeper| keeper.extend(&change).map(of_book))
    }

    fn clear_blocks(&self, _: &Peer, filter: BlockFilter) -> Result<Changed, Refusal> {
        self.order(move |keeper| keeper.clear(&filter).map(of_book))
    }

    fn list_exclusions(&self) -> Result<ExclusionList, Refusal> {
        self.ask(|keeper| keeper.exclusions())
    }

    fn add_exclusion(&self, who: &Peer, row: AddExclusion) -> Result<ExclusionAdded, Refusal> {
        let who = who.clone();
        self.order(move |keeper| keeper.exclude(&who, &row.row))
    }

    fn remove_exclusion(&self, who: &Peer, row: RemoveExclusion) -> Result<Done, Refusal> {
        let who = who.clone();
        self.order(move |keeper| {
            let remembered = keeper.include(&who, &row.row)?;
            Ok((Done { done: format!("removed: {}", row.row) }, remembered))
        })
    }

    fn explain(&self, question: ExplainRequest) -> Result<ExplainReply, Refusal> {
        self.ask(move |keeper| keeper.explain(&question))?
    }

    fn set_mode(&self, who: &Peer, mode: SetMode) -> Result<Done, Refusal> {
        let who = who.clone();
        self.order(move |keeper| keeper.set_mode(&who, &mode))
    }

    fn list_plugins(&self) -> Result<PluginList, Refusal> {
        self.ask(|keeper| keeper.plugins())
    }

    fn show_plugin(&self, name: &str) -> Result<PluginDetail, Refusal> {
        let name = name.to_owned();
        self.ask(move |keeper| keeper.plugin_detail(&name))?
    }

    fn swap_plugin(&self, who: &Peer, plugin: SwapPlugin) -> Result<PluginSwapped, Refusal> {
        self.swap(who, std::path::Path::new(&plugin.file))
    }

    fn swap_rules(&self, who: &Peer, rules: SwapRules) -> Result<RulesSwapped, Refusal> {
        GateHandle::swap_rules(self, who, &rules)
    }

    fn reload(&self, who: &Peer) -> Result<ReloadReply, Refusal> {
        self.take_configuration(who)
    }

    fn shutdown(&self, who: &Peer) -> Result<Done, Refusal> {
        tracing::info!(by = %who, "shutting down");
        (self.shared.shutdown)();
        Ok(Done { done: "the engine is ending".to_owned() })
    }
}
