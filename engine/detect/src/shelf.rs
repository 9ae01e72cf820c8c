//! The buffers of one batch as the host keeps them: where each lies in the guest, and, for plugins
//! that may read by handle, all its bytes. Lives until the batch ends. It knows no guest memory.
//!
//! While the guest runs, the shelf is with the instance's host functions; before and after it is
//! with the seat. Moving it costs a few words.

use crate::slots::FlowRef;
use portcullis_plugin_abi::Buffer;

/// One buffer of the batch, at its index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    /// Where its shown part lies in the input arena, and how much that is.
    pub(crate) at: u32,
    pub(crate) len: u32,
    /// Where all its bytes lie on the shelf, and how many those are.
    pub(crate) whole_at: u32,
    pub(crate) whole_len: u32,
    pub(crate) transaction: u32,
    pub(crate) kind: u16,
    pub(crate) index: u16,
    /// The event that shows it.
    pub(crate) event: u32,
}

/// Bits of a handle that tell the batch; the sign stays clear.
const STAMP_MASK: u32 = 0x001f_ffff;
const INDEX_BITS: u32 = Buffer::HANDLE_INDEX.count_ones();

/// Buffers of one batch at most: what a handle's index can tell apart.
pub(crate) const BUFFERS_MAX: u32 = Buffer::HANDLE_INDEX + 1;

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    rows: Vec<Row>,
    /// The flow of each event.
    flows: Vec<Option<FlowRef>>,
    bytes: Vec<u8>,
    room: usize,
    stamp: u32,
}

impl Shelf {
    /// With room for that many bytes of buffers, all of one batch together.
    pub(crate) fn new(rows: u32, room: u32) -> Self {
        Shelf {
            rows: Vec::with_capacity(rows as usize),
            flows: Vec::with_capacity(rows as usize),
            bytes: Vec::with_capacity(room as usize),
            room: room as usize,
            stamp: 1,
        }
    }

    /// Bytes that still fit.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.room - self.bytes.len().min(self.room)
    }

    /// Another event begins, of this flow.
    #[inline]
    pub(crate) fn event(&mut self, flow: Option<FlowRef>) {
        self.flows.push(flow);
    }

    /// Rows so far: the index of the next.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// The handle that the next buffer will have.
    #[inline]
    pub(crate) fn next_handle(&self) -> u32 {
        (self.stamp & STAMP_MASK) << INDEX_BITS | (self.len() & Buffer::HANDLE_INDEX)
    }

    /// Puts a buffer on the shelf, with as many of `whole`'s bytes as fit; says how many those are.
    #[inline]
    pub(crate) fn put(&mut self, mut row: Row, whole: &[u8]) -> u32 {
        let kept = whole.get(..whole.len().min(self.room())).unwrap_or(&[]);
        row.whole_at = u32::try_from(self.bytes.len()).unwrap_or(0);
        row.whole_len = u32::try_from(kept.len()).unwrap_or(0);
        self.bytes.extend_from_slice(kept);
        self.rows.push(row);
        row.whole_len
    }

    /// Puts a buffer on the shelf whose bytes lie there already, as those of `other`.
    #[inline]
    pub(crate) fn put_again(&mut self, row: Row, other: &Row) -> u32 {
        self.rows.push(Row { whole_at: other.whole_at, whole_len: other.whole_len, ..row });
        other.whole_len
    }

    /// The buffer put last, if `event` shows it.
    #[inline]
    pub(crate) fn last(&self, event: u32) -> Option<Row> {
        self.rows.last().copied().filter(|row| row.event == event)
    }

    /// A buffer by its index in the batch.
    #[inline]
    pub(crate) fn row(&self, index: u32) -> Option<&Row> {
        self.rows.get(index as usize)
    }

    /// All bytes kept of a buffer.
    pub(crate) fn whole(&self, row: &Row) -> &[u8] {
        let at = row.whole_at as usize;
        self.bytes.get(at..at + row.whole_len as usize).unwrap_or(&[])
    }

    /// All bytes kept of the buffer of a handle of this batch.
    pub(crate) fn by_handle(&self, handle: u32) -> Option<&[u8]> {
        if handle >> INDEX_BITS != self.stamp & STAMP_MASK {
            return None;
        }
        self.row(handle & Buffer::HANDLE_INDEX).map(|row| self.whole(row))
    }

    /// The handle of the latest buffer of a flow's transaction, shown by `event` or before it.
    pub(crate) fn find(
        &self,
        event: u32,
        (transaction, kind, index): (u32, u16, u16),
    ) -> Option<u32> {
        let flow_of = |event: u32| self.flows.get(event as usize).copied().flatten();
        let flow = flow_of(event);
        let fits = |row: &Row| {
            row.event <= event
                && (row.transaction, row.kind, row.index) == (transaction, kind, index)
                && (row.event == event || (flow.is_some() && flow_of(row.event) == flow))
        };
        let at = self.rows.iter().rposition(fits)?;
        let newest = self.rows.get(at)?.event;
        // The first of its kind within that event: what a reader of the event's buffers finds.
        let at = self.rows.iter().position(|row| row.event == newest && fits(row))?;
        let index = u32::try_from(at).ok()?;
        Some((self.stamp & STAMP_MASK) << INDEX_BITS | (index & Buffer::HANDLE_INDEX))
    }

    /// The batch is over: its handles mean nothing any more.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.flows.clear();
        self.bytes.clear();
        self.stamp = self.stamp.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn row(event: u32, transaction: u32, kind: u16) -> Row {
        Row { event, transaction, kind, ..Row::default() }
    }

    #[test]
    fn handles_live_for_one_batch() {
        let mut shelf = Shelf::new(4, 10);
        let handle = shelf.next_handle();
        assert_eq!(shelf.put(row(0, 0, 1), b"abcdef"), 6);
        assert_eq!(shelf.by_handle(handle), Some(&b"abcdef"[..]));
        assert_eq!((shelf.by_handle(handle + 1), shelf.by_handle(u32::MAX)), (None, None));
        assert_eq!(shelf.put(row(0, 0, 2), b"ghijkl"), 4, "the rest finds no room");
        let again = shelf.next_handle();
        let last = shelf.last(0).unwrap();
        assert_eq!((shelf.put_again(row(0, 0, 3), &last), shelf.last(1).is_none()), (4, true));
        assert_eq!(shelf.by_handle(again), Some(&b"ghij"[..]), "the same bytes, once");
        shelf.clear();
        assert_eq!(shelf.by_handle(handle), None);
        shelf.put(row(0, 0, 1), b"x");
        assert_eq!(shelf.by_handle(handle), None, "another batch has the index again");
    }

    #[test]
    fn buffers_are_found_by_flow_and_transaction_up_to_the_event() {
        let mut shelf = Shelf::new(4, 10);
        for (event, flow, transaction, bytes) in
            [(0, 1, 7, b"a"), (1, 2, 7, b"b"), (2, 1, 7, b"c"), (3, 1, 8, b"d")]
        {
            shelf.event(Some((flow, 1)));
            shelf.put(row(event, transaction, 11), bytes);
        }
        let at = |event, transaction| {
            let handle = shelf.find(event, (transaction, 11, 0));
            handle.map(|h| shelf.by_handle(h).unwrap()[0])
        };
        assert_eq!((at(3, 7), at(0, 7), at(1, 7)), (Some(b'c'), Some(b'a'), Some(b'b')));
        assert_eq!((at(2, 8), at(3, 9), at(9, 7)), (None, None, None));
    }
}
