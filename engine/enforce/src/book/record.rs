//! What the book holds and says: blocks, events for people, entries for the journal, refusals.

use crate::{BlockId, TableOrder};
use portcullis_types::{
    BlockKey, BlockOrder, Cause, Class, Origin, Prefix, SegmentId, Tick, VlanStack,
};
use std::fmt;
use std::time::Duration;

/// One block in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub id: BlockId,
    /// Whom and where.
    pub key: BlockKey,
    /// From when.
    pub since: Tick,
    /// Until when (exclusive).
    pub until: Tick,
    /// Why.
    pub cause: Cause,
    /// Packets stopped, by workers and kernel together, as far as counted.
    pub packets: u64,
    /// Bytes stopped.
    pub bytes: u64,
    /// By how much the duration was multiplied for a repeated offence; 1 for a first one.
    pub factor: u32,
}

impl Block {
    /// Time left.
    pub fn remaining(&self, now: Tick) -> Duration {
        self.until.since(now)
    }

    /// Whether an operator made it.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.cause.origin, Origin::Operator(_))
    }
}

/// Why a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unblocked {
    /// A block of the whole /64 took its place.
    Covered,
    /// The book was full, and a block with a later end took its place.
    Displaced,
    /// An exclusion frees its source.
    Exclusion,
    /// Its time was up.
    Expired,
    /// An operator lifted it.
    Operator,
}

impl Unblocked {
    /// The word in events.
    pub fn name(self) -> &'static str {
        match self {
            Unblocked::Covered => "covered",
            Unblocked::Displaced => "displaced",
            Unblocked::Exclusion => "exclusion",
            Unblocked::Expired => "expired",
            Unblocked::Operator => "operator",
        }
    }
}

/// Why a block was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The book is full.
    Full,
    /// A grace runs for the source.
    Grace,
    /// It would have ended before it began.
    Past,
    /// The prefix is none that the tables hold.
    Prefix,
}

impl Refusal {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Grace => "grace",
            Refusal::Past => "past",
            Refusal::Prefix => "prefix",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Full => "the block list is full; raise its size or lift blocks",
            Refusal::Grace => "a grace runs for the source; wait for its end or block by hand",
            Refusal::Past => "a block must end after it begins; give it a later end",
            Refusal::Prefix => {
                "a block is about one IPv4 address, one IPv6 address or an IPv6 /64; write one of \
                 these"
            }
        })
    }
}

impl std::error::Error for Refusal {}

/// What an operator asked for cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// No more graces can be held.
    #[error("the list of graces is full; wait until some end")]
    GracesFull,
    /// There is no such block.
    #[error("there is no such block; see the list of blocks for source, VLAN and segment")]
    NoSuchBlock,
    /// The block cannot be made.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookEvent {
    /// A block began.
    Blocked(Block),
    /// Its end moved, later or earlier.
    Moved {
        /// The block as it is now.
        block: Block,
        /// The end before.
        was: Tick,
    },
    /// Hosts of one /64 were joined to a block of the whole; a `Blocked` of it follows.
    Raised {
        /// The block of the /64.
        id: BlockId,
        /// How many hosts were blocked.
        hosts: u32,
    },
    /// A block was not made.
    Refused {
        /// What was asked for.
        order: Box<BlockOrder>,
        /// Why not.
        why: Refusal,
    },
    /// A block ended.
    Unblocked {
        /// The block as it was.
        block: Block,
        /// Why.
        reason: Unblocked,
        /// When.
        at: Tick,
    },
    /// A source is not blocked again for a while.
    Grace {
        /// Whom and where.
        key: BlockKey,
        /// Until when (exclusive).
        until: Tick,
    },
    /// The grace is over.
    GraceEnded {
        /// Whom and where.
        key: BlockKey,
    },
}

/// One change of the book's state. Entries applied in order make the same book again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// A block as it now is.
    Block(Box<Block>),
    /// A block ended.
    Unblock(BlockId),
    /// A grace runs.
    Grace {
        /// Whom and where.
        key: BlockKey,
        /// Until when (exclusive).
        until: Tick,
    },
    /// A grace is over.
    EndGrace(BlockKey),
    /// Offences remembered for escalation; 0 forgets them.
    Offences {
        /// Whose.
        key: BlockKey,
        /// How many.
        count: u32,
        /// Until when they count.
        until: Tick,
    },
    /// The number that the next block gets, at least.
    NextId(BlockId),
}

/// What the book wants told, in order. The caller empties it.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// For the tables.
    pub orders: Vec<TableOrder>,
    /// For people.
    pub events: Vec<BookEvent>,
    /// For the journal.
    pub journal: Vec<JournalEntry>,
}

/// Which blocks are meant. `None` means all; all that is given must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockFilter {
    /// On this segment.
    pub segment: Option<SegmentId>,
    /// At this place.
    pub vlan: Option<VlanStack>,
    /// Whose source lies in this network or holds it.
    pub source: Option<Prefix>,
    /// Of this class.
    pub class: Option<Class>,
    /// By this rule: gid and sid.
    pub rule: Option<(u32, u32)>,
    /// By this detector or operator.
    pub by: Option<String>,
}

impl BlockFilter {
    /// Whether the block is meant.
    pub fn matches(&self, block: &Block) -> bool {
        let by = match &block.cause.origin {
            Origin::Detector(name) | Origin::Operator(name) => &**name,
            Origin::Raised => "raised",
        };
        self.segment.is_none_or(|s| s == block.key.segment)
            && self.vlan.is_none_or(|v| v == block.key.vlan)
            && self.source.is_none_or(|p| p.overlaps(&block.key.source))
            && self.class.is_none_or(|c| block.cause.class == Some(c))
            && self.rule.is_none_or(|r| block.cause.rule.map(|id| (id.gid, id.sid)) == Some(r))
            && self.by.as_deref().is_none_or(|b| b == by)
    }
}
