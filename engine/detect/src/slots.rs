//! Per-flow memory that the host owns: flow slots and masks, indexed by the flow's index in its
//! worker's table. A generation that differs means another flow: what was there reads as zero.

/// A flow's index in its worker's table, and its generation.
pub type FlowRef = (u32, u32);

/// The slots of one plugin.
pub(crate) struct Slots {
    len: usize,
    bytes: Vec<u8>,
    generations: Vec<u32>,
}

impl Slots {
    pub(crate) fn new(flows: u32, len: u32) -> Self {
        let flows = if len == 0 { 0 } else { flows as usize };
        Slots {
            len: len as usize,
            bytes: vec![0; flows * len as usize],
            generations: vec![0; flows],
        }
    }

    /// The slot of a flow, zeroed if the flow is new here; `None` beyond the table.
    pub(crate) fn slot(&mut self, (index, generation): FlowRef) -> Option<&mut [u8]> {
        let index = index as usize;
        let tag = self.generations.get_mut(index)?;
        let slot = self.bytes.get_mut(index * self.len..(index + 1) * self.len)?;
        // Off by one, so that a zeroed table belongs to nobody.
        let generation = generation.wrapping_add(1);
        if *tag != generation {
            *tag = generation;
            slot.fill(0);
        }
        Some(slot)
    }
}

/// Which plugins have finished with which direction of each flow.
pub(crate) struct Masks {
    /// As far as a flow was ever marked; the room for the others is allocated and not touched.
    flows: Vec<Mask>,
    room: usize,
}

#[derive(Clone, Copy, Default)]
struct Mask {
    generation: u32,
    done: [u32; 2],
    /// The last transaction that a plugin finished with, and who has. An earlier one is forgotten
    /// and shown again: done saves work, and nothing depends on it.
    transaction: u32,
    finished: u32,
    /// Who wants no hits of the flow before it has had so many KiB of frames.
    paused: u32,
    until: u32,
}

/// What is finished with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finished {
    /// A direction: 0 to the server, 1 to the client.
    Direction(u8),
    /// The flow.
    Flow,
    /// One transaction, by its id.
    Transaction(u32),
    /// What is found, until the flow has had so many KiB of frames.
    Hits(u32),
}

impl Masks {
    pub(crate) fn new(flows: u32) -> Self {
        let room = flows as usize;
        Masks { flows: Vec::with_capacity(room), room }
    }

    #[inline]
    pub(crate) fn done(&self, (index, generation): FlowRef, direction: u8) -> u32 {
        match self.flows.get(index as usize) {
            Some(mask) if mask.generation == generation.wrapping_add(1) => {
                let [to_server, to_client] = mask.done;
                if direction == 0 { to_server } else { to_client }
            }
            _ => 0,
        }
    }

    /// Who has finished with a transaction.
    #[inline]
    pub(crate) fn finished(&self, (index, generation): FlowRef, transaction: u32) -> u32 {
        match self.flows.get(index as usize) {
            Some(mask)
                if mask.generation == generation.wrapping_add(1)
                    && mask.transaction == transaction =>
            {
                mask.finished
            }
            _ => 0,
        }
    }

    /// Who wants no hits of a flow that has had so many KiB of frames.
    #[inline]
    pub(crate) fn paused(&self, (index, generation): FlowRef, kib: u64) -> u32 {
        match self.flows.get(index as usize) {
            Some(mask)
                if mask.generation == generation.wrapping_add(1) && kib < u64::from(mask.until) =>
            {
                mask.paused
            }
            _ => 0,
        }
    }

    pub(crate) fn mark(&mut self, (index, generation): FlowRef, bit: u32, what: Finished) {
        let index = index as usize;
        if (self.flows.len()..self.room).contains(&index) {
            self.flows.resize(index + 1, Mask::default());
        }
        let Some(mask) = self.flows.get_mut(index) else { return };
        let generation = generation.wrapping_add(1);
        if mask.generation != generation {
            *mask = Mask { generation, ..Mask::default() };
        }
        if let Finished::Hits(until) = what {
            // Of several the shortest pause holds: it saves work, and nothing depends on it.
            let others = mask.paused & !bit;
            mask.until = if others == 0 { until } else { mask.until.min(until) };
            mask.paused |= bit;
            return;
        }
        if let Finished::Transaction(id) = what {
            if mask.transaction != id {
                (mask.transaction, mask.finished) = (id, 0);
            }
            mask.finished |= bit;
            return;
        }
        let [to_server, to_client] = &mut mask.done;
        if what != Finished::Direction(1) {
            *to_server |= bit;
        }
        if what != Finished::Direction(0) {
            *to_client |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_flow_finds_zeros() {
        let mut slots = Slots::new(2, 8);
        slots.slot((1, 0)).expect("within").fill(7);
        assert_eq!(slots.slot((1, 0)).expect("within"), [7; 8]);
        assert_eq!(slots.slot((1, 1)).expect("within"), [0; 8]);
        assert!(slots.slot((2, 0)).is_none());
    }

    #[test]
    fn masks_keep_directions_and_generations_apart() {
        let mut masks = Masks::new(2);
        masks.mark((0, 5), 0b10, Finished::Direction(1));
        assert_eq!((masks.done((0, 5), 0), masks.done((0, 5), 1)), (0, 0b10));
        assert_eq!(masks.done((0, 6), 1), 0);
        masks.mark((0, 5), 0b1, Finished::Flow);
        assert_eq!((masks.done((0, 5), 0), masks.done((0, 5), 1)), (0b1, 0b11));
        masks.mark((0, 5), 0b100, Finished::Transaction(7));
        masks.mark((0, 5), 0b1000, Finished::Transaction(7));
        assert_eq!((masks.finished((0, 5), 7), masks.finished((0, 5), 8)), (0b1100, 0));
        assert_eq!((masks.finished((0, 6), 7), masks.done((0, 5), 0)), (0, 0b1));
        masks.mark((0, 5), 0b1, Finished::Transaction(8));
        assert_eq!((masks.finished((0, 5), 7), masks.finished((0, 5), 8)), (0, 0b1));
    }

    #[test]
    fn a_pause_ends_with_the_flow_s_bytes() {
        let mut masks = Masks::new(2);
        masks.mark((1, 5), 0b10, Finished::Hits(8));
        assert_eq!((masks.paused((1, 5), 7), masks.paused((1, 5), 8)), (0b10, 0));
        assert_eq!((masks.paused((1, 6), 7), masks.paused((0, 5), 7)), (0, 0), "other flows");
        assert_eq!(masks.done((1, 5), 0), 0, "events without a hit go on");
        masks.mark((1, 5), 0b10, Finished::Hits(20));
        assert_eq!((masks.paused((1, 5), 19), masks.paused((1, 5), 20)), (0b10, 0));
        masks.mark((1, 5), 0b1, Finished::Hits(12));
        assert_eq!((masks.paused((1, 5), 11), masks.paused((1, 5), 12)), (0b11, 0), "the shorter");
    }
}
