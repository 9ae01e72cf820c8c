//! The pcapng format: blocks of a type, a length, a body and the length again.
//!
//! ```text
//! block     type(4) length(4) body(length - 12) length(4)
//! section   0a0d0d0a: byte-order magic(4) version(4) section length(8)   resets the interfaces
//! interface        1: link type(2) 0(2) snap length(4) options
//! packet           2: interface(2) drops(2) time(8) captured(4) on the wire(4) frame   (obsolete)
//! simple           3: on the wire(4) frame              interface 0, no time
//! enhanced         6: interface(4) time(8) captured(4) on the wire(4) frame options
//! ```
//! Every other block is skipped: names, statistics, keys and vendors' own.

use super::format::{FRAME_BYTES_MAX, Order, RecordAt, Step, WINDOW_BYTES_MAX};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// A block without a body.
const BLOCK_BYTES_MIN: u32 = 12;
/// Where a packet block's frame starts, and what remains behind it at least.
const FRAME_OFFSET: usize = 28;
const SIMPLE_FRAME_OFFSET: usize = 12;
const TRAILER_BYTES: usize = 4;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// Interfaces remembered per section. A tap of a whole data centre has hundreds; frames of
/// interfaces beyond are refused and counted as having no interface.
const INTERFACES_MAX: usize = 4_096;

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// Multiply by this: units of a nanosecond or more.
    Times(u64),
    /// Divide by this: units shorter than a nanosecond.
    Per(u64),
    /// Units of 2^-n seconds.
    Binary(u32),
}

impl Resolution {
    /// From the option's byte: the high bit chooses powers of two.
    fn from_option(value: u8) -> Resolution {
        let exponent = u32::from(value & 0x7f);
        if value & 0x80 != 0 {
            return Resolution::Binary(exponent);
        }
        match exponent.checked_sub(9) {
            Some(finer) => Resolution::Per(10_u64.saturating_pow(finer).max(1)),
            None => Resolution::Times(10_u64.saturating_pow(9 - exponent)),
        }
    }

