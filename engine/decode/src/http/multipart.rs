//! The parts of a form (RFC 7578) in a request's body: those with a file name are files. Must never
//! know how the body was transferred.

use super::lines::{chomp, find_nocase, trim};
use crate::conversation::Direction;
use crate::events::app_event::{HTTP_MULTIPART_INVALID_HEADER, HTTP_MULTIPART_NO_FILEDATA};
use crate::files::{Body, FileState, Taken};
use crate::limits::Limits;
use crate::output::{Output, Record};
use portcullis_plugin_abi::buffer_kind::FILE_DATA;

/// Bytes of a part's headers.
const HEADERS_MAX: usize = 4 << 10;
/// Bytes of a boundary (RFC 2046 says 70).
const BOUNDARY_MAX: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    Preamble,
    /// Behind a boundary, before its line's end.
    Boundary,
    Headers,
    Data,
    Epilogue,
}

/// What feeding did.
pub(super) struct Fed {
    /// Bytes taken; with a piece, up to the byte that made it ready, so that segmentation does not
    /// matter.
    pub(super) used: usize,
    /// A piece of a file is ready: show it, call `next`, and feed on.
    pub(super) piece: bool,
}

/// What data led to.
enum Data {
    /// A piece is ready; so many of the held bytes were not needed to know it.
    Piece { early: usize },
    /// The part is over, and is no file.
    Over,
}

/// A form on its way.
#[derive(Debug)]
pub(super) struct Multipart {
    /// CRLF, two dashes, the boundary.
    mark: Vec<u8>,
    held: Vec<u8>,
    place: Where,
    /// The file of this part.
    file: Option<Box<Body>>,
    number: usize,
    complete: bool,
    /// Held bytes at the front that are no data: they stand for a line end before the mark.
    skip: usize,
    events: Vec<u16>,
}

/// The parameter of a header's value, without quotes.
pub(super) fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = value;
    loop {
        let at = find_nocase(rest, name)?;
        let before = rest.get(..at).and_then(|b| b.last()).copied().unwrap_or(b';');
        let behind = rest.get(at + name.len()..).unwrap_or_default();
        let behind = behind.get(behind.iter().position(|&b| b != b' ')?..)?;
        if let (b';' | b' ' | b'\t', Some(text)) = (before, behind.strip_prefix(b"=")) {
            let text = trim(text);
            if let Some(quoted) = text.strip_prefix(b"\"") {
                let end = quoted.iter().position(|&b| b == b'"').unwrap_or(quoted.len());
                return quoted.get(..end);
            }
            let end = text.iter().position(|&b| b == b';').unwrap_or(text.len());
            return text.get(..end).map(trim);
        }
        rest = behind;
    }
}

