//! The buffers of one direction of a transaction: shown again with every message, new ones marked.
//! Must never know what they mean.

use crate::conversation::{Direction, Stage};
use crate::output::{Fresh, Output, Piece, index};
use portcullis_plugin_abi::{Buffer, application};
use std::ops::Range;

#[derive(Clone, Debug)]
struct Leaf {
    kind: u16,
    index: u16,
    range: Range<u32>,
}

/// Buffers over bytes of their own; the bytes are copied to an output once per epoch of it.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// What the buffers point into: the head as sent, then what was made of it.
    pub(super) bytes: Vec<u8>,
    leaves: Vec<Leaf>,
    shown: usize,
    events: Vec<u16>,
    events_shown: usize,
    /// Epoch of the output, and where the bytes up to which length lie in it.
    copied: Option<(u64, u32, usize)>,
}

/// Oddities of one direction of a transaction that are kept.
const EVENTS_MAX: usize = 64;

impl Sheet {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.leaves.clear();
        self.events.clear();
        (self.shown, self.events_shown, self.copied) = (0, 0, None);
    }

    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Adds a buffer over bytes that lie here.
    pub(super) fn add(&mut self, kind: u16, number: usize, range: Range<usize>) {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let range = index(range.start)..index(range.end);
        self.leaves.push(Leaf { kind, index: number, range });
    }

    /// Where a buffer lies.
    pub(super) fn range_of(&self, kind: u16) -> Option<Range<usize>> {
        let leaf = self.leaves.iter().find(|leaf| leaf.kind == kind)?;
        Some(leaf.range.start as usize..leaf.range.end as usize)
    }

    /// Takes a buffer back, so that a longer one can stand for it.
    pub(super) fn remove(&mut self, kind: u16) {
        let before = self.leaves.get(..self.shown).unwrap_or_default();
        self.shown -= before.iter().filter(|leaf| leaf.kind == kind).count();
        self.leaves.retain(|leaf| leaf.kind != kind);
    }

    /// Notes an oddity, once.
    pub(super) fn event(&mut self, event: u16, transaction: u32, out: &mut Output) {
        if !self.events.contains(&event) && self.events.len() < EVENTS_MAX {
            self.events.push(event);
            out.anomaly(event, transaction);
        }
    }

    /// Opens a message with all buffers so far.
    pub(super) fn show(
        &mut self,
        transaction: u32,
        direction: Direction,
        stage: Stage,
        out: &mut Output,
    ) {
        out.message(application::HTTP, transaction, direction, stage);
        let (start, length) = match self.copied {
            Some((epoch, start, length)) if epoch == out.epoch() => (start, length),
            _ => (0, 0),
        };
        let start = if length == self.bytes.len() { start } else { out.append(&self.bytes).start };
        self.copied = Some((out.epoch(), start, self.bytes.len()));
        for (at, leaf) in self.leaves.iter().enumerate() {
            let earlier = at < self.shown;
            let range = leaf.range.start + start..leaf.range.end + start;
            out.piece(Piece {
                kind: leaf.kind,
                index: leaf.index,
                flags: Buffer::COMPLETE,
                offset: 0,
                seen: if earlier { range.end - range.start } else { 0 },
                range,
                fresh: if earlier { Fresh::Earlier } else { Fresh::New },
            });
        }
        out.event_pieces(&self.events, self.events_shown);
        (self.shown, self.events_shown) = (self.leaves.len(), self.events.len());
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.leaves.capacity() * size_of::<Leaf>()
            + self.events.capacity() * 2
    }
}