    fn nanoseconds(self, units: u64) -> u64 {
        match self {
            Resolution::Times(factor) => units.saturating_mul(factor),
            Resolution::Per(divisor) => units / divisor,
            Resolution::Binary(exponent) => {
                let scaled = (u128::from(units) * 1_000_000_000) >> exponent;
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    /// 0 means no limit.
    snap_len: u32,
    resolution: Resolution,
    offset_seconds: i64,
}

impl Interface {
    fn at_ns(&self, units: u64) -> u64 {
        let ns = self.resolution.nanoseconds(units);
        let offset = self.offset_seconds.unsigned_abs().saturating_mul(1_000_000_000);
        match self.offset_seconds {
            0.. => ns.saturating_add(offset),
            _ => ns.saturating_sub(offset),
        }
    }
}

/// The reader's state: the section's byte order and its interfaces.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Pcapng {
    pub(super) fn recognises(head: &[u8]) -> bool {
        head.first_chunk() == Some(&SECTION.to_be_bytes()) && section_order(head).is_some()
    }

    pub(super) fn new() -> Pcapng {
        Pcapng { order: Order::Little, interfaces: Vec::new() }
    }

    #[inline]
    pub(super) fn step(&mut self, window: &[u8]) -> Step {
        let Some(kind) = self.order.u32_at(window, 0) else { return Step::More { bytes: 12 } };
        // A section may change the byte order; its type reads the same in both.
        if kind == SECTION {
            match section_order(window) {
                Some(order) => self.order = order,
                None if window.len() < 12 => return Step::More { bytes: 12 },
                None => return Step::Damaged("a section has no byte-order magic"),
            }
        }
        let Some(stated) = self.order.u32_at(window, 4) else { return Step::More { bytes: 12 } };
        if stated < BLOCK_BYTES_MIN {
            return Step::Damaged("a block is shorter than its own header");
        }
        // Writers that forget the padding exist; blocks start on multiples of four all the same.
        let length = (u64::from(stated) + 3) & !3;
        match kind {
            ENHANCED | PACKET => self.packet(window, kind, length),
            SIMPLE => self.simple(window, length),
            SECTION => {
                self.interfaces.clear();
                Step::Skip { length }
            }
            INTERFACE => self.interface(window, length),
            _ => Step::Skip { length },
        }
    }

    #[inline]
    fn packet(&self, window: &[u8], kind: u32, length: u64) -> Step {
        let Some(header) = window.first_chunk::<FRAME_OFFSET>() else {
            return Step::More { bytes: FRAME_OFFSET };
        };
        let word = |offset| self.order.u32_at(header, offset).unwrap_or(0);
        let (len, wire_len) = (word(20), word(24));
        if FRAME_OFFSET as u64 + u64::from(len) + TRAILER_BYTES as u64 > length {
            return Step::Damaged("a packet block is shorter than its frame");
        }
        if len > FRAME_BYTES_MAX {
            return Step::Oversized { length };
        }
        if let Some(step) = self.unfit(window, length, FRAME_OFFSET + len as usize) {
            return step;
        }
        let number = match kind {
            PACKET => self.order.u16_at(header, 8).map_or(0, usize::from),
            _ => word(8) as usize,
        };
        let interface = self.interfaces.get(number);
        let units = (u64::from(word(12)) << 32) | u64::from(word(16));
        let record = RecordAt {
            offset: FRAME_OFFSET,
            len,
            wire_len: wire_len.max(len),
            at_ns: interface.map(|i| i.at_ns(units)),
            link_type: interface.map(|i| i.link_type),
        };
        Step::Frame { record, length }
    }

    fn simple(&self, window: &[u8], length: u64) -> Step {
        let Some(wire_len) = self.order.u32_at(window, 8) else {
            return Step::More { bytes: SIMPLE_FRAME_OFFSET };
        };
        let Some(room) = length.checked_sub((SIMPLE_FRAME_OFFSET + TRAILER_BYTES) as u64) else {
            return Step::Damaged("a simple packet block is shorter than its own header");
        };
        let interface = self.interfaces.first();
        let snap = interface.map_or(0, |i| i.snap_len);
        let snapped = if snap == 0 { wire_len } else { wire_len.min(snap) };
        let len = snapped.min(u32::try_from(room).unwrap_or(u32::MAX));
        if len > FRAME_BYTES_MAX {
            return Step::Oversized { length };
        }
        if let Some(step) = self.unfit(window, length, SIMPLE_FRAME_OFFSET + len as usize) {
            return step;
        }
        let record = RecordAt {
            offset: SIMPLE_FRAME_OFFSET,
            len,
            wire_len,
            at_ns: None,
            link_type: interface.map(|i| i.link_type),
        };
        Step::Frame { record, length }
    }

    fn interface(&mut self, window: &[u8], length: u64) -> Step {
        if let Some(step) = self.unfit(window, length, 20) {
            return step;
        }
        let (Some(link_type), Some(snap_len)) =
            (self.order.u16_at(window, 8), self.order.u32_at(window, 12))
        else {
            return Step::Damaged("an interface block is shorter than its own header");
        };
        let mut interface = Interface {
            link_type: u32::from(link_type),
            snap_len,
            resolution: Resolution::Times(1_000),
            offset_seconds: 0,
        };
        let end = usize::try_from(length).unwrap_or(usize::MAX).min(window.len());
        self.options(window.get(16..end.saturating_sub(TRAILER_BYTES)), &mut interface);
        if self.interfaces.len() < INTERFACES_MAX {
            self.interfaces.push(interface);
        }
        Step::Skip { length }
    }

    /// Reads what changes the clock; a broken option ends the list.
    fn options(&self, options: Option<&[u8]>, interface: &mut Interface) {
        let mut rest = options.unwrap_or_default();
        while let (Some(code), Some(len)) = (self.order.u16_at(rest, 0), self.order.u16_at(rest, 2))
        {
            let len = usize::from(len);
            let Some(value) = rest.get(4..4 + len) else { return };
            match (code, value) {
                (OPTION_END, _) => return,
                (OPTION_TSRESOL, [resolution]) => {
                    interface.resolution = Resolution::from_option(*resolution);
                }
                (OPTION_TSOFFSET, value) => {
                    if let Some(bytes) = value.first_chunk::<8>() {
                        interface.offset_seconds = match self.order {
                            Order::Big => i64::from_be_bytes(*bytes),
                            Order::Little => i64::from_le_bytes(*bytes),
                        };
                    }
                }
                _ => {}
            }
            rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    /// Why the block cannot be read yet, or ever: it wants `needed` bytes in view, all of them
    /// where the whole block fits a window, and both of its lengths equal.
    #[inline]
    fn unfit(&self, window: &[u8], length: u64, needed: usize) -> Option<Step> {
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = if whole <= WINDOW_BYTES_MAX { whole } else { needed };
        if window.len() < bytes {
            return Some(Step::More { bytes });
        }
        if bytes == whole
            && self.order.u32_at(window, whole - TRAILER_BYTES) != self.order.u32_at(window, 4)
        {
            return Some(Step::Damaged("a block's two lengths differ"));
        }
        None
    }
}

/// The byte order of a section header that starts at the window's start.
fn section_order(window: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big]
        .into_iter()
        .find(|order| order.u32_at(window, 8) == Some(BYTE_ORDER_MAGIC))
}
