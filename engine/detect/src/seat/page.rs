//! What one event shows: its buffers and hits, each written once, straight to guest memory. What
//! finds no room is cut, and counted.

use super::SeatCounters;
use crate::offer::{OfferedHit, Shown};
use crate::places::{Places, STRIDES};
use crate::plugin::Reading;
use crate::shelf::{Row, Shelf};
use portcullis_plugin_abi::{Buffer, Hit, NONE, buffer_kind, write_record};
use portcullis_types::PluginId;

/// The batch as it is being filled with one event.
pub(super) struct Page<'a> {
    pub(super) places: &'a Places,
    pub(super) reading: &'a Reading,
    pub(super) arena: &'a mut [u8],
    pub(super) shelf: &'a mut Shelf,
    /// Where each offered buffer came to lie: its index in the batch, or none.
    pub(super) placed: &'a mut Vec<u32>,
    pub(super) counters: &'a mut SeatCounters,
    pub(super) data: &'a mut u32,
    pub(super) hits: &'a mut u32,
    pub(super) event: u32,
}

impl Page<'_> {
    /// Writes the buffers: their records, as much of their bytes as the plugin wants, and, where
    /// it may read by handle, all of them to the shelf. Bytes that two neighbours show alike, a
    /// body and the file in it, lie there once.
    #[inline]
    pub(super) fn show(&mut self, buffers: &[Shown<'_>]) {
        self.placed.clear();
        let mut before: Option<&Shown<'_>> = None;
        for shown in buffers {
            let alike = before.replace(shown).is_some_and(|o| self.reading.shares(shown, o));
            let snap = self.reading.snap(shown.kind);
            let nothing = shown.bytes.is_empty() && shown.kind == buffer_kind::PAYLOAD;
            if nothing || (snap == 0 && !self.reading.whole) {
                self.placed.push(NONE);
            } else if self.shelf.len() >= self.places.buffers_max {
                self.counters.buffers_cut += 1;
                self.placed.push(NONE);
            } else {
                self.placed.push(self.shelf.len());
                let known = alike.then(|| self.shelf.last(self.event)).flatten();
                self.buffer(shown, snap, known);
            }
        }
    }

    #[inline]
    fn buffer(&mut self, shown: &Shown<'_>, snap: usize, same: Option<Row>) {
        let (places, all) = (self.places, shown.bytes.len());
        let wanted = all.min(snap);
        let same = same.filter(|row| row.len as usize >= wanted);
        let at = same.map_or(places.data_at + *self.data, |row| row.at);
        let room = match same {
            Some(row) => row.len as usize,
            None => places.data_max.saturating_sub(*self.data) as usize,
        };
        let bytes = shown.bytes.get(..wanted.min(room)).unwrap_or(&[]);
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        if same.is_none() {
            match self.arena.get_mut(at as usize..at as usize + bytes.len()) {
                Some(room) => room.copy_from_slice(bytes),
                None => debug_assert!(false, "room was computed"),
            }
            *self.data += len;
        }
        let mut buffer = Buffer {
            handle: self.shelf.next_handle(),
            kind: shown.kind,
            index: shown.index,
            transaction: shown.transaction,
            flags: shown.flags,
            offset: shown.offset,
            data_at: at,
            data_len: len,
            whole_len: u32::try_from(all).unwrap_or(u32::MAX),
            reserved: 0,
        };
        if bytes.len() < all {
            buffer.flags = shown.flags & !Buffer::COMPLETE | Buffer::TRUNCATED;
        }
        let record_at =
            places.buffers_at as usize + self.shelf.len() as usize * STRIDES[2] as usize;
        let row = Row {
            at,
            len,
            whole_at: 0,
            whole_len: 0,
            transaction: shown.transaction,
            kind: shown.kind,
            index: shown.index,
            event: self.event,
        };
        let mut short = bytes.len() < wanted;
        if self.reading.whole {
            buffer.whole_len = match same {
                Some(other) => self.shelf.put_again(row, &other),
                None => self.shelf.put(row, shown.bytes),
            };
            short |= (buffer.whole_len as usize) < all;
        } else {
            self.shelf.put(row, &[]);
        }
        self.counters.buffers_cut += u64::from(short);
        let fits = write_record(self.arena, record_at, &buffer);
        debug_assert!(fits, "places are computed for buffers_max buffers");
    }

    /// Writes the hits that are this plugin's.
    #[inline]
    pub(super) fn report(&mut self, id: PluginId, hits: &[OfferedHit]) {
        for hit in hits.iter().filter(|hit| hit.plugin == id) {
            if *self.hits >= self.places.hits_max {
                self.counters.hits_cut += 1;
                continue;
            }
            let placed = self.placed.get(usize::from(hit.buffer)).copied();
            let buffer = placed.unwrap_or(NONE);
            let record = Hit { event: self.event, buffer, pattern: hit.pattern, end: hit.end };
            let at = self.places.hits_at as usize + *self.hits as usize * STRIDES[3] as usize;
            let fits = write_record(self.arena, at, &record);
            debug_assert!(fits, "places are computed for hits_max hits");
            *self.hits += 1;
        }
    }
}
