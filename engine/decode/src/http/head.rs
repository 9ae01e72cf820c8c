//! Start lines and header lines of a message: where they end, and the fields in them. Must never
//! know what a field means.

use super::lines::{
    Ending, LineEnd, chomp, content_length, is_folding, is_lws, is_space, is_token, line_end, trim,
    without_nul,
};
use super::sheet::Sheet;
use crate::conversation::Direction;
use crate::events::app_event::*;
use crate::limits::Limits;
use crate::output::Output;
use std::ops::Range;

/// Bytes of a first line without an end after which it is a body without a head.
const BODY_LINE: usize = 4096;
/// Repetitions of a field that are joined to the first one.
const REPEATS_MAX: u16 = 64;
/// Bytes of a folded field.
const FOLDED_MAX: usize = 2 << 10;

/// What a head waits for or became.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeadStep {
    /// More bytes.
    More,
    /// The first line is complete; call again with nothing for the rest.
    FirstLine,
    /// It is complete and ends here.
    Done(usize),
    /// It is no head: a body starts at its first byte.
    Body,
    /// A request without a version that no field follows (HTTP/0.9): its line ends here.
    Old(usize),
    /// A limit was reached; what was read so far ends here.
    TooLong(usize),
    /// More fields than the limit.
    TooMany(usize),
}

/// What a complete line in the place of the first one is.
enum FirstLine {
    Taken,
    /// Nothing: the next one may be it.
    Ignored,
    /// The byte behind it tells.
    Unknown,
    Body,
}

/// A line of white space is ignored. One that is no status line is the start of a body, unless
/// what could be a status line follows.
fn first_line(text: &[u8], next: Option<&u8>, response: bool) -> FirstLine {
    if text.iter().all(|&b| is_space(b)) {
        return FirstLine::Ignored;
    }
    if !response || !no_status_line(text) {
        return FirstLine::Taken;
    }
    match next {
        None => FirstLine::Unknown,
        Some(b'H' | b'h') => FirstLine::Ignored,
        Some(_) => FirstLine::Body,
    }
}

/// Bytes of a head that is being gathered, and its lines.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) raw: Vec<u8>,
    /// Start and end of each line, the first line too.
    pub(super) lines: Vec<Range<usize>>,
    line: usize,
    seen: usize,
    trailer: bool,
    told: bool,
}

impl Head {
    pub(super) fn start(&mut self, trailer: bool) {
        self.raw.clear();
        self.lines.clear();
        (self.line, self.seen, self.trailer, self.told) = (0, 0, trailer, false);
    }

    /// Looks at what was gathered; call again after more bytes were added.
    pub(super) fn step(&mut self, direction: Direction, limits: &Limits) -> HeadStep {
        let response = direction == Direction::ToClient;
        let end = if response { LineEnd::LfOrCr } else { LineEnd::Lf };
        loop {
            if !self.trailer && !self.told && !self.lines.is_empty() {
                self.told = true;
                return HeadStep::FirstLine;
            }
            let first = !self.trailer && self.lines.is_empty();
            let (to, found) = match line_end(&self.raw, self.line, self.seen, end) {
                Ending::At(to) => (to, true),
                Ending::Unknown(seen) => {
                    self.seen = seen;
                    (self.raw.len(), false)
                }
            };
            let length = to - self.line;
            let text = self.raw.get(self.line..to).unwrap_or_default();
            if first
                && response
                && length > BODY_LINE.min(limits.line_bytes)
                && no_status_line(text)
            {
                return HeadStep::Body;
            }
            if length > limits.line_bytes || to > limits.header_bytes {
                let cut = (self.line + limits.line_bytes).min(limits.header_bytes).max(self.line);
                self.lines.push(self.line..cut);
                self.line = cut;
                return HeadStep::TooLong(cut);
            }
            if !found {
                return HeadStep::More;
            }
            if first {
                match first_line(text, self.raw.get(to), response) {
                    FirstLine::Taken => {}
                    FirstLine::Ignored => {
                        self.raw.drain(..to);
                        (self.line, self.seen) = (0, 0);
                        continue;
                    }
                    FirstLine::Unknown => return HeadStep::More,
                    FirstLine::Body => return HeadStep::Body,
                }
            } else if matches!(text, b"\n" | b"\r\n") || (text == b"\r\r\n" && self.ends_bare()) {
                return HeadStep::Done(to);
            } else if matches!(text, [space, b'\n'] if is_lws(*space)) {
                match self.raw.get(to) {
                    None => return HeadStep::More,
                    Some(b'\n') => {}
                    Some(_) => return HeadStep::Done(to),
                }
            }
            if self.lines.len() > limits.headers {
                return HeadStep::TooMany(self.line);
            }
            self.lines.push(self.line..to);
            (self.line, self.seen) = (to, to);
            if let (false, false, [first, second]) = (self.trailer, response, &*self.lines)
                && self.is_old(first)
                && !self.is_field(second)
            {
                return HeadStep::Old(first.end);
            }
        }
    }

