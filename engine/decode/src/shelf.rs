//! The buffers that one direction of a transaction has so far, kept so that every message shows
//! all of them. Must never know a protocol.

use crate::conversation::{Direction, Stage};
use crate::output::{Fresh, Output, index};
use std::ops::Range;

/// Buffers and oddities of one direction of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    events: Vec<u16>,
    shown: usize,
    events_shown: usize,
}

#[derive(Debug)]
struct Entry {
    kind: u16,
    index: u16,
    range: Range<u32>,
}

/// Of which transaction of which application a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heading {
    pub(crate) application: u16,
    pub(crate) transaction: u32,
    pub(crate) direction: Direction,
}

impl Shelf {
    /// Oddities that one direction of a transaction keeps: more say nothing new.
    const EVENTS_MAX: usize = 32;

    /// Adds a buffer; the next one of its kind if there are some.
    pub(crate) fn put(&mut self, kind: u16, bytes: &[u8]) {
        let same = self.entries.iter().filter(|entry| entry.kind == kind).count();
        let start = index(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        let range = start..index(self.bytes.len());
        let at = u16::try_from(same).unwrap_or(u16::MAX);
        self.entries.push(Entry { kind, index: at, range });
    }

    /// Adds a number.
    pub(crate) fn put_number(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_le_bytes());
    }

    /// Notes an oddity; each once.
    pub(crate) fn event(&mut self, event: u16, transaction: u32, out: &mut Output) {
        if self.events.len() < Self::EVENTS_MAX && !self.events.contains(&event) {
            self.events.push(event);
            out.anomaly(event, transaction);
        }
    }

    /// Appends a message with all of them.
    pub(crate) fn show(&mut self, heading: Heading, stage: Stage, out: &mut Output) {
        out.message(heading.application, heading.transaction, heading.direction, stage);
        for (at, entry) in self.entries.iter().enumerate() {
            let range = entry.range.start as usize..entry.range.end as usize;
            let fresh = if at < self.shown { Fresh::Earlier } else { Fresh::New };
            out.buffer(entry.kind, entry.index, self.bytes.get(range).unwrap_or_default(), fresh);
        }
        out.event_pieces(&self.events, self.events_shown);
        (self.shown, self.events_shown) = (self.entries.len(), self.events.len());
    }

    /// Empty again, keeping its memory: the next transaction begins.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.events.clear();
        (self.shown, self.events_shown) = (0, 0);
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.events.capacity() * 2
    }
}
