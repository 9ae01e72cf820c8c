//! The host functions for a natively compiled guest, which no linker confines: what is not asked
//! for or not granted answers `UNSUPPORTED`.

use crate::guest::GuestSide;
use crate::profile::Mark;
use portcullis_plugin_abi::{Call, KEY_MAX, NativeHost, Operation, TEXT_MAX, code};

/// One native guest's host functions.
pub(crate) struct NativeCalls<'a>(pub(crate) &'a mut GuestSide);

impl NativeHost for NativeCalls<'_> {
    fn bit(&mut self, table: u32, key: &[u8], operation: Operation) -> i32 {
        match self.0.refusal(Call::Bit, key.len(), KEY_MAX) {
            Some(code) => code,
            None => self.0.bit(table, key, operation),
        }
    }

    fn buffer_get(&mut self, event: u32, transaction: u32, kind: u16, index: u16) -> i32 {
        match self.0.refusal(Call::BufferGet, 0, 0) {
            Some(code) => code,
            None => self.0.buffer_get(event, (transaction, kind, index)),
        }
    }

    fn buffer_read(&mut self, handle: u32, offset: u32, to: &mut [u8]) -> i32 {
        match self.0.refusal(Call::BufferRead, 0, 0) {
            Some(code) => code,
            None => copied(self.0.buffer(handle, offset, to.len()), to),
        }
    }

    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        match self.0.refusal(Call::Count, key.len(), KEY_MAX) {
            Some(code) => code,
            None => self.0.count(table, key, window_ms),
        }
    }

    fn fuel(&mut self) -> u64 {
        match self.0.refusal(Call::Fuel, 0, 0) {
            Some(_) => 0,
            None => u64::MAX >> 1,
        }
    }

    fn log(&mut self, level: u32, text: &str) -> i32 {
        match self.0.refusal(Call::Log, text.len(), TEXT_MAX) {
            Some(code) => code,
            None => self.0.log(level, text.as_bytes()),
        }
    }

    fn metric(&mut self, index: u32, value: i64) -> i32 {
        match self.0.refusal(Call::Metric, 0, 0) {
            Some(code) => code,
            None => self.0.metric(index, value),
        }
    }

    fn pattern_set(&mut self, rows: &[u8]) -> i32 {
        match self.0.refusal(Call::PatternSet, 0, 0) {
            Some(code) => code,
            None => self.0.pattern_set(rows),
        }
    }

    fn profile(&mut self, rule: (u32, u32), pattern: u32, found: bool) -> i32 {
        match self.0.refusal(Call::Profile, 0, 0) {
            Some(code) => code,
            None => self.0.profile(Mark { rule, pattern, found }, 0, 0),
        }
    }

    fn random(&mut self) -> u64 {
        match self.0.refusal(Call::Random, 0, 0) {
            Some(_) => 0,
            None => self.0.random(),
        }
    }

    fn regex_match(&mut self, id: u32, handle: u32, from: u32) -> i64 {
        match self.0.refusal(Call::RegexMatch, 0, 0) {
            Some(code) => i64::from(code),
            None => self.0.regex_match(id, handle, from),
        }
    }

    fn regex_bytes(&mut self, id: u32, bytes: &[u8], from: u32) -> i64 {
        match self.0.refusal(Call::RegexBytes, 0, 0) {
            Some(code) => i64::from(code),
            None => self.0.regex_bytes(id, bytes, from),
        }
    }

    fn section_read(&mut self, name: &str, offset: u32, to: &mut [u8]) -> i32 {
        match self.0.refusal(Call::SectionRead, name.len(), KEY_MAX) {
            Some(code) => code,
            None => copied(self.0.section(name.as_bytes(), offset, to.len()), to),
        }
    }
}

fn copied(from: Result<&[u8], i32>, to: &mut [u8]) -> i32 {
    let from = match from {
        Ok(from) => from,
        Err(code) => return code,
    };
    match to.get_mut(..from.len()) {
        Some(to) => to.copy_from_slice(from),
        None => return code::OUT_OF_RANGE,
    }
    i32::try_from(from.len()).unwrap_or(i32::MAX)
}