    /// The line before ended with LF alone.
    pub(super) fn ends_bare(&self) -> bool {
        let line = self.lines.last().and_then(|line| self.raw.get(line.clone()));
        line.is_some_and(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n"))
    }

    /// Whether a request line has no version.
    fn is_old(&self, line: &Range<usize>) -> bool {
        let text = self.raw.get(line.clone()).unwrap_or_default();
        super::request::split_line(chomp(text)).is_old()
    }

    /// Whether a line could be a field.
    fn is_field(&self, line: &Range<usize>) -> bool {
        let text = self.raw.get(line.clone()).unwrap_or_default();
        let colon = text.iter().position(|&b| b == b':');
        colon.is_some_and(|at| text.iter().take(at).all(|&b| is_token(b)))
    }

    /// What was gathered when the stream ended is all there is.
    pub(super) fn finish(&mut self) -> usize {
        if self.line < self.raw.len() {
            self.lines.push(self.line..self.raw.len());
        }
        self.raw.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.raw.capacity() + self.lines.capacity() * size_of::<Range<usize>>()
    }
}

/// Whether browsers take this first line of a response for the start of a body.
pub(super) fn no_status_line(line: &[u8]) -> bool {
    let from = line.iter().position(|&b| !is_space(b) && b != 0).unwrap_or(line.len());
    !line.get(from..from + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"http"))
}

/// A header field: ranges of the sheet's bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    /// How often its name came again.
    pub(super) repeats: u16,
    /// It is a length that came again as another one.
    pub(super) ambiguous: bool,
    /// There are NUL bytes in its name.
    nul: bool,
    /// The bytes between name and value are `: `, and those behind it CRLF.
    pub(super) canonical: bool,
}

/// Reads fields out of lines of a sheet's bytes.
pub(super) struct Fields<'a> {
    pub(super) direction: Direction,
    /// The message's version is 1.1.
    pub(super) modern: bool,
    pub(super) transaction: u32,
    pub(super) sheet: &'a mut Sheet,
    pub(super) fields: &'a mut Vec<Field>,
}

