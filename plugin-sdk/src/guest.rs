//! The guest's side of the ABI: arenas, the batch loop, and publishing as it goes.

use crate::abi::{
    ABI, Batch, BatchReader, Done, EventKind, FlowRec, Init as InitRecord, Layout, MAGIC, NONE,
    Output, Verdict, record, write_record,
};
use crate::findings::Sums;
use crate::host::Host;
use crate::{Detector, EventView, Findings, Init};
use bytemuck::Zeroable;
use std::cell::RefCell;
use std::sync::atomic::{Ordering, compiler_fence};

/// Room for verdicts in one batch; the host's own limit is lower or equal.
const VERDICTS: u32 = 256;
/// Room for dones in one batch: an event may end its flow, so as many as a batch has events.
const DONES: u32 = 1024;
/// Room for text in one batch.
const TEXT: u32 = 16 * 1024;

const VERDICTS_AT: u32 = size::<Output>();
const DONES_AT: u32 = VERDICTS_AT + VERDICTS * size::<Verdict>();
const TEXT_AT: u32 = DONES_AT + DONES * size::<Done>();
const OUTPUT_LEN: u32 = TEXT_AT + TEXT;

#[allow(clippy::cast_possible_truncation, reason = "records are at most 160 bytes")]
const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// Words of an arena: 16 bytes each, so that records in it are aligned.
type Words = Vec<u128>;

fn arena(len: u32) -> Words {
    vec![0; (len as usize).div_ceil(16)]
}

/// The output arena.
pub(crate) struct Outbox {
    words: Words,
    head: Output,
}

/// Where the counts of [`Output`] lie, as words of 4 bytes.
#[derive(Clone, Copy)]
enum Count {
    Progress = 0,
    Verdicts = 1,
    Dones = 2,
    Text = 3,
    Lost = 4,
}

impl Outbox {
    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words)
    }

    /// Stores a count so that it is in memory before anything that comes after can fault.
    ///
    /// Justification: to the compiler nobody reads these words before the batch returns, so it may
    /// merge or move plain stores; the host reads them after a trap.
    #[inline]
    #[allow(unsafe_code, reason = "volatile stores that the host reads after a trap")]
    fn publish(&mut self, which: Count, value: u32) {
        compiler_fence(Ordering::Release);
        let words: &mut [u32] = bytemuck::cast_slice_mut(&mut self.words);
        if let Some(word) = words.get_mut(which as usize) {
            // SAFETY: `word` is a valid, exclusive reference to a `u32`.
            unsafe { std::ptr::write_volatile(word, value.to_le()) };
        }
        compiler_fence(Ordering::Release);
    }

    fn restart(&mut self, first: u32) {
        self.head = Output::zeroed();
        for count in [Count::Verdicts, Count::Dones, Count::Text, Count::Lost] {
            self.publish(count, 0);
        }
        self.publish(Count::Progress, first);
    }

    fn lose(&mut self) {
        self.head.lost = self.head.lost.saturating_add(1);
        let lost = self.head.lost;
        self.publish(Count::Lost, lost);
    }

    pub(crate) fn verdict(&mut self, verdict: &Verdict, limit: u32) {
        let n = self.head.verdicts;
        let at = (VERDICTS_AT as usize) + n as usize * size_of::<Verdict>();
        if n >= limit.min(VERDICTS) || !write_record(self.bytes(), at, verdict) {
            return self.lose();
        }
        self.head.verdicts = n + 1;
        self.publish(Count::Verdicts, n + 1);
    }

    pub(crate) fn done(&mut self, done: &Done) {
        let n = self.head.dones;
        let at = (DONES_AT as usize) + n as usize * size_of::<Done>();
        if n >= DONES || !write_record(self.bytes(), at, done) {
            return self.lose();
        }
        self.head.dones = n + 1;
        self.publish(Count::Dones, n + 1);
    }

    /// Puts text into the text area; answers where, or `None` where there is no room.
    pub(crate) fn text(&mut self, text: &[u8]) -> Option<u32> {
        let at = self.head.text;
        let end = u32::try_from(text.len()).ok().and_then(|n| at.checked_add(n))?;
        if end > TEXT {
            self.lose();
            return None;
        }
        let range = (TEXT_AT + at) as usize..(TEXT_AT + end) as usize;
        self.bytes().get_mut(range)?.copy_from_slice(text);
        self.head.text = end;
        self.publish(Count::Text, end);
        Some(at)
    }
}

/// A detector with its arenas. Natively it is an [`crate::abi::NativeGuest`]; in the sandbox the
/// macro keeps one in a static.
pub struct Guest<D> {
    detector: Option<D>,
    input: Words,
    outbox: Outbox,
    anomalies: Vec<Box<str>>,
}

impl<D: Detector> Default for Guest<D> {
    fn default() -> Self {
        Guest::new()
    }
}

impl<D: Detector> Guest<D> {
    /// Without arenas yet.
    pub const fn new() -> Self {
        let head =
            Output { progress: 0, verdicts: 0, dones: 0, text: 0, lost: 0, reserved: [0; 3] };
        let outbox = Outbox { words: Vec::new(), head };
        Guest { detector: None, input: Vec::new(), outbox, anomalies: Vec::new() }
    }

    fn make_arenas(&mut self, input_len: u32) -> Layout {
        self.input = arena(input_len);
        self.outbox.words = arena(OUTPUT_LEN);
        Layout {
            magic: MAGIC,
            abi: u32::from(ABI),
            input: 0,
            input_len,
            output: 0,
            output_len: OUTPUT_LEN,
            verdicts_at: VERDICTS_AT,
            verdict_stride: size::<Verdict>(),
            verdicts_max: VERDICTS,
            dones_at: DONES_AT,
            done_stride: size::<Done>(),
            dones_max: DONES,
            text_at: TEXT_AT,
            text_max: TEXT,
            reserved: [0; 2],
        }
    }

