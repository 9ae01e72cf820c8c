//! Who reads which flow: one reader a flow, with its conversation and the hits that later messages
//! of the same transaction need again. Bounded in number and in bytes; past the bound a flow goes
//! on undecoded and is counted.
//!
//! It must never know a protocol.

use super::window::Window;
use portcullis_decode::{Conversation, Direction};
use portcullis_detect::OfferedHit;
use portcullis_flow::FlowId;
use portcullis_plugin_abi::application;

/// Hits that one flow's reader keeps for later messages.
const KEPT_MAX: usize = 128;

/// A hit that a later message of the same transaction and direction is shown again: its rule may
/// have been waiting for a buffer that was not there yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) transaction: u32,
    pub(crate) direction: u8,
    pub(crate) kind: u16,
    pub(crate) index: u16,
    /// Offset behind the match in the body that the buffer is a piece of.
    pub(crate) end: u64,
    pub(crate) hit: OfferedHit,
}

/// What reads one flow.
#[derive(Debug)]
pub(crate) struct Reader {
    generation: u32,
    /// Whether anything of the flow is read still.
    pub(crate) state: State,
    pub(crate) conversation: Option<Box<Conversation>>,
    /// `portcullis_plugin_abi::application`.
    pub(crate) application: u16,
    pub(crate) kept: Vec<Kept>,
    /// What each direction said last.
    pub(crate) windows: [Window; 2],
    /// Which patterns `kept` and `windows` were scanned with: [`Readers::epoch`].
    epoch: u32,
    /// Whether a direction's window is to be scanned from its begin, with newer patterns.
    pub(crate) unscanned: [bool; 2],
    /// The last transaction that was told of.
    pub(crate) last: u32,
    /// Transactions up to this one began under older patterns: each of their messages is scanned
    /// whole, and no hit of them is kept.
    pub(crate) begun_before: u32,
    /// Bytes of conversation and windows when last measured.
    measured: usize,
    /// It went without for want of memory, and is counted in [`Readers::refused`].
    is_refused: bool,
}

/// How far a flow is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Streams, messages, packets.
    Reading,
    /// Nothing any more: the rest is encrypted, or nobody wants it.
    Quiet,
}

impl Reader {
    /// Keeps a hit for later messages; the flow's oldest gives way.
    pub(crate) fn keep(&mut self, kept: Kept) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(kept);
    }

    /// Follows a change of patterns.
    fn follow(&mut self, epoch: u32) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.kept.clear();
            self.unscanned = [true; 2];
            self.begun_before = self.last;
        }
    }

    /// That direction of the transaction is over.
    pub(crate) fn release(&mut self, transaction: u32, direction: Direction) {
        self.kept.retain(|k| (k.transaction, k.direction) != (transaction, direction as u8));
    }
}

/// All readers of a lane.
#[derive(Debug)]
pub(crate) struct Readers {
    slots: Vec<Option<Box<Reader>>>,
    bytes: usize,
    bytes_max: usize,
    /// The most bytes that they ever took together.
    pub(crate) bytes_most: usize,
    /// How often patterns were changed.
    pub(crate) epoch: u32,
    /// Flows that were not decoded for want of memory.
    pub(crate) refused: u64,
}

impl Readers {
    /// For a table of so many flows, with so many bytes for their conversations.
    pub(crate) fn new(flows: u32, bytes_max: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(flows as usize).collect();
        Readers { slots, bytes: 0, bytes_max, bytes_most: 0, epoch: 0, refused: 0 }
    }

    /// The reader of a flow, made by `begin` where there is none.
    pub(crate) fn reader(
        &mut self,
        id: FlowId,
        begin: impl FnOnce() -> Conversation,
    ) -> Option<&mut Reader> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.as_ref().is_some_and(|r| r.generation != id.generation) {
            self.bytes -= slot.take().map_or(0, |r| r.measured);
        }
        if slot.is_none() {
            let has_room = self.bytes < self.bytes_max;
            self.refused += u64::from(!has_room);
            *slot = Some(Box::new(Reader {
                generation: id.generation,
                state: State::Reading,
                conversation: has_room.then(|| Box::new(begin())),
                application: application::UNKNOWN,
                kept: Vec::new(),
                windows: Default::default(),
                epoch: self.epoch,
                unscanned: [false; 2],
                last: 0,
                begun_before: 0,
                measured: 0,
                is_refused: !has_room,
            }));
        }
        slot.as_deref_mut()
    }

    /// Whether the flow has a reader, which reads nothing any more.
    #[inline]
    pub(crate) fn is_quiet(&self, id: FlowId) -> bool {
        let reader = self.slots.get(id.index as usize).and_then(|slot| slot.as_deref());
        reader.is_some_and(|r| r.generation == id.generation && r.state == State::Quiet)
    }

    /// What is spoken in a flow, as far as it is known.
    pub(crate) fn application(&self, id: FlowId) -> u16 {
        let reader = self.slots.get(id.index as usize).and_then(|slot| slot.as_deref());
        reader
            .filter(|r| r.generation == id.generation)
            .map_or(application::UNKNOWN, |r| r.application)
    }

    /// The reader of a flow that has one.
    pub(crate) fn known(&mut self, id: FlowId) -> Option<&mut Reader> {
        let reader = self.slots.get_mut(id.index as usize)?.as_deref_mut()?;
        let epoch = self.epoch;
        let reader = (reader.generation == id.generation).then_some(reader)?;
        reader.follow(epoch);
        Some(reader)
    }

    /// Measures a reader again after it was told something; past the bound its conversation ends
    /// and its windows begin anew.
    pub(crate) fn measure(&mut self, id: FlowId) {
        let (bytes, max) = (self.bytes, self.bytes_max);
        let Some(reader) = self.known(id) else { return };
        let [to_server, to_client] = &reader.windows;
        let now = reader.conversation.as_ref().map_or(0, |c| c.memory())
            + to_server.memory()
            + to_client.memory();
        let mut total = bytes - reader.measured + now;
        reader.measured = now;
        let is_over = total > max && now != 0;
        if is_over {
            reader.conversation = None;
            reader.windows = Default::default();
            total -= std::mem::take(&mut reader.measured);
            self.refused += u64::from(!std::mem::replace(&mut reader.is_refused, true));
        }
        self.bytes = total;
        self.bytes_most = self.bytes_most.max(total);
    }

    /// The flow is over.
    pub(crate) fn forget(&mut self, id: FlowId) {
        if self.known(id).is_none() {
            return;
        }
        if let Some(reader) = self.slots.get_mut(id.index as usize).and_then(Option::take) {
            self.bytes -= reader.measured;
        }
    }

    /// Bytes that conversations take now.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_decode::{Limits, Transport};
    use std::sync::Arc;

    fn begin() -> Conversation {
        Conversation::new(Transport::Tcp, 80, Arc::new(Limits::default()))
    }

    #[test]
    fn a_flow_that_goes_without_is_counted_once_and_its_successor_anew() {
        let mut readers = Readers::new(1, 1);
        let first = FlowId { index: 0, generation: 1 };
        let say = |readers: &mut Readers, id| {
            let reader = readers.reader(id, begin).expect("room");
            reader.windows[0].push(0, &[b'x'; 64]);
            readers.measure(id);
        };
        for _ in 0..3 {
            say(&mut readers, first);
            assert_eq!((readers.refused, readers.bytes()), (1, 0));
        }
        readers.forget(first);
        say(&mut readers, FlowId { generation: 2, ..first });
        assert_eq!(readers.refused, 2);
    }
}