impl Fields<'_> {
    fn pick(&self, request: u16, response: u16) -> u16 {
        if self.direction == Direction::ToServer { request } else { response }
    }

    /// Reads all lines; folded ones are joined to the field before.
    pub(super) fn read(&mut self, lines: &[Range<usize>], out: &mut Output) {
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let mut text = self.content(line);
            if text.is_empty() {
                // Nothing but line ends that are not quite one.
                at += 1;
                continue;
            }
            let folded = self.sheet.slice(&text).first().is_some_and(|&b| is_folding(b));
            if folded {
                let event = self
                    .pick(HTTP_INVALID_REQUEST_FIELD_FOLDING, HTTP_INVALID_RESPONSE_FIELD_FOLDING);
                self.sheet.event(event, self.transaction, out);
                let skip = self.sheet.slice(&text).iter().position(|&b| !is_folding(b));
                text.start += skip.unwrap_or(0);
            }
            at += 1;
            let mut joined: Option<usize> = None;
            while let Some(next) = lines.get(at).map(|line| self.content(line)) {
                if !self.sheet.slice(&next).first().is_some_and(|&b| is_folding(b)) {
                    break;
                }
                if self.splits(&text, &next) {
                    break;
                }
                let start = joined.unwrap_or_else(|| self.copy(&text));
                joined = Some(start);
                if self.sheet.bytes.len() - start < FOLDED_MAX {
                    self.copy(&next);
                }
                text = start..self.sheet.bytes.len();
                at += 1;
            }
            self.field(&text, out);
        }
    }

    /// A folded line of HTTP/1.1 that has a colon is a field of its own for some receivers.
    fn splits(&self, text: &Range<usize>, next: &Range<usize>) -> bool {
        self.direction == Direction::ToClient
            && self.modern
            && self.sheet.slice(text).contains(&b':')
            && self.sheet.slice(next).contains(&b':')
    }

    /// A line without its end and without what an odd end left at its start.
    fn content(&self, line: &Range<usize>) -> Range<usize> {
        let text = self.sheet.slice(line);
        let end = line.start + chomp(text).len();
        let skip = text.iter().take_while(|&&b| b == b'\r').count();
        (line.start + skip).min(end)..end
    }

    fn copy(&mut self, range: &Range<usize>) -> usize {
        let start = self.sheet.bytes.len();
        self.sheet.bytes.extend_from_within(range.clone());
        start
    }

    /// Reads one field.
    fn field(&mut self, text: &Range<usize>, out: &mut Output) {
        let request = self.direction == Direction::ToServer;
        let bytes = self.sheet.slice(text);
        let colon = bytes.iter().position(|&b| b == b':' || (request && b == 0));
        let colon = colon.filter(|&at| bytes.get(at) == Some(&b':'));
        let Some(colon) = colon else {
            let event =
                self.pick(HTTP_REQUEST_FIELD_MISSING_COLON, HTTP_RESPONSE_FIELD_MISSING_COLON);
            self.sheet.event(event, self.transaction, out);
            self.insert(text.start..text.start, text.clone(), out);
            return;
        };
        let name = bytes.get(..colon).unwrap_or_default();
        let name_end = name.iter().rposition(|&b| !is_space(b)).map_or(0, |at| at + 1);
        let token = name_end == colon && name_end > 0 && name.iter().all(|&b| is_token(b));
        let value = bytes.get(colon + 1..).unwrap_or_default();
        let from = value.iter().position(|&b| !is_lws(b)).unwrap_or(value.len());
        let value = value.get(from..).unwrap_or_default();
        let value = match value.iter().position(|&b| b == 0) {
            Some(nul) if request => value.get(..nul).unwrap_or_default(),
            _ => value,
        };
        let length = value.iter().rposition(|&b| !is_lws(b)).map_or(0, |at| at + 1);
        let start = text.start + colon + 1 + from;
        if !token {
            let event = self.pick(HTTP_REQUEST_HEADER_INVALID, HTTP_RESPONSE_HEADER_INVALID);
            self.sheet.event(event, self.transaction, out);
        }
        self.insert(text.start..text.start + name_end, start..start + length, out);
    }

    /// Adds a field, or joins its value to the one of the same name.
    fn insert(&mut self, name: Range<usize>, value: Range<usize>, out: &mut Output) {
        let wanted = self.sheet.slice(&name);
        let same = |field: &Field| self.sheet.slice(&field.name).eq_ignore_ascii_case(wanted);
        let Some(at) = self.fields.iter().position(same) else {
            let gap = self.sheet.slice(&(name.end..value.start));
            let behind = self.sheet.slice(&(value.end..value.end + 2));
            let canonical = gap == b": " && behind == b"\r\n";
            let nul = self.sheet.slice(&name).contains(&0);
            self.fields.push(Field { name, value, repeats: 0, ambiguous: false, nul, canonical });
            return;
        };
        let length = self.sheet.slice(&name).eq_ignore_ascii_case(b"content-length");
        let old = self.fields.get(at).map_or(0..0, |field| field.value.clone());
        let differs = length
            && content_length(self.sheet.slice(&old)) != content_length(self.sheet.slice(&value));
        let Some(field) = self.fields.get_mut(at) else { return };
        field.repeats = field.repeats.saturating_add(1);
        field.ambiguous |= differs;
        if field.repeats > REPEATS_MAX {
            let event = self.pick(HTTP_REQUEST_HEADER_REPETITION, HTTP_RESPONSE_HEADER_REPETITION);
            self.sheet.event(event, self.transaction, out);
            return;
        }
        if length && self.direction == Direction::ToClient {
            return;
        }
        let start = self.copy(&old);
        self.sheet.bytes.extend_from_slice(b", ");
        self.copy(&value);
        let end = self.sheet.bytes.len();
        if let Some(field) = self.fields.get_mut(at) {
            (field.value, field.canonical) = (start..end, false);
        }
    }
}

/// The field of a name in lower case; NUL bytes in names are skipped, as some receivers do.
pub(super) fn field<'a>(fields: &'a [Field], sheet: &Sheet, name: &[u8]) -> Option<&'a Field> {
    fields.iter().find(|field| {
        let sent = sheet.slice(&field.name);
        sent.eq_ignore_ascii_case(name)
            || (field.nul && without_nul(sent).eq_ignore_ascii_case(name))
    })
}

/// Its value, without white space around it.
pub(super) fn value<'a>(fields: &[Field], sheet: &'a Sheet, name: &[u8]) -> Option<&'a [u8]> {
    field(fields, sheet, name).map(|field| trim(sheet.slice(&field.value)))
}
