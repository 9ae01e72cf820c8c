//! Exports of a guest, imports of a host, what each import costs, and the same border natively.

use crate::Layout;

/// The module that host functions are imported from; it carries the major version.
pub const MODULE: &str = "portcullis_1";

/// The exports that a guest must have.
pub mod export {
    /// The linear memory.
    pub const MEMORY: &str = "memory";
    /// `(input_len: i32) -> i32`: makes the arenas; answers the address of a [`crate::Layout`].
    pub const LAYOUT: &str = "portcullis_layout";
    /// `() -> i32`: reads [`crate::Init`], makes the detector; 0 or a code of the guest's own.
    pub const INIT: &str = "portcullis_init";
    /// `() -> ()`: judges the events of the batch in the input arena.
    pub const BATCH: &str = "portcullis_batch";
}

/// Answers of host functions that are not values. All are negative.
pub mod code {
    /// This host does not have it yet; do without.
    pub const UNSUPPORTED: i32 = -1;
    /// There is no such thing.
    pub const NOT_FOUND: i32 = -2;
    /// A pointer, a length or an offset lies outside of what it is about.
    pub const OUT_OF_RANGE: i32 = -3;
    /// This plugin's quota is used up.
    pub const QUOTA: i32 = -4;
    /// Only allowed during init.
    pub const TOO_LATE: i32 = -5;
    /// A key is longer than [`crate::KEY_MAX`], or a message than its limit.
    pub const TOO_LONG: i32 = -6;
    /// Another instance of this plugin gave other patterns, or they come from its section.
    pub const CONFLICT: i32 = -7;
    /// The regex does not match.
    pub const NO_MATCH: i32 = -8;
    /// The regex was given up at its step limit; what it would have said is not known.
    pub const GAVE_UP: i32 = -9;
}

/// What a host function costs, in units of fuel: what the same work would about cost as guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallCost {
    /// For the call.
    pub base: u64,
    /// For each byte that the host reads or writes on the guest's behalf.
    pub per_byte: u64,
}

/// A host function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Call {
    /// `bit(table: i32, key: i32, key_len: i32, operation: i32) -> i32`: 0 or 1 as it was before.
    Bit,
    /// `buffer_get(event: i32, transaction: i32, kind: i32, index: i32) -> i32`: the handle of the
    /// latest such buffer that this batch shows of the event's flow, up to the event.
    BufferGet,
    /// `buffer_read(handle: i32, offset: i32, to: i32, len: i32) -> i32`: bytes read.
    BufferRead,
    /// `count(table: i32, key: i32, key_len: i32, window_ms: i32) -> i32`: the count with this one.
    Count,
    /// `fuel() -> i64`: what is left of the budget of this call into the guest; the cost meter.
    Fuel,
    /// `log(level: i32, text: i32, len: i32) -> i32`: 0. Limited per second; the rest is counted.
    Log,
    /// `metric(index: i32, value: i64) -> i32`: adds to the manifest's metric of that index.
    Metric,
    /// `pattern_set(at: i32, len: i32) -> i32`: rows of [`crate::PatternRow`]; how many. Init only,
    /// once, and the same rows in every instance.
    PatternSet,
    /// `profile(gid: i32, sid: i32, pattern: i32, found: i32) -> i32`: what was spent since the
    /// last such call, or since the batch began, was spent on that rule (sid 0: on none), which was
    /// tried because of that pattern (-1: of none) and matched (1) or not (0). The host measures;
    /// in a batch that is not [`crate::Batch::PROFILED`] it does nothing.
    Profile,
    /// `random() -> i64`: from the seed, so that a replay is exact.
    Random,
    /// `regex_match(id: i32, handle: i32, from: i32) -> i64`: the leftmost match that begins at
    /// `from` or later: its start in the high half, its end in the low half; else a code. It sees
    /// the whole buffer, and charges for the bytes behind `from`.
    RegexMatch,
    /// `section_read(name: i32, name_len: i32, offset: i32, to: i32, len: i32) -> i32`: bytes read.
    SectionRead,
    /// `regex_bytes(id: i32, at: i32, len: i32, from: i32) -> i64`: as `regex_match`, on bytes of
    /// the guest's own memory; charges for those behind `from`.
    RegexBytes,
}

