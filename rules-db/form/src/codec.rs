//! Writing and reading the variable-length parts of a body. Reading is total.

use alloc::vec::Vec;

pub(crate) trait Write {
    fn byte(&mut self, v: u8);
    fn bytes(&mut self, v: &[u8]);

    fn u16(&mut self, v: u16) {
        self.bytes(&v.to_le_bytes());
    }
    fn u32(&mut self, v: u32) {
        self.bytes(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }
    /// A length and that many bytes; at most 65,535, the rest is cut.
    fn block(&mut self, v: &[u8]) {
        let len = u16::try_from(v.len()).unwrap_or(u16::MAX);
        self.u16(len);
        self.bytes(v.get(..usize::from(len)).unwrap_or(v));
    }
}

impl Write for Vec<u8> {
    fn byte(&mut self, v: u8) {
        self.push(v);
    }
    fn bytes(&mut self, v: &[u8]) {
        self.extend_from_slice(v);
    }
}

pub(crate) struct Read<'a>(pub(crate) &'a [u8]);

impl<'a> Read<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }
    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    pub(crate) fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    pub(crate) fn block(&mut self) -> Option<Vec<u8>> {
        let len = self.u16()?;
        Some(self.take(usize::from(len))?.to_vec())
    }
}
