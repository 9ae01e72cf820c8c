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
}

impl Live {
    /// What the entries come to at `now`; what is over is left out.
    pub(super) fn of(entries: Vec<Entry>, now: &Moment) -> Self {
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
    }

    /// The orders that make this state from nothing.
    pub(super) fn orders(&self) -> impl Iterator<Item = Order> {
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
        blocks.chain(graces).chain(exclusions).chain(modes)
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

    /// How many orders it takes.
    pub fn len(&self) -> usize {
        self.blocks.len() + self.graces.len() + self.exclusions.len() + self.modes.len()
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
