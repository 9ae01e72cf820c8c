//! What all orders of a journal come to: the blocks, graces, exclusions and modes in force.

use super::moment::Moment;
use super::order::{BlockRecord, Entry, Order, PlaceRecord};
use std::collections::BTreeMap;

/// The orders in force, on the timeline of one boot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Live {
    blocks: BTreeMap<PlaceRecord, BlockRecord>,
    graces: BTreeMap<PlaceRecord, u64>,
    exclusions: Vec<String>,
    modes: BTreeMap<String, String>,
    offences: BTreeMap<PlaceRecord, (u32, u64)>,
    next_id: u64,
}

impl Live {
    /// What the entries come to at `now`; what is over is left out.
    pub(crate) fn of(entries: Vec<Entry>, now: &Moment) -> Self {
        let mut live = Live::default();
        for entry in entries {
            let written = entry.written();
            live.apply(entry.order.carried(&written, now));
        }
        live.drop_expired(now);
        live
    }

    /// Takes one more order.
    pub(super) fn apply(&mut self, order: Order) {
        match order {
            Order::Block(block) => {
                if block.id > 0 {
                    self.next_id = self.next_id.max(block.id.saturating_add(1));
                }
                self.blocks.insert(block.place.clone(), block);
            }
            Order::ExclusionAdded { row } => {
                self.exclusions.retain(|r| *r != row);
                self.exclusions.push(row);
            }
            Order::ExclusionRemoved { row } => self.exclusions.retain(|r| *r != row),
            Order::Grace { place, until } => {
                self.graces.insert(place, until);
            }
            Order::NextId { id } => self.next_id = self.next_id.max(id),
            Order::Offences { place, count: 0, .. } => {
                self.offences.remove(&place);
            }
            Order::Offences { place, count, until } => {
                self.offences.insert(place, (count, until));
            }
            Order::Mode { segment, mode } => {
                self.modes.insert(segment, mode);
            }
            Order::Unblock { place } => {
                self.blocks.remove(&place);
            }
            Order::Until { place, until } => {
                if let Some(block) = self.blocks.get_mut(&place) {
                    block.until = until;
                }
            }
        }
    }

    /// Forgets what is over: a block's `until` is exclusive.
    pub(super) fn drop_expired(&mut self, now: &Moment) {
        self.blocks.retain(|_, block| block.until > now.tick.0);
        self.graces.retain(|_, until| *until > now.tick.0);
        self.offences.retain(|_, (_, until)| *until > now.tick.0);
    }

    /// The orders that make this state from nothing.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Order> {
        let blocks = self.blocks.values().map(|block| Order::Block(block.clone()));
        let graces = self
            .graces
            .iter()
            .map(|(place, until)| Order::Grace { place: place.clone(), until: *until });
        let exclusions =
            self.exclusions.iter().map(|row| Order::ExclusionAdded { row: row.clone() });
        let modes = self
            .modes
            .iter()
            .map(|(segment, mode)| Order::Mode { segment: segment.clone(), mode: mode.clone() });
        let offences = self.offences.iter().map(|(place, (count, until))| Order::Offences {
            place: place.clone(),
            count: *count,
            until: *until,
        });
        let next = (self.next_id > 0).then_some(Order::NextId { id: self.next_id });
        next.into_iter().chain(blocks).chain(graces).chain(exclusions).chain(modes).chain(offences)
    }

    /// The blocks in force, by place.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockRecord> {
        self.blocks.values()
    }

    /// The block of one place.
    pub fn block(&self, place: &PlaceRecord) -> Option<&BlockRecord> {
        self.blocks.get(place)
    }

    /// Sources that are not to be blocked again before a tick.
    pub fn graces(&self) -> impl Iterator<Item = (&PlaceRecord, u64)> {
        self.graces.iter().map(|(place, until)| (place, *until))
    }

    /// The exclusion rows that were added at run time, in their order.
    pub fn exclusions(&self) -> &[String] {
        &self.exclusions
    }

    /// The mode that a segment was given at run time: `prevent` or `monitor`.
    pub fn mode(&self, segment: &str) -> Option<&str> {
        self.modes.get(segment).map(String::as_str)
    }

    /// Sources that were blocked before: how often, and until when that is remembered.
    pub fn offences(&self) -> impl Iterator<Item = (&PlaceRecord, u32, u64)> {
        self.offences.iter().map(|(place, (count, until))| (place, *count, *until))
    }

    /// The number of the next block, at least; 0 where none was ever numbered.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Blocks, graces, exclusions, modes and remembered offences.
    pub fn len(&self) -> usize {
        let at_run_time = self.exclusions.len() + self.modes.len();
        self.blocks.len() + self.graces.len() + at_run_time + self.offences.len()
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
