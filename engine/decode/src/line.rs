//! Lines of protocols that speak in lines (SMTP, FTP), put together from pieces and cut at a
//! limit. Must never know a protocol.

/// The line of one direction that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: Vec<u8>,
    /// Bytes of the current line that were left out.
    lost: usize,
}

/// A line without its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    /// Whether its end was left out because it was too long.
    pub(crate) cut: bool,
}

impl Lines {
    /// Reads up to the next line feed and hands out the line; `None` when the bytes end before.
    /// A line that lies whole in the bytes is not copied.
    pub(crate) fn next<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
        max: usize,
    ) -> Option<Line<'a>> {
        let all = *bytes;
        let Some(at) = all.iter().position(|&byte| byte == b'\n') else {
            self.keep(all, max);
            *bytes = &[];
            return None;
        };
        let (line, rest) = all.split_at(at);
        *bytes = rest.get(1..).unwrap_or_default();
        if self.held.is_empty() && self.lost == 0 && line.len() <= max {
            return Some(Line { text: without_return(line), cut: false });
        }
        self.keep(line, max);
        Some(Line { text: without_return(&self.held), cut: self.lost > 0 })
    }

    /// The same, but a line that is too long is handed out in parts of `max` bytes, all but its
    /// last one marked as cut.
    pub(crate) fn next_part<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
        max: usize,
    ) -> Option<Line<'a>> {
        let all = *bytes;
        let room = max.saturating_sub(self.held.len());
        let near = all.get(..room.saturating_add(1).min(all.len())).unwrap_or_default();
        match near.iter().position(|&byte| byte == b'\n') {
            Some(_) => self.next(bytes, max),
            None if near.len() > room => {
                let (now, rest) = all.split_at(room);
                self.keep(now, max);
                *bytes = rest;
                Some(Line { text: &self.held, cut: true })
            }
            None => {
                self.keep(all, max);
                *bytes = &[];
                None
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], max: usize) {
        let room = max.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.lost += bytes.len() - room;
    }

    /// Forgets the line that was handed out.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.lost = 0;
    }

    pub(crate) fn memory(&self) -> usize {
        self.held.capacity()
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"one\r\n\ntwo two\nthree";
        for at in 0..=text.len() {
            let mut lines = Lines::default();
            let mut seen: Vec<(Vec<u8>, bool)> = Vec::new();
            for part in [&text[..at], &text[at..]] {
                let mut rest = part;
                while let Some(Line { text, cut }) = lines.next(&mut rest, 6) {
                    seen.push((text.to_vec(), cut));
                    lines.clear();
                }
            }
            let want = [(b"one".to_vec(), false), (vec![], false), (b"two tw".to_vec(), true)];
            assert_eq!(seen, want, "cut at {at}");
            assert!(lines.memory() > 0 && lines.held == b"three");
        }
    }
}
