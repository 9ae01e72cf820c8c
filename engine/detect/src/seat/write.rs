//! Filling a batch: every record is written once, straight to its place in guest memory.

use super::page::Page;
use super::{Offered, Recent, Seat, sender};
use crate::limits::HostLimits;
use crate::offer::{Offer, Shown};
use crate::places::STRIDES;
use crate::slots::FlowRef;
use portcullis_plugin_abi::{Event, EventKind, FlowRec, NONE, write_record};
use portcullis_types::Tick;

impl Seat {
    /// Whether the batch is full for this event. An empty batch is never full: what one event shows
    /// beyond it is cut.
    #[inline]
    pub(crate) fn is_full(&self, offer: &Offer<'_>) -> bool {
        let places = &self.plugin.places;
        if self.pending.is_empty() {
            return false;
        }
        let hits = if places.hits_max == 0 { 0 } else { offer.hits.len() };
        let (mut data, mut whole) = (0, 0);
        let buffers = if self.plugin.reading.shows { offer.buffers } else { &[] };
        let mut before: Option<&Shown<'_>> = None;
        for shown in buffers {
            if before.replace(shown).is_some_and(|o| self.plugin.reading.shares(shown, o)) {
                continue;
            }
            data += shown.bytes.len().min(self.plugin.reading.snap(shown.kind));
            whole += shown.bytes.len();
        }
        self.pending.len() >= places.events_max as usize
            || data > (places.data_max.saturating_sub(self.data)) as usize
            || self.shelf.len() as usize + buffers.len() > places.buffers_max as usize
            || self.hits as usize + hits > places.hits_max as usize
            || (self.plugin.reading.whole && whole > self.shelf.room())
    }

    /// Puts an event into the batch. There is room: see [`Seat::is_full`].
    #[inline]
    pub(crate) fn push(&mut self, offer: &Offer<'_>, kind: EventKind, limits: &HostLimits) {
        let direction = offer.event.direction;
        let muted = !self.conduct.is_clean() && {
            let sender = sender(offer.facts, kind, direction);
            self.conduct.mutes(sender, Tick(offer.event.at), limits)
        };
        if self.resting_until.is_some() || self.instance.is_none() || muted {
            self.counters.unjudged += 1;
            return;
        }
        self.write(offer, kind);
    }

    fn write(&mut self, offer: &Offer<'_>, kind: EventKind) {
        let (slot, known) = match offer.flow_ref {
            Some(flow) => self.slot_of(flow),
            None => (NONE, None),
        };
        let Some(instance) = &mut self.instance else { return };
        let (places, reading) = (&self.plugin.places, &self.plugin.reading);
        let arena = instance.input();
        let stride = |i: u32, size: u32| i as usize * size as usize;

        let flow = FlowRec { slot, slot_len: places.slot_len, ..*offer.flow };
        let rec_at = |rec: u32| places.flows_at as usize + stride(rec, STRIDES[0]);
        let last = known.or(self.flows.checked_sub(1)).filter(|&rec| {
            arena.get(rec_at(rec)..rec_at(rec) + STRIDES[0] as usize)
                == Some(bytemuck::bytes_of(&flow))
        });
        let rec = last.unwrap_or(self.flows);
        let mut fits = true;
        if rec == self.flows {
            fits &= write_record(arena, rec_at(rec), &flow);
            self.flows += 1;
        }

        let index = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let (first, first_hit) = (self.shelf.len(), self.hits);
        let (mut buffers, mut hits) = (0, 0);
        if reading.whole {
            self.shelf.event(offer.flow_ref);
        }
        if reading.shows || !offer.hits.is_empty() {
            let (shelf, placed) = (&mut self.shelf, &mut self.placed);
            let (counters, data, all) = (&mut self.counters, &mut self.data, &mut self.hits);
            let (arena, event) = (&mut *arena, index);
            let mut page =
                Page { places, reading, arena, shelf, placed, counters, data, hits: all, event };
            page.show(offer.buffers);
            page.report(self.id, offer.hits);
            buffers = u16::try_from(self.shelf.len() - first).unwrap_or(u16::MAX);
            hits = u16::try_from(self.hits - first_hit).unwrap_or(u16::MAX);
        }
        let event_at = places.events_at as usize + stride(index, STRIDES[1]);
        fits &= write_record(arena, event_at, &offer.event);
        // In its place: the record is copied once, and then only what is ours is stored.
        let room = arena.get_mut(event_at..event_at + STRIDES[1] as usize);
        match room.and_then(|room| bytemuck::try_from_bytes_mut::<Event>(room).ok()) {
            Some(event) => {
                (event.flow, event.first_buffer, event.first_hit) = (rec, first, first_hit);
                (event.buffers, event.hits) = (buffers, hits);
            }
            None => fits = false,
        }
        debug_assert!(fits, "places are aligned, and computed for events_max events");
        if let (Some(flow), true) = (offer.flow_ref, rec + 1 == self.flows) {
            self.remember(flow, rec);
        }
        self.counters.events += 1;
        self.pending.push(Offered {
            facts: *offer.facts,
            kind,
            direction: offer.event.direction,
            frame: offer.frame,
            flow: offer.flow_ref,
            at: Tick(offer.event.at),
            buffers: (first, u32::from(buffers)),
            transaction: offer.event.transaction,
            void: false,
        });
    }

