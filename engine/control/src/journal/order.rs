//! The orders that the journal keeps, in words that outlive a configuration and a build.
//!
//! Segments are named, not numbered: a segment that moves within the file keeps its blocks.

use super::moment::{BootId, Moment};
use portcullis_types::{
    Addr, BlockKey, BlockOrder, Cause, Class, Origin, Prefix, RuleId, SegmentId, Tick, VlanStack,
};
use serde::{Deserialize, Serialize};

/// Bytes of a message that are kept; rules' messages are far shorter.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Where and whom: a [`BlockKey`] with its segment's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PlaceRecord {
    /// The segment's name.
    pub segment: String,
    /// The VIDs, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// The source, as `ADDRESS` or `ADDRESS/LENGTH`.
    pub source: String,
    /// The tunnel, 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tunnel: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero_long(n: &u64) -> bool {
    *n == 0
}

impl PlaceRecord {
    /// The record of a key, whose segment has this name.
    pub fn of(key: &BlockKey, segment: &str) -> Self {
        PlaceRecord {
            segment: segment.to_owned(),
            vlan: key.vlan.to_vec(),
            source: key.source.to_string(),
            tunnel: key.tunnel,
        }
    }

    /// The key, where the segment still exists and the record makes sense.
    pub fn key(&self, segment: impl FnOnce(&str) -> Option<SegmentId>) -> Option<BlockKey> {
        Some(BlockKey {
            segment: segment(&self.segment)?,
            vlan: VlanStack::from_vids(&self.vlan)?,
            source: self.source.parse::<Prefix>().ok()?,
            tunnel: self.tunnel,
        })
    }
}

/// A block with its cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Where and whom.
    pub place: PlaceRecord,
    /// From when, as a tick of the record's boot.
    pub since: u64,
    /// Until when, as a tick of the record's boot; `u64::MAX` is until it is lifted.
    pub until: u64,
    /// Whose doing.
    pub origin: OriginRecord,
    /// `attack` or `activity`; `None` for an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassRecord>,
    /// `gid:sid:rev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The protected machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The alert's flow, 0 for none.
    #[serde(default)]
    pub flow_id: u64,
    /// The block's number; 0 where it was not known yet.
    #[serde(default, skip_serializing_if = "is_zero_long")]
    pub id: u64,
    /// By what the duration was multiplied for a repeated offence; 0 and 1 for a first one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub factor: u32,
}

/// Who or what made a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginRecord {
    /// A detector's name.
    Detector(String),
    /// An operator's name.
    Operator(String),
    /// Many offenders within one /64.
    Raised,
}

/// A class by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassRecord {
    /// A network attack.
    Attack,
    /// Suspicious activity.
    Activity,
}

impl BlockRecord {
    /// The record of an order, whose segment has this name.
    pub fn of(order: &BlockOrder, segment: &str) -> Self {
        let cause = &order.cause;
        BlockRecord {
            place: PlaceRecord::of(&order.key, segment),
            since: order.since.0,
            until: order.until.0,
            origin: match &cause.origin {
                Origin::Detector(name) => OriginRecord::Detector(name.to_string()),
                Origin::Operator(name) => OriginRecord::Operator(name.to_string()),
                Origin::Raised => OriginRecord::Raised,
            },
            class: cause.class.map(|class| match class {
                Class::Attack => ClassRecord::Attack,
                Class::Suspicious => ClassRecord::Activity,
            }),
            rule: cause.rule.map(|rule| rule.to_string()),
            message: cut(&cause.message).to_owned(),
            target: cause.target.map(|addr| addr.to_string()),
            flow_id: cause.flow_id,
            id: 0,
            factor: 0,
        }
    }

    /// The order, where the segment still exists and the record makes sense.
    pub fn order(&self, segment: impl FnOnce(&str) -> Option<SegmentId>) -> Option<BlockOrder> {
        Some(BlockOrder {
            key: self.place.key(segment)?,
            since: Tick(self.since),
            until: Tick(self.until),
            cause: Cause {
                origin: match &self.origin {
                    OriginRecord::Detector(name) => Origin::Detector(name.as_str().into()),
                    OriginRecord::Operator(name) => Origin::Operator(name.as_str().into()),
                    OriginRecord::Raised => Origin::Raised,
                },
                class: self.class.map(|class| match class {
                    ClassRecord::Attack => Class::Attack,
                    ClassRecord::Activity => Class::Suspicious,
                }),
                rule: self.rule.as_deref().and_then(|rule| rule.parse::<RuleId>().ok()),
                message: self.message.as_str().into(),
                target: self.target.as_deref().and_then(|addr| addr.parse::<Addr>().ok()),
                flow_id: self.flow_id,
            },
        })
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// One acknowledged order. Variants and fields are only added: an old journal is always read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// A block was made, or replaced the one at the same place.
    Block(BlockRecord),
    /// An operator added an exclusion at run time, as a row of the text grammar.
    ExclusionAdded {
        /// The row.
        row: String,
    },
    /// An operator removed an exclusion that was added at run time.
    ExclusionRemoved {
        /// The row.
        row: String,
    },
    /// A source is not to be blocked again before `until`.
    Grace {
        /// Where and whom.
        place: PlaceRecord,
        /// A tick of the record's boot.
        until: u64,
    },
    /// Blocks so far have numbers below this one. Numbers are never used again.
    NextId {
        /// The next number.
        id: u64,
    },
    /// How often a source was blocked within the memory of escalation; 0 forgets it.
    Offences {
        /// Where and whom.
        place: PlaceRecord,
        /// How often.
        count: u32,
        /// Until when it is remembered: a tick of the record's boot.
        until: u64,
    },
    /// A segment's mode was changed at run time.
    Mode {
        /// The segment's name.
        segment: String,
        /// `prevent` or `monitor`.
        mode: String,
    },
    /// A block was lifted.
    Unblock {
        /// Where and whom.
        place: PlaceRecord,
    },
    /// A block was lengthened or shortened.
    Until {
        /// Where and whom.
        place: PlaceRecord,
        /// A tick of the record's boot.
        until: u64,
    },
}

impl Order {
    /// The order as it reads on the timeline of `now`, having been written at `written`.
    pub(super) fn carried(mut self, written: &Moment, now: &Moment) -> Self {
        match &mut self {
            Order::Block(block) => {
                block.since = written.carry_past(Tick(block.since), now).0;
                block.until = written.carry(Tick(block.until), now).0;
            }
            Order::Grace { until, .. }
            | Order::Offences { until, .. }
            | Order::Until { until, .. } => {
                *until = written.carry(Tick(*until), now).0;
            }
            Order::ExclusionAdded { .. }
            | Order::ExclusionRemoved { .. }
            | Order::Mode { .. }
            | Order::NextId { .. }
            | Order::Unblock { .. } => {}
        }
        self
    }
}

/// An order with the moment at which it was written; what a frame of the journal holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The boot that ticks count from.
    pub boot: BootId,
    /// The tick of writing.
    pub tick: u64,
    /// Nanoseconds since 1970 at writing.
    pub wall: u64,
    /// What was ordered.
    #[serde(flatten)]
    pub order: Order,
}

impl Entry {
    /// An order given now.
    pub fn new(now: &Moment, order: Order) -> Self {
        Entry { boot: now.boot, tick: now.tick.0, wall: now.wall_ns, order }
    }

    /// When it was written.
    pub fn written(&self) -> Moment {
        Moment { tick: Tick(self.tick), wall_ns: self.wall, boot: self.boot }
    }
}