/// The published table: name, capability that the manifest must ask for, cost.
///
/// A unit is one WebAssembly instruction, about 0.05–0.3 ns. The bases cover the border crossing
/// and the work behind it (a shared counter is one or two cache misses); a byte copied costs a
/// quarter of a nanosecond at worst, hence one unit. `buffer_get` counts the buffers that it looks
/// through instead of bytes. A new call is a new row behind the others: a host that has it not
/// refuses a plugin that imports it.
pub const CALLS: [(Call, &str, &str, CallCost); 13] = [
    (Call::Bit, "bit", "bit", CallCost { base: 300, per_byte: 2 }),
    (Call::BufferGet, "buffer_get", "buffer", CallCost { base: 100, per_byte: 1 }),
    (Call::BufferRead, "buffer_read", "buffer", CallCost { base: 100, per_byte: 1 }),
    (Call::Count, "count", "count", CallCost { base: 300, per_byte: 2 }),
    (Call::Fuel, "fuel", "fuel", CallCost { base: 20, per_byte: 0 }),
    (Call::Log, "log", "log", CallCost { base: 500, per_byte: 4 }),
    (Call::Metric, "metric", "metric", CallCost { base: 50, per_byte: 0 }),
    (Call::PatternSet, "pattern_set", "pattern", CallCost { base: 1_000, per_byte: 4 }),
    (Call::Profile, "profile", "profile", CallCost { base: 50, per_byte: 0 }),
    (Call::Random, "random", "random", CallCost { base: 50, per_byte: 0 }),
    (Call::RegexMatch, "regex_match", "regex", CallCost { base: 1_000, per_byte: 16 }),
    (Call::SectionRead, "section_read", "section", CallCost { base: 100, per_byte: 1 }),
    (Call::RegexBytes, "regex_bytes", "regex", CallCost { base: 1_000, per_byte: 16 }),
];

impl Call {
    /// Its row of [`CALLS`].
    #[inline]
    pub fn row(self) -> &'static (Call, &'static str, &'static str, CallCost) {
        &CALLS[self as usize]
    }

    /// What it costs.
    #[inline]
    pub fn cost(self) -> CallCost {
        self.row().3
    }

    /// From the name that it is imported by.
    pub fn named(name: &str) -> Option<Call> {
        CALLS.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// The host functions as a natively compiled detector calls them.
pub trait NativeHost {
    /// See [`Call::Bit`].
    fn bit(&mut self, table: u32, key: &[u8], operation: crate::Operation) -> i32;
    /// See [`Call::Count`].
    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32;
    /// See [`Call::BufferGet`].
    fn buffer_get(&mut self, event: u32, transaction: u32, kind: u16, index: u16) -> i32;
    /// See [`Call::BufferRead`].
    fn buffer_read(&mut self, handle: u32, offset: u32, to: &mut [u8]) -> i32;
    /// See [`Call::Fuel`]; natively there is no end to it.
    fn fuel(&mut self) -> u64;
    /// See [`Call::Log`].
    fn log(&mut self, level: u32, text: &str) -> i32;
    /// See [`Call::Metric`].
    fn metric(&mut self, index: u32, value: i64) -> i32;
    /// See [`Call::PatternSet`].
    fn pattern_set(&mut self, rows: &[u8]) -> i32;
    /// See [`Call::Profile`].
    fn profile(&mut self, rule: (u32, u32), pattern: u32, found: bool) -> i32;
    /// See [`Call::Random`].
    fn random(&mut self) -> u64;
    /// See [`Call::RegexMatch`].
    fn regex_match(&mut self, id: u32, handle: u32, from: u32) -> i64;
    /// See [`Call::RegexBytes`].
    fn regex_bytes(&mut self, id: u32, bytes: &[u8], from: u32) -> i64;
    /// See [`Call::SectionRead`].
    fn section_read(&mut self, name: &str, offset: u32, to: &mut [u8]) -> i32;
}

/// A detector compiled natively, behind the same records as a sandboxed one. For tests and for the
/// bench of what the sandbox costs; it runs unconfined.
pub trait NativeGuest: Send {
    /// Makes the arenas. The addresses in the answer mean nothing; lengths and places do.
    fn layout(&mut self, input_len: u32) -> Layout;
    /// Reads `Init` from the input arena; 0 or a code of the guest's own.
    fn init(&mut self, host: &mut dyn NativeHost) -> i32;
    /// Judges the events of the batch in the input arena.
    fn batch(&mut self, host: &mut dyn NativeHost);
    /// The input arena.
    fn input(&mut self) -> &mut [u8];
    /// The output arena.
    fn output(&self) -> &[u8];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_numbers() {
        for (i, row) in CALLS.iter().enumerate() {
            assert_eq!((row.0 as usize, Call::named(row.1)), (i, Some(row.0)));
        }
    }
}
