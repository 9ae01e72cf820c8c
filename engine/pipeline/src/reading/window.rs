//! The last stretch of one direction of a stream: what raw content is looked for in, so that it is
//! found across segments. It must never know what is looked for.

/// Bytes of a stream that are kept before the newest ones: no literal of a rule is longer, and
/// Suricata's inspection chunks are 2,560 bytes.
pub(crate) const WINDOW_BYTES: usize = 4_096;

/// Windows grow by this many bytes.
const STEP: usize = 2_048;

/// Bytes that a full window has room for beside what it keeps: what is kept is moved to the front
/// when these are used up, not with each segment. More would move less, and leave room for fewer
/// streams: windows count among the bytes of conversations.
const SLACK: usize = WINDOW_BYTES;

/// What one direction said last.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// What is kept, behind what is not any more.
    bytes: Vec<u8>,
    /// Where it begins.
    start: usize,
    /// Offset in the stream behind the last byte.
    end: u64,
}

impl Window {
    /// Adds the bytes at `offset`; what lay before a gap is forgotten. Says how many bytes of the
    /// window are older than these.
    pub(crate) fn push(&mut self, offset: u64, new: &[u8]) -> usize {
        if offset != self.end {
            self.bytes.clear();
            self.start = 0;
        }
        self.start = self.start.max(self.bytes.len().saturating_sub(WINDOW_BYTES));
        let from = self.bytes.len() - self.start;
        if self.bytes.len() + new.len() > self.bytes.capacity() {
            self.make_room(new.len());
        }
        self.bytes.extend_from_slice(new);
        self.end = offset + new.len() as u64;
        from
    }

    /// Room for that many bytes more: what is not kept goes, and what lacks then is added.
    fn make_room(&mut self, more: usize) {
        let gone = std::mem::take(&mut self.start);
        self.bytes.drain(..gone);
        // One that was full will be again.
        let (kept, slack) = (self.bytes.len(), if gone > 0 { SLACK } else { 0 });
        // Not twice as much as is needed, as it would be by itself: there are many windows.
        let wanted = (kept + more.max(slack)).next_multiple_of(STEP);
        self.bytes.reserve_exact(wanted - kept);
    }

    /// The byte at `offset` was taken out of the stream: those around it follow each other. Says
    /// whether it was the next one.
    pub(crate) fn skip(&mut self, offset: u64) -> bool {
        // Not `end += u64::from(next)`: rustc 1.95 (LLVM 22) folds two such calls in a row wrongly.
        if offset != self.end {
            return false;
        }
        self.end += 1;
        true
    }

    /// The window.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Offset in the stream of its first byte.
    pub(crate) fn offset(&self) -> u64 {
        self.end - self.bytes().len() as u64
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_stretch_and_forgets_at_gaps() {
        let mut window = Window::default();
        assert_eq!((window.push(0, b"abc"), window.bytes()), (0, &b"abc"[..]));
        assert_eq!((window.push(3, b"de"), window.bytes()), (3, &b"abcde"[..]));
        assert_eq!((window.push(9, b"x"), window.bytes(), window.offset()), (0, &b"x"[..], 9));
        assert!(window.skip(10) && !window.skip(10), "an urgent byte");
        assert_eq!((window.push(11, b"w"), window.bytes(), window.offset()), (1, &b"xw"[..], 10));
        let mut window = Window::default();
        assert_eq!(window.push(9, b"x"), 0);
        let long = vec![b'y'; 3 * WINDOW_BYTES];
        assert_eq!(window.push(10, &long), 1);
        assert_eq!(window.push(10 + long.len() as u64, b"z"), WINDOW_BYTES);
        assert_eq!(window.bytes().len(), WINDOW_BYTES + 1);
    }

    #[test]
    fn a_long_stream_is_shown_as_it_was_said() {
        let stream: Vec<u8> = (0..120_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut window, mut at) = (Window::default(), 0);
        for len in [1, 1460, 700, 1460, 5_000, 3].into_iter().cycle() {
            let Some(segment) = stream.get(at..at + len) else { break };
            let kept = window.bytes().len().min(WINDOW_BYTES);
            let before = window.push(at as u64, segment);
            assert_eq!(before, kept);
            at += len;
            assert_eq!(window.bytes(), &stream[at - len - before..at]);
            assert_eq!(window.offset(), (at - len - before) as u64);
            assert!(window.memory() <= WINDOW_BYTES + SLACK + 5_000 + STEP, "bounded");
        }
        assert!(at > 400_000);
    }
}
