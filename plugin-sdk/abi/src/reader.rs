//! A total reader of batches: whatever the bytes are, it answers or says what is wrong.

use crate::{ABI, Batch, Buffer, Event, FlowRec, Hit, MAGIC};
use bytemuck::{Pod, Zeroable};

/// Why a batch cannot be read at all. Alphabetical.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// Its ABI's major version is another one.
    Abi,
    /// `first` and `last` are no range of its events.
    Judged,
    /// It does not begin with the magic word.
    Magic,
    /// An array does not lie within the arena, or its stride is under 8 bytes or odd.
    Outside,
    /// The arena is shorter than a header.
    Short,
}

/// A record out of bytes: shorter ones read as zeros behind their end, longer ones are cut.
#[inline]
pub fn record<T: Pod>(bytes: &[u8]) -> T {
    let mut out = T::zeroed();
    let to = bytemuck::bytes_of_mut(&mut out);
    let n = to.len().min(bytes.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), bytes.get(..n)) {
        to.copy_from_slice(from);
    }
    out
}

/// A record in place, where the bytes are long enough and aligned for it.
#[inline]
pub fn record_ref<T: Pod>(bytes: &[u8]) -> Option<&T> {
    bytemuck::try_from_bytes(bytes.get(..size_of::<T>())?).ok()
}

/// Writes a record at `at`; says whether there was room.
#[inline]
#[must_use]
pub fn write_record<T: Pod>(arena: &mut [u8], at: usize, value: &T) -> bool {
    let Some(room) = at.checked_add(size_of::<T>()).and_then(|end| arena.get_mut(at..end)) else {
        return false;
    };
    room.copy_from_slice(bytemuck::bytes_of(value));
    true
}

/// One array of a batch: checked once, so that no later read can fail.
#[derive(Clone, Copy, Default)]
struct Array<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Array<'a> {
    fn checked(arena: &'a [u8], at: u32, stride: u32, count: u32) -> Result<Self, Broken> {
        if count == 0 {
            return Ok(Array::default());
        }
        if stride < 8 || !stride.is_multiple_of(8) {
            return Err(Broken::Outside);
        }
        let len = u64::from(stride) * u64::from(count);
        let end = u64::from(at) + len;
        let range = usize::try_from(at).ok().zip(usize::try_from(end).ok());
        let bytes = range.and_then(|(a, e)| arena.get(a..e)).ok_or(Broken::Outside)?;
        Ok(Array { bytes, stride: stride as usize })
    }

    #[inline]
    fn bytes(&self, index: u32) -> Option<&'a [u8]> {
        let at = (index as usize).checked_mul(self.stride)?;
        self.bytes.get(at..at.checked_add(self.stride)?).filter(|b| !b.is_empty())
    }

    #[inline]
    fn read<T: Pod>(&self, index: u32) -> Option<T> {
        self.bytes(index).map(record)
    }
}

/// A batch, read. The slots are not part of it: they are the guest's to write.
#[derive(Clone, Copy)]
pub struct BatchReader<'a> {
    header: Batch,
    flows: Array<'a>,
    events: Array<'a>,
    buffers: Array<'a>,
    hits: Array<'a>,
    head: &'a [u8],
    data: &'a [u8],
}

impl<'a> BatchReader<'a> {
    /// Reads a batch that lies in one piece.
    pub fn new(arena: &'a [u8]) -> Result<Self, Broken> {
        let header: Batch = Self::header_of(arena)?;
        Self::build(header, arena, arena, 0)
    }

    /// Reads a batch and hands out its slots for writing: `(reader, slots, where slots begin)`.
    /// The arrays must lie before the slots and the data behind them.
    pub fn split(arena: &'a mut [u8]) -> Result<(Self, &'a mut [u8], u32), Broken> {
        let header = Self::header_of(arena)?;
        let slots_at = header.slots_at as usize;
        let slots_len = header.slots_len as usize;
        if arena.len() < slots_at || arena.len() - slots_at < slots_len {
            return Err(Broken::Outside);
        }
        let (head, rest) = arena.split_at_mut(slots_at);
        let (slots, tail) = rest.split_at_mut(slots_len);
        let data_at = header.slots_at.checked_add(header.slots_len).ok_or(Broken::Outside)?;
        let reader = Self::build(header, head, tail, data_at)?;
        Ok((reader, slots, header.slots_at))
    }

    fn header_of(arena: &[u8]) -> Result<Batch, Broken> {
        if arena.len() < 16 {
            return Err(Broken::Short);
        }
        let len = u16::from_le_bytes([arena[6], arena[7]]) as usize;
        let header: Batch = record(arena.get(..len).ok_or(Broken::Short)?);
        if header.magic != MAGIC {
            return Err(Broken::Magic);
        }
        if header.abi != ABI {
            return Err(Broken::Abi);
        }
        if header.first > header.last || header.last > header.events {
            return Err(Broken::Judged);
        }
        Ok(header)
    }