    fn start<'a>(&'a mut self, host: Host<'a>) -> i32 {
        let Guest { detector, input, anomalies, .. } = self;
        let arena: &[u8] = bytemuck::cast_slice(input);
        let init: InitRecord = record(arena);
        if init.magic != MAGIC || init.abi != u32::from(ABI) {
            return 1;
        }
        let text = |at: u32, len: u32| {
            let end = (at as usize).saturating_add(len as usize);
            arena.get(at as usize..end).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
        };
        let names = text(init.anomalies_at, init.anomalies_len);
        *anomalies = names.lines().map(Box::from).collect();
        *detector = Some(D::new(&Init {
            config: text(init.config_at, init.config_len),
            anomalies,
            seed: init.seed,
            gid: init.gid,
            flow_state: init.flow_state,
            host: RefCell::new(host),
        }));
        0
    }

    fn judge<'a>(&'a mut self, host: Host<'a>) {
        let Guest { detector: Some(detector), input, outbox, anomalies } = self else { return };
        let arena: &mut [u8] = bytemuck::cast_slice_mut(input);
        let Ok((reader, slots, slots_at)) = BatchReader::split(arena) else { return };
        let header = *reader.header();
        outbox.restart(header.first);
        let verdicts_max = header.verdicts_max;
        let mut out = Findings {
            outbox,
            host,
            slots,
            slot: (0, 0),
            event: 0,
            verdicts_max,
            sums: Sums::default(),
            is_profiled: header.flags & Batch::PROFILED != 0,
        };
        let nothing = FlowRec { slot: NONE, ..FlowRec::zeroed() };
        for index in header.first..header.last {
            out.outbox.publish(Count::Progress, index);
            let copy;
            let event = match reader.event_ref(index) {
                Some(event) => event,
                None => {
                    copy = reader.event(index).unwrap_or(Zeroable::zeroed());
                    &copy
                }
            };
            let flow_copy;
            let flow = match reader.flow_ref(event.flow) {
                Some(flow) => flow,
                None => {
                    flow_copy = reader.flow(event.flow).unwrap_or(nothing);
                    &flow_copy
                }
            };
            let slot = match flow.slot.checked_sub(slots_at) {
                Some(at) if flow.slot != NONE => (at as usize, flow.slot_len as usize),
                _ => (0, 0),
            };
            out.turn_to(index, slot);
            if event.kind == 0 {
                continue; // Taken back by the host: its flow made another instance fault.
            }
            match EventKind::from_number(event.kind) {
                Some(EventKind::Tick) => detector.on_tick(header.now, &mut out),
                Some(EventKind::EndOfInput) => detector.on_end(header.now, &mut out),
                _ => {
                    let now = header.now;
                    let view = EventView { reader: &reader, anomalies, event, flow, now, index };
                    detector.on_event(&view, &mut out);
                }
            }
        }
        out.outbox.publish(Count::Progress, header.last);
        out.tell_metrics();
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<D: Detector> crate::abi::NativeGuest for Guest<D> {
    fn layout(&mut self, input_len: u32) -> Layout {
        self.make_arenas(input_len)
    }

    fn init(&mut self, host: &mut dyn crate::abi::NativeHost) -> i32 {
        self.start(Host(host))
    }

    fn batch(&mut self, host: &mut dyn crate::abi::NativeHost) {
        self.judge(Host(host));
    }

    fn input(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.input)
    }

    fn output(&self) -> &[u8] {
        bytemuck::cast_slice(&self.outbox.words)
    }
}

/// The one guest of a sandboxed instance.
#[cfg(target_arch = "wasm32")]
pub struct Slot<D>(std::cell::UnsafeCell<(Guest<D>, Layout)>);

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "one thread, and the host never calls into a call")]
// SAFETY: a core module without the threads proposal has one thread.
unsafe impl<D> Sync for Slot<D> {}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "one thread, and the host never calls into a call")]
impl<D: Detector> Slot<D> {
    /// Empty.
    #[allow(clippy::new_without_default, reason = "made by the macro in a static only")]
    pub const fn new() -> Self {
        let layout = Layout {
            magic: MAGIC,
            abi: ABI as u32,
            input: 0,
            input_len: 0,
            output: 0,
            output_len: 0,
            verdicts_at: 0,
            verdict_stride: 0,
            verdicts_max: 0,
            dones_at: 0,
            done_stride: 0,
            dones_max: 0,
            text_at: 0,
            text_max: 0,
            reserved: [0; 2],
        };
        Slot(std::cell::UnsafeCell::new((Guest::new(), layout)))
    }

    #[allow(clippy::mut_from_ref, reason = "see the safety comment")]
    fn inner(&self) -> &mut (Guest<D>, Layout) {
        // SAFETY: one thread; the three exports do not call each other, no import calls back, and
        // a trapped instance is never entered again. So there is one reference at a time.
        unsafe { &mut *self.0.get() }
    }

    /// `portcullis_layout`.
    pub fn layout(&self, input_len: u32) -> u32 {
        let (guest, layout) = self.inner();
        *layout = guest.make_arenas(input_len);
        layout.input = guest.input.as_ptr() as u32;
        layout.output = guest.outbox.words.as_ptr() as u32;
        std::ptr::from_ref(layout) as u32
    }

    /// `portcullis_init`.
    pub fn init(&self) -> i32 {
        self.inner().0.start(Host(std::marker::PhantomData))
    }

    /// `portcullis_batch`.
    pub fn batch(&self) {
        self.inner().0.judge(Host(std::marker::PhantomData));
    }
}