    /// Where the flow's slot lies in this batch and its last record, if it has one. A slot met for
    /// the first time in the batch is copied in.
    pub(super) fn slot_of(&mut self, flow: FlowRef) -> (u32, Option<u32>) {
        if let Some(recent) = self.recent(flow) {
            return (recent.slot, Some(recent.rec));
        }
        let places = self.plugin.places;
        if places.slot_len == 0 {
            return (NONE, None);
        }
        let (Some(slot), Some(instance)) = (self.slots.slot(flow), &mut self.instance) else {
            self.counters.slotless += 1;
            return (NONE, None);
        };
        let index = u32::try_from(self.slots_used.len()).unwrap_or(0);
        let at = places.slots_at + index * places.slot_len;
        let range = at as usize..(at + places.slot_len) as usize;
        if let Some(room) = instance.input().get_mut(range) {
            room.copy_from_slice(slot);
        }
        self.slots_used.push(flow);
        (at, None)
    }

    pub(super) fn recent(&self, flow: FlowRef) -> Option<&Recent> {
        let mut at = hash(flow);
        loop {
            let recent = self.recent.get(at & (self.recent.len() - 1))?;
            if recent.stamp != self.stamp {
                return None;
            }
            if recent.flow == flow {
                return Some(recent);
            }
            at = at.wrapping_add(1);
        }
    }

    pub(super) fn remember(&mut self, flow: FlowRef, rec: u32) {
        let places = self.plugin.places;
        let mask = self.recent.len() - 1;
        let mut at = hash(flow);
        let slot = self.slots_used.len().checked_sub(1).and_then(|i| u32::try_from(i).ok());
        // Twice as many places as events: a free one is found.
        while let Some(recent) = self.recent.get_mut(at & mask) {
            if recent.stamp == self.stamp && recent.flow == flow {
                recent.rec = rec;
                return;
            }
            if recent.stamp != self.stamp {
                let newest = slot.filter(|&i| self.slots_used.get(i as usize) == Some(&flow));
                let slot = newest.map_or(NONE, |i| places.slots_at + i * places.slot_len);
                *recent = Recent { stamp: self.stamp, flow, rec, slot };
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    pub(super) fn begin_batch(&mut self) {
        self.pending.clear();
        self.slots_used.clear();
        self.shelf.clear();
        (self.flows, self.hits, self.data) = (0, 0, 0);
        self.stamp = self.stamp.wrapping_add(1);
    }
}

fn hash((index, generation): FlowRef) -> usize {
    // Fibonacci hashing: indices of one batch are often neighbours.
    let mixed = (index ^ generation.rotate_left(16)).wrapping_mul(0x9e37_79b9);
    (mixed >> 7) as usize
}