    fn build(h: Batch, head: &'a [u8], tail: &'a [u8], tail_at: u32) -> Result<Self, Broken> {
        let data_at = h.data_at.checked_sub(tail_at).ok_or(Broken::Outside)? as usize;
        let data_end = data_at.checked_add(h.data_len as usize).ok_or(Broken::Outside)?;
        Ok(BatchReader {
            header: h,
            flows: Array::checked(head, h.flows_at, h.flow_stride, h.flows)?,
            events: Array::checked(head, h.events_at, h.event_stride, h.events)?,
            buffers: Array::checked(head, h.buffers_at, h.buffer_stride, h.buffers)?,
            hits: Array::checked(head, h.hits_at, h.hit_stride, h.hits)?,
            head,
            data: tail.get(data_at..data_end).ok_or(Broken::Outside)?,
        })
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> &Batch {
        &self.header
    }

    /// An event by its index.
    #[inline]
    pub fn event(&self, index: u32) -> Option<Event> {
        self.events.read(index)
    }

    /// A flow record by its index.
    #[inline]
    pub fn flow(&self, index: u32) -> Option<FlowRec> {
        self.flows.read(index)
    }

    /// A flow record in place, where its size and alignment allow.
    #[inline]
    pub fn flow_ref(&self, index: u32) -> Option<&'a FlowRec> {
        self.flows.bytes(index).and_then(record_ref)
    }

    /// An event in place, where its size and alignment allow.
    #[inline]
    pub fn event_ref(&self, index: u32) -> Option<&'a Event> {
        self.events.bytes(index).and_then(record_ref)
    }

    /// A buffer by its index.
    #[inline]
    pub fn buffer(&self, index: u32) -> Option<Buffer> {
        self.buffers.read(index)
    }

    /// A hit by its index.
    #[inline]
    pub fn hit(&self, index: u32) -> Option<Hit> {
        self.hits.read(index)
    }

    /// The bytes of a buffer; empty where they do not lie in the batch's data.
    #[inline]
    pub fn bytes(&self, buffer: &Buffer) -> &'a [u8] {
        let Some(at) = buffer.data_at.checked_sub(self.header.data_at) else { return &[] };
        let end = (at as usize).saturating_add(buffer.data_len as usize);
        self.data.get(at as usize..end).unwrap_or(&[])
    }

    /// Bytes of the arena before the slots; for tests.
    pub fn head_len(&self) -> usize {
        self.head.len()
    }
}

// A zeroed record is valid: `Pod` says so, `Zeroable` is what `record` leans on.
const _: fn() -> Batch = <Batch as Zeroable>::zeroed;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use proptest::prelude::*;

    /// Reads all there is, and a little beyond.
    fn read_all(reader: &BatchReader<'_>) -> usize {
        let h = *reader.header();
        let mut bytes = 0;
        for i in (0..h.events.min(64)).chain([h.events, u32::MAX]) {
            let _ = (reader.event(i), reader.event_ref(i), reader.flow(i), reader.flow_ref(i));
            let _ = reader.hit(i);
            bytes += reader.buffer(i).map_or(0, |b| reader.bytes(&b).len());
        }
        bytes
    }

    fn sane() -> Vec<u8> {
        let mut arena = vec![0u8; 1024];
        let batch = Batch {
            magic: MAGIC,
            abi: ABI,
            header_len: 128,
            flows: 1,
            flow_stride: 160,
            flows_at: 128,
            events: 2,
            event_stride: 64,
            events_at: 288,
            buffers: 1,
            buffer_stride: 32,
            buffers_at: 416,
            slots_at: 448,
            slots_len: 64,
            data_at: 512,
            data_len: 100,
            last: 2,
            ..Batch::zeroed()
        };
        let buffer = Buffer { data_at: 520, data_len: 10, ..Buffer::zeroed() };
        assert!(write_record(&mut arena, 0, &batch) && write_record(&mut arena, 416, &buffer));
        arena
    }

    #[test]
    fn a_sane_batch_reads() {
        let mut arena = sane();
        let reader = BatchReader::new(&arena).unwrap();
        assert!(reader.event(1).is_some() && reader.event(2).is_none());
        assert_eq!(reader.bytes(&reader.buffer(0).unwrap()).len(), 10);
        let (reader, slots, at) = BatchReader::split(&mut arena).unwrap();
        assert_eq!((slots.len(), at, read_all(&reader)), (64, 448, 10));
    }

    #[test]
    fn an_older_record_reads_as_zeros_behind_its_end() {
        let event: Event = record(&[7, 0, 0, 0, 5]);
        assert_eq!((event.flow, event.kind, event.at), (7, 5, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600)
        ) {
            if let Ok(reader) = BatchReader::new(&bytes) { read_all(&reader); }
            if let Ok((reader, _, _)) = BatchReader::split(&mut bytes) { read_all(&reader); }
        }

        #[test]
        fn a_spoilt_header_is_read_or_refused(
            spoils in proptest::collection::vec(
                (6usize..128, prop_oneof![any::<u8>(), Just(0xff)]),
                1..12,
            )
        ) {
            let mut arena = sane();
            for (at, byte) in spoils { arena[at] = byte; }
            if let Ok(reader) = BatchReader::new(&arena) { read_all(&reader); }
            if let Ok((reader, _, _)) = BatchReader::split(&mut arena) { read_all(&reader); }
        }
    }
}