impl Multipart {
    /// For a request whose Content-Type says so.
    pub(super) fn of(content_type: &[u8]) -> Option<Self> {
        let start = content_type.get(..19)?;
        if !start.eq_ignore_ascii_case(b"multipart/form-data") {
            return None;
        }
        let boundary = parameter(content_type, b"boundary")?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
            return None;
        }
        let mut mark = b"\r\n--".to_vec();
        mark.extend_from_slice(boundary);
        Some(Self {
            mark,
            // The first boundary has no line before it.
            held: b"\r\n".to_vec(),
            place: Where::Preamble,
            file: None,
            number: 0,
            complete: false,
            skip: 0,
            events: Vec::new(),
        })
    }

    pub(super) fn events(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.events)
    }

    /// Takes all bytes, or those up to where a piece is ready.
    pub(super) fn feed(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) -> Fed {
        let used = bytes.len();
        if self.place == Where::Epilogue {
            return Fed { used, piece: false };
        }
        self.held.extend_from_slice(bytes);
        loop {
            let went_on = match self.place {
                Where::Preamble => self.preamble(),
                Where::Boundary => self.boundary(),
                Where::Headers => self.headers(limits),
                Where::Data => match self.data(limits, out) {
                    Some(Data::Piece { early }) => {
                        // Bytes behind the piece come again.
                        let early = early.min(used);
                        self.held.truncate(self.held.len().saturating_sub(early));
                        return Fed { used: used - early, piece: true };
                    }
                    Some(Data::Over) => true,
                    None => false,
                },
                Where::Epilogue => {
                    self.held = Vec::new();
                    false
                }
            };
            if !went_on {
                return Fed { used, piece: false };
            }
        }
    }

    fn find_mark(&self) -> Option<usize> {
        let first = self.mark.first()?;
        let mut from = 0;
        loop {
            let rest = self.held.get(from..)?;
            let at = from + rest.iter().position(|b| b == first)?;
            if self.held.get(at..)?.starts_with(&self.mark) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// How many of the held bytes cannot be part of a mark.
    fn clear_of_mark(&self) -> usize {
        self.held.len().saturating_sub(self.mark.len() - 1)
    }

    fn preamble(&mut self) -> bool {
        let Some(at) = self.find_mark() else {
            let clear = self.clear_of_mark();
            self.held.drain(..clear);
            return false;
        };
        self.held.drain(..at + self.mark.len());
        self.place = Where::Boundary;
        true
    }

    fn boundary(&mut self) -> bool {
        if self.held.starts_with(b"--") {
            self.place = Where::Epilogue;
            return true;
        }
        let Some(at) = self.held.iter().position(|&b| b == b'\n') else {
            return self.held.len() > HEADERS_MAX && self.give_up();
        };
        if at > HEADERS_MAX {
            return self.give_up();
        }
        self.held.drain(..=at);
        self.place = Where::Headers;
        true
    }

    fn give_up(&mut self) -> bool {
        self.events.push(HTTP_MULTIPART_INVALID_HEADER);
        self.place = Where::Epilogue;
        true
    }

    fn headers(&mut self, limits: &Limits) -> bool {
        let mut end = None;
        let mut start = 0;
        for (at, &byte) in self.held.iter().enumerate() {
            if byte == b'\n' {
                if chomp(self.held.get(start..=at).unwrap_or_default()).is_empty() {
                    end = Some((start, at + 1));
                    break;
                }
                start = at + 1;
            }
        }
        let Some((end, behind)) = end else {
            return self.held.len() > HEADERS_MAX && self.give_up();
        };
        if behind > HEADERS_MAX {
            return self.give_up();
        }
        let text = self.held.get(..end).unwrap_or_default();
        let line = text.split(|&b| b == b'\n').map(chomp).find(|line| {
            line.get(..20).is_some_and(|name| name.eq_ignore_ascii_case(b"content-disposition:"))
        });
        if line.is_none() {
            self.events.push(HTTP_MULTIPART_INVALID_HEADER);
        }
        let name = line.and_then(|line| parameter(line, b"filename")).map(<[u8]>::to_vec);
        self.file = name.map(|name| {
            let mut body = Box::<Body>::default();
            body.start(Some(name), limits.hashes);
            body
        });
        self.held.drain(..behind);
        // An empty part's boundary follows its headers at once.
        self.held.splice(..0, *b"\r\n");
        self.place = Where::Data;
        self.complete = false;
        self.skip = 2;
        true
    }

    /// Hands data on; `None` when more bytes are needed.
    fn data(&mut self, limits: &Limits, out: &mut Output) -> Option<Data> {
        if self.complete {
            return Some(Data::Piece { early: 0 });
        }
        let mark = self.find_mark();
        let clear = mark.unwrap_or_else(|| self.clear_of_mark());
        let from = self.skip.min(clear);
        let data = self.held.get(from..clear).unwrap_or_default();
        if let Some(file) = &mut self.file
            && let Taken::Piece(used) = file.take(data, limits, out)
        {
            // So many had to be held to know that the piece has no mark in it.
            let needed = from + used + self.mark.len() - 1;
            let early = self.held.len().saturating_sub(needed);
            self.held.drain(..from + used);
            self.skip -= from;
            return Some(Data::Piece { early });
        }
        let Some(at) = mark else {
            self.held.drain(..clear);
            self.skip -= from;
            return None;
        };
        self.held.drain(..at + self.mark.len());
        self.place = Where::Boundary;
        self.skip = 0;
        if self.file.is_none() {
            return Some(Data::Over);
        }
        self.complete = true;
        if self.file.as_ref().is_some_and(|file| file.size() == 0) {
            self.events.push(HTTP_MULTIPART_NO_FILEDATA);
        }
        Some(Data::Piece { early: self.held.len() })
    }

    /// The body is over: so is its last part.
    pub(super) fn finish(&mut self) {
        if let (Where::Data, Some(file)) = (self.place, &mut self.file) {
            file.cut();
        }
        self.complete = self.file.is_some();
    }

    /// Adds the gathered piece of this part's file to the open message.
    pub(super) fn show(&mut self, limits: &Limits, out: &mut Output) {
        if let Some(file) = &mut self.file {
            file.show(&[FILE_DATA], self.number + 1, self.complete, limits, out);
        }
    }

    /// What was ready has been shown: a part that is over has its record.
    pub(super) fn next(&mut self, way: Direction, transaction: u32, out: &mut Output) {
        if !self.complete {
            return;
        }
        self.complete = false;
        self.number += 1;
        if let Some(mut file) = self.file.take() {
            let record = file.record(way, transaction.saturating_sub(1), FileState::Closed);
            out.records.extend(record.map(Record::File));
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.mark.capacity()
            + self.held.capacity()
            + self.file.as_ref().map_or(0, |file| size_of::<Body>() + file.memory())
    }
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters() {
        let value = b"form-data; name=\"f\"; filename=\"a b.txt\"";
        assert_eq!(parameter(value, b"filename"), Some(&b"a b.txt"[..]));
        assert_eq!(parameter(value, b"name"), Some(&b"f"[..]));
        assert_eq!(parameter(b"x; boundary=ab ; y", b"boundary"), Some(&b"ab"[..]));
        assert_eq!(parameter(b"x", b"boundary"), None);
    }
}
