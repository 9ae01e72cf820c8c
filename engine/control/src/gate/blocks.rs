//! What operators do with the list of blocks. Everything runs on the gate's thread.

use super::answers::{
    conflict, invalid, missing, of_book, segment_of, selects, source_of, vlan_of, vlan_of_text,
};
use super::keeper::Keeper;
use crate::api::model::{
    AddBlock, BlockFilter, BlockInfo, BlockList, BlockSelector, Changed, EndChange, ExtendBlock,
    RemoveBlocks,
};
use crate::api::{Peer, Refusal, RefusalKind};
use portcullis_enforce as enforce;
use portcullis_enforce::{Block, BlockId};
use portcullis_types::{Addr, BlockKey, BlockOrder, Cause, Class, Origin, SegmentId, Tick};
use portcullis_verdict::{RuleRef, Traffic};
use std::time::Duration;

/// Blocks shown of those that an order changed.
const SHOWN_MAX: usize = 1_000;
/// The longest block by hand beside one without an end: as long as a detector's.
const SECONDS_MAX: u64 = 32_768 * 60;

impl Keeper {
    /// The blocks that a filter fits, by segment, place and source.
    pub(super) fn list(&mut self, filter: &BlockFilter) -> Result<BlockList, Refusal> {
        self.collect();
        let now = self.now();
        let (meant, revision) = self.filter(filter)?;
        let mut blocks: Vec<&Block> = self
            .book
            .list(&meant)
            .filter(|b| {
                now < b.until && revision.is_none_or(|r| b.cause.rule.map(|id| id.rev) == Some(r))
            })
            .collect();
        blocks.sort_by_key(|b| (b.key.segment, b.key.vlan, b.key.source));
        let skip = usize::try_from(filter.offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let take = filter.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let shown = blocks.iter().skip(skip).take(take).map(|b| self.info(b));
        Ok(BlockList { blocks: shown.collect(), total: blocks.len() as u64 })
    }

    /// The filter in the book's words, and the rule's revision, which the book does not ask for.
    fn filter(&self, f: &BlockFilter) -> Result<(enforce::BlockFilter, Option<u32>), Refusal> {
        let loaded = self.config.load();
        let class = match f.class.as_deref() {
            None => None,
            Some("attack") => Some(Class::Attack),
            Some("activity" | "suspicious") => Some(Class::Suspicious),
            Some(other) => {
                return Err(invalid(
                    format!("there is no class `{other}`"),
                    "write attack or activity",
                ));
            }
        };
        let rule = match f.rule.as_deref() {
            None => None,
            Some(text) => Some(
                text.parse::<RuleRef>()
                    .map_err(|e| invalid(format!("`{text}` names no rule"), e.to_string()))?,
            ),
        };
        let meant = enforce::BlockFilter {
            segment: f
                .segment
                .as_deref()
                .map(|s| segment_of(&loaded.config, Some(s)))
                .transpose()?,
            vlan: f.vlan.as_deref().map(vlan_of_text).transpose()?,
            source: f.source.as_deref().map(source_of).transpose()?,
            class,
            rule: rule.map(|r| (r.gid, r.sid)),
            by: f.detector.clone(),
        };
        Ok((meant, rule.and_then(|r| r.rev)))
    }

    /// The blocks that a selector fits.
    pub(super) fn selected(&self, which: &BlockSelector) -> Result<Vec<BlockId>, Refusal> {
        let (loaded, now) = (self.config.load(), self.now());
        let all = enforce::BlockFilter::default();
        let mut found = Vec::new();
        for block in self.book.list(&all).filter(|b| now < b.until) {
            if selects(which, &loaded.config, block)? {
                found.push(block.id);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        // A selector that makes no sense is told so even where nothing is blocked.
        source_of(&which.source)?;
        which.segment.as_deref().map(|s| segment_of(&loaded.config, Some(s))).transpose()?;
        which.vlan.as_deref().map(vlan_of).transpose()?;
        let remedy = "see `portcullis blocks list` for source, VLAN and segment";
        Err(missing(format!("{} is not blocked there", which.source), remedy))
    }

    /// The blocks that a selector fits, for people.
    pub(super) fn show(&mut self, which: &BlockSelector) -> Result<BlockList, Refusal> {
        self.collect();
        let found = self.selected(which)?;
        let blocks: Vec<BlockInfo> = self.infos(&found);
        Ok(BlockList { total: blocks.len() as u64, blocks })
    }

    fn infos(&self, ids: &[BlockId]) -> Vec<BlockInfo> {
        let blocks = ids.iter().take(SHOWN_MAX).filter_map(|id| self.book.show(*id));
        blocks.map(|b| self.info(b)).collect()
    }

    /// Blocks a source by hand.
    pub(super) fn add(&mut self, who: &Peer, asked: &AddBlock) -> Result<BlockInfo, Refusal> {
        let loaded = self.config.load_full();
        let key = BlockKey {
            segment: segment_of(&loaded.config, asked.segment.as_deref())?,
            vlan: vlan_of(&asked.vlan)?,
            source: source_of(&asked.source)?,
            tunnel: asked.tunnel,
        };
        self.may_be_blocked(&key)?;
        let now = self.now();
        let until = match asked.seconds {
            Some(0) => Tick::NEVER,
            Some(seconds) if seconds > SECONDS_MAX => {
                let remedy = format!("write at most {SECONDS_MAX}, or 0 for no end");
                return Err(invalid(format!("{seconds} seconds are too long"), remedy));
            }
            Some(seconds) => now + Duration::from_secs(seconds),
            None => now + loaded.config.attacks.block_for,
        };
        let message = if asked.message.is_empty() { "blocked by hand" } else { &asked.message };
        let order = BlockOrder {
            key,
            since: now,
            until,
            cause: Cause {
                origin: Origin::Operator(who.name.as_str().into()),
                class: None,
                rule: None,
                message: message.into(),
                target: None,
                flow_id: 0,
            },
        };
        let policy = self.policy();
        let spares = |key: &BlockKey| policy.spares(key);
        let made = self.book.block(order, &spares, &mut self.outbox);
        let id = made.map_err(|why| {
            self.outbox.events.clear();
            match why {
                enforce::Refusal::Prefix => invalid(
                    format!("{} is no single source", asked.source),
                    "write one IPv4 address, one IPv6 address or an IPv6 /64",
                ),
                other => of_book(&other.into()),
            }
        })?;
        Ok(self.book.show(id).map(|b| self.info(b)).unwrap_or_default())
    }

    /// Whether policy lets a source be blocked by hand.
    fn may_be_blocked(&self, key: &BlockKey) -> Result<(), Refusal> {
        let policy = self.policy();
        let forbidden =
            |why: String, remedy: &str| Err(Refusal::new(RefusalKind::Forbidden, why, remedy));
        let addr = key.source.addr();
        if let Some(reason) = policy.policy.protected.reason(key.segment, key.vlan, addr) {
            let why = format!("{addr} is protected: {}", reason.name());
            return forbidden(why, "take it out of blocks.protected, or end the session first");
        }
        if policy.spares(key) && !policy.policy.block_inside {
            let why = format!("{} holds protected machines", key.source);
            return forbidden(why, "set blocks.block_inside = true to block machines inside");
        }
        let traffic = traffic(key, None);
        let row = policy.policy.exclusions.frees(&traffic, None, self.now());
        match row.and_then(|row| policy.policy.exclusions.rows().get(row)) {
            Some(row) => Err(conflict(
                format!("the exclusion `{row}` forbids it"),
                "remove that exclusion first",
            )),
            None => Ok(()),
        }
    }

    /// Lifts blocks; with a grace their sources are left alone for a while.
    pub(super) fn lift(&mut self, which: &RemoveBlocks) -> Result<Changed, Refusal> {
        let mut ids: Vec<BlockId> = Vec::new();
        for selector in &which.blocks {
            ids.extend(self.selected(selector)?);
        }
        if ids.is_empty() {
            return Err(missing("no block is named", "name at least one, or use `blocks clear`"));
        }
        ids.sort_unstable();
        ids.dedup();
        self.collect();
        let blocks = self.infos(&ids);
        let now = self.now();
        for id in &ids {
            let out = &mut self.outbox;
            let lifted = match which.grace_seconds.filter(|s| *s > 0) {
                Some(seconds) => {
                    self.book.unblock_with_grace(*id, Duration::from_secs(seconds), now, out)
                }
                None => self.book.unblock(*id, now, out),
            };
            lifted.map_err(|e| of_book(&e))?;
        }
        Ok(Changed { count: ids.len() as u64, blocks })
    }

    /// The keys of the blocks that are meant, e.g. to exclude their sources.
    pub(super) fn keys(&self, which: &RemoveBlocks) -> Result<Vec<BlockKey>, Refusal> {
        let mut keys = Vec::new();
        for selector in &which.blocks {
            let found = self.selected(selector)?;
            keys.extend(found.iter().filter_map(|id| self.book.show(*id)).map(|b| b.key));
        }
        Ok(keys)
    }

    /// Lengthens or shortens blocks.
    pub(super) fn extend(&mut self, asked: &ExtendBlock) -> Result<Changed, Refusal> {
        let ids = self.selected(&asked.block)?;
        let before = self.infos(&ids);
        let now = self.now();
        for id in &ids {
            let out = &mut self.outbox;
            let by = |seconds: u64| Duration::from_secs(seconds.min(SECONDS_MAX));
            match asked.change {
                EndChange::LaterSeconds(s) => self.book.extend(*id, by(s), now, out),
                EndChange::EarlierSeconds(s) => self.book.shorten(*id, by(s), now, out),
                EndChange::FromNowSeconds(0) => self.book.set_until(*id, Tick::NEVER, now, out),
                EndChange::FromNowSeconds(s) => self.book.set_until(*id, now + by(s), now, out),
            }
            .map_err(|e| of_book(&e))?;
        }
        let after = self.infos(&ids);
        let blocks = if after.is_empty() { before } else { after };
        Ok(Changed { count: ids.len() as u64, blocks })
    }

    /// Lifts every block that a filter fits.
    pub(super) fn clear(&mut self, filter: &BlockFilter) -> Result<Changed, Refusal> {
        let unlimited = BlockFilter { offset: None, limit: None, ..filter.clone() };
        let (meant, revision) = self.filter(&unlimited)?;
        self.collect();
        let now = self.now();
        let fits = |b: &&Block| revision.is_none_or(|r| b.cause.rule.map(|id| id.rev) == Some(r));
        let ids: Vec<BlockId> = self.book.list(&meant).filter(fits).map(|b| b.id).collect();
        let blocks = self.infos(&ids);
        for id in &ids {
            let lifted = self.book.unblock(*id, now, &mut self.outbox);
            lifted.map_err(|e| of_book(&e))?;
        }
        Ok(Changed { count: ids.len() as u64, blocks })
    }
}

/// What exclusions are asked about a block: protocol and port of the attack are not kept.
pub(super) fn traffic(key: &BlockKey, target: Option<Addr>) -> Traffic {
    Traffic {
        segment: SegmentId(key.segment.0),
        vlan: key.vlan,
        source: key.source.addr(),
        destination: target.unwrap_or(Addr::UNSPECIFIED),
        protocol: 0,
        port: 0,
    }
}
