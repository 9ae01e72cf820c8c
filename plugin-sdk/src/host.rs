//! The host functions, from either side of the border.
//!
//! In the sandbox each is an import, and one that a detector does not use is not imported at all
//! (hence plain functions here and no table of them). Natively they are a trait object.

use crate::abi::Operation;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) struct Host<'a>(pub(crate) &'a mut dyn crate::abi::NativeHost);

#[cfg(not(target_arch = "wasm32"))]
impl Host<'_> {
    pub(crate) fn bit(&mut self, table: u32, key: &[u8], operation: Operation) -> i32 {
        self.0.bit(table, key, operation)
    }
    pub(crate) fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        self.0.count(table, key, window_ms)
    }
    pub(crate) fn buffer_get(&mut self, event: u32, named: (u32, u16, u16)) -> i32 {
        self.0.buffer_get(event, named.0, named.1, named.2)
    }
    pub(crate) fn buffer_read(&mut self, handle: u32, offset: u32, to: &mut [u8]) -> i32 {
        self.0.buffer_read(handle, offset, to)
    }
    pub(crate) fn fuel(&mut self) -> u64 {
        self.0.fuel()
    }
    pub(crate) fn log(&mut self, level: u32, text: &str) -> i32 {
        self.0.log(level, text)
    }
    pub(crate) fn pattern_set(&mut self, rows: &[u8]) -> i32 {
        self.0.pattern_set(rows)
    }
    pub(crate) fn regex_match(&mut self, id: u32, handle: u32, from: u32) -> i64 {
        self.0.regex_match(id, handle, from)
    }
    pub(crate) fn regex_bytes(&mut self, id: u32, bytes: &[u8], from: u32) -> i64 {
        self.0.regex_bytes(id, bytes, from)
    }
    pub(crate) fn section_read(&mut self, name: &str, offset: u32, to: &mut [u8]) -> i32 {
        self.0.section_read(name, offset, to)
    }
    pub(crate) fn metric(&mut self, index: u32, value: i64) -> i32 {
        self.0.metric(index, value)
    }
    pub(crate) fn profile(&mut self, rule: (u32, u32), pattern: u32, found: bool) -> i32 {
        self.0.profile(rule, pattern, found)
    }
    pub(crate) fn random(&mut self) -> u64 {
        self.0.random()
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "imports from the host are unsafe by the language")]
mod imports {
    #[link(wasm_import_module = "portcullis_1")]
    unsafe extern "C" {
        pub(super) fn bit(table: u32, key: *const u8, len: usize, operation: u32) -> i32;
        pub(super) fn count(table: u32, key: *const u8, len: usize, window_ms: u32) -> i32;
        pub(super) fn buffer_get(event: u32, transaction: u32, kind: u32, index: u32) -> i32;
        pub(super) fn buffer_read(handle: u32, offset: u32, to: *mut u8, len: usize) -> i32;
        pub(super) fn fuel() -> u64;
        pub(super) fn log(level: u32, text: *const u8, len: usize) -> i32;
        pub(super) fn metric(index: u32, value: i64) -> i32;
        pub(super) fn pattern_set(rows: *const u8, len: usize) -> i32;
        pub(super) fn profile(gid: u32, sid: u32, pattern: u32, found: u32) -> i32;
        pub(super) fn random() -> u64;
        pub(super) fn regex_match(id: u32, handle: u32, from: u32) -> i64;
        pub(super) fn regex_bytes(id: u32, at: *const u8, len: usize, from: u32) -> i64;
        pub(super) fn section_read(
            name: *const u8,
            name_len: usize,
            offset: u32,
            to: *mut u8,
            len: usize,
        ) -> i32;
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) struct Host<'a>(pub(crate) std::marker::PhantomData<&'a mut ()>);

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "imports from the host are unsafe by the language")]
impl Host<'_> {
    pub(crate) fn bit(&mut self, table: u32, key: &[u8], operation: Operation) -> i32 {
        // SAFETY: the host reads the key during the call and keeps nothing.
        unsafe { imports::bit(table, key.as_ptr(), key.len(), u32::from(operation.number())) }
    }
    pub(crate) fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        // SAFETY: the host reads the key during the call and keeps nothing.
        unsafe { imports::count(table, key.as_ptr(), key.len(), window_ms) }
    }
    pub(crate) fn buffer_get(&mut self, event: u32, named: (u32, u16, u16)) -> i32 {
        let (transaction, kind, index) = named;
        // SAFETY: plain values.
        unsafe { imports::buffer_get(event, transaction, u32::from(kind), u32::from(index)) }
    }
    pub(crate) fn buffer_read(&mut self, handle: u32, offset: u32, to: &mut [u8]) -> i32 {
        // SAFETY: the host writes at most `len` bytes during the call and keeps nothing.
        unsafe { imports::buffer_read(handle, offset, to.as_mut_ptr(), to.len()) }
    }
    pub(crate) fn fuel(&mut self) -> u64 {
        // SAFETY: plain values.
        unsafe { imports::fuel() }
    }
    pub(crate) fn pattern_set(&mut self, rows: &[u8]) -> i32 {
        // SAFETY: the host reads the rows during the call and keeps nothing of this memory.
        unsafe { imports::pattern_set(rows.as_ptr(), rows.len()) }
    }
    pub(crate) fn regex_match(&mut self, id: u32, handle: u32, from: u32) -> i64 {
        // SAFETY: plain values.
        unsafe { imports::regex_match(id, handle, from) }
    }
    pub(crate) fn regex_bytes(&mut self, id: u32, bytes: &[u8], from: u32) -> i64 {
        // SAFETY: the host reads the bytes during the call and keeps nothing.
        unsafe { imports::regex_bytes(id, bytes.as_ptr(), bytes.len(), from) }
    }
    pub(crate) fn section_read(&mut self, name: &str, offset: u32, to: &mut [u8]) -> i32 {
        let (at, len) = (to.as_mut_ptr(), to.len());
        // SAFETY: the host reads the name and writes at most `len` bytes during the call.
        unsafe { imports::section_read(name.as_ptr(), name.len(), offset, at, len) }
    }
    pub(crate) fn log(&mut self, level: u32, text: &str) -> i32 {
        // SAFETY: the host reads the text during the call and keeps nothing.
        unsafe { imports::log(level, text.as_ptr(), text.len()) }
    }
    pub(crate) fn metric(&mut self, index: u32, value: i64) -> i32 {
        // SAFETY: plain values.
        unsafe { imports::metric(index, value) }
    }
    pub(crate) fn profile(&mut self, rule: (u32, u32), pattern: u32, found: bool) -> i32 {
        // SAFETY: plain values.
        unsafe { imports::profile(rule.0, rule.1, pattern, u32::from(found)) }
    }
    pub(crate) fn random(&mut self) -> u64 {
        // SAFETY: plain values.
        unsafe { imports::random() }
    }
}
