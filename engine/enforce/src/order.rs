//! What the book tells the tables.

use portcullis_types::{BlockKey, Tick};

/// A block's number: rises with each block, never used again, kept over restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BlockId(pub u64);

/// One change of the tables. Orders of one book are applied in their order; applying one twice is
/// the same as once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableOrder {
    /// Stop this source until then, or change until when.
    Block {
        /// The block.
        id: BlockId,
        /// Whom and where.
        key: BlockKey,
        /// Until when (exclusive).
        until: Tick,
    },
    /// Let this source through.
    Unblock {
        /// The block.
        id: BlockId,
        /// Whom and where.
        key: BlockKey,
    },
    /// Do not block this source again until then.
    Grace {
        /// Whom and where.
        key: BlockKey,
        /// Until when (exclusive).
        until: Tick,
    },
    /// The grace is over.
    EndGrace {
        /// Whom and where.
        key: BlockKey,
    },
    /// Forget every block and grace.
    Clear,
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The table changed.
    Changed,
    /// The table was so already.
    Unchanged,
    /// The table is full; the order is not carried out there.
    Full,
}
