//! A cursor over bytes of which every step may fail and none can panic. Must never know a
//! protocol.

/// What is left to read. A step that fails reads nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// All that is left, which stays left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u16_little(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32_little(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Bytes behind their length of one byte.
    pub(crate) fn short_vector(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u8()?;
        let taken = ahead.take(length.into())?;
        *self = ahead;
        Some(taken)
    }

    /// Bytes behind their length of two bytes.
    pub(crate) fn vector(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u16()?;
        let taken = ahead.take(length.into())?;
        *self = ahead;
        Some(taken)
    }

    /// Bytes behind their length of four bytes (SSH strings).
    pub(crate) fn long_vector(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = usize::try_from(ahead.u32()?).ok()?;
        let taken = ahead.take(length)?;
        *self = ahead;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn a_step_that_fails_reads_nothing() {
        let mut reader = Reader::new(&[0, 3, 1, 2]);
        assert_eq!(reader.vector(), None);
        assert_eq!(reader.u24(), Some(0x0301));
        assert_eq!(reader.u16(), None);
        assert_eq!(reader.u8(), Some(2));
        assert!(reader.is_empty() && reader.u8().is_none() && reader.take(0).is_some());
        assert_eq!(Reader::new(&[0, 0, 0, 1, 9, 8]).long_vector(), Some(&[9][..]));
        assert_eq!(Reader::new(&[2, 9, 8, 7]).short_vector(), Some(&[9, 8][..]));
    }
}
