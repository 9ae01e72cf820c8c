//! Responses: their status line, and what their head says about the body. Must never know a
//! request beyond its method and path.

use super::Http;
use super::buffers;
use super::coding::Coding;
use super::head::{Fields, field, value};
use super::lines::{
    Length, chomp, find_nocase, is_space, largest_length, number, trim, without_nul,
};
use super::multipart::parameter;
use super::record::ContentRange;
use super::request::{Method, version};
use super::side::State;
use crate::conversation::{Direction, Stage};
use crate::events::app_event::*;
use crate::files::FileState;
use crate::output::Output;
use portcullis_plugin_abi::buffer_kind::*;
use std::ops::Range;

/// The parts of a status line.
#[derive(Debug, Default)]
struct Line {
    protocol: Range<usize>,
    status: Range<usize>,
    message: Range<usize>,
}

fn split_line(text: &[u8], base: usize) -> Line {
    let at = |from: usize, space: bool| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().position(|&b| is_space(b) == space).map_or(text.len(), |at| from + at)
    };
    let protocol = at(0, false);
    let protocol_end = at(protocol, true);
    let status = at(protocol_end, false);
    let status_end = at(status, true);
    let message = at(status_end, false);
    Line {
        protocol: protocol + base..protocol_end + base,
        status: status + base..status_end + base,
        message: message + base..text.len() + base,
    }
}

impl Http {
    /// The head is there and ends at `end` of what was gathered.
    pub(super) fn response_head(&mut self, end: usize, out: &mut Output) {
        let side = &mut self.response;
        std::mem::swap(&mut side.shown.sheet.bytes, &mut side.head.raw);
        side.shown.sheet.bytes.truncate(end);
        let lines = std::mem::take(&mut side.head.lines);
        let first = lines.first().cloned().unwrap_or(0..0);
        let text = chomp(side.shown.sheet.slice(&first));
        let whole = first.start..first.start + text.len();
        let line = split_line(text, first.start);
        let sheet = &side.shown.sheet;
        let protocol = version(sheet.slice(&line.protocol));
        let status = number(sheet.slice(&line.status), 10).and_then(|n| u16::try_from(n).ok());
        let status = status.filter(|status| (100..=999).contains(status));
        side.modern = protocol == Some(true);
        if protocol.is_none() {
            side.shown.event(HTTP_RESPONSE_INVALID_PROTOCOL, out);
        }
        if status.is_none() {
            side.shown.event(HTTP_RESPONSE_INVALID_STATUS, out);
        }
        Fields {
            direction: Direction::ToClient,
            modern: side.modern,
            transaction: side.shown.transaction,
            sheet: &mut side.shown.sheet,
            fields: &mut side.fields,
        }
        .read(lines.get(1..).unwrap_or_default(), out);
        // An empty line behind a bare LF: line ends are LF CR, and so is the empty line's.
        let last = side.shown.sheet.slice(&lines.last().cloned().unwrap_or(0..0));
        let bare = last.ends_with(b"\n") && !last.ends_with(b"\r\n");
        let empty = side.shown.sheet.slice(&(lines.last().map_or(0, |line| line.end)..end));
        side.skip = match empty {
            b"\r\n" if bare => b"\r",
            b"\r\r\n" => b"\r\n",
            _ => b"",
        };
        side.head.lines = lines;
        self.response_buffers(&line, &whole, first.end..end);
        self.response_record(status);
        self.response_framing(status, out);
    }

    fn response_buffers(&mut self, line: &Line, whole: &Range<usize>, headers: Range<usize>) {
        let side = &mut self.response;
        let sheet = &mut side.shown.sheet;
        sheet.add(HTTP_RESPONSE_LINE, 0, whole.clone());
        for (kind, range) in [
            (HTTP_PROTOCOL, &line.protocol),
            (HTTP_STAT_CODE, &line.status),
            (HTTP_STAT_MSG, &line.message),
            (HTTP_HEADER_RAW, &headers),
        ] {
            if !range.is_empty() {
                sheet.add(kind, 0, range.clone());
            }
        }
        buffers::add_start(sheet, whole, &side.fields);
        buffers::add_fields(sheet, &side.fields, Direction::ToClient);
    }

    fn response_record(&mut self, status: Option<u16>) {
        let side = &self.response;
        let text = |name| value(&side.fields, &side.shown.sheet, name);
        let kind = text(b"content-type").map(|kind| {
            let end = kind.iter().position(|&b| b == b';').unwrap_or(kind.len());
            trim(kind.get(..end).unwrap_or_default()).to_vec()
        });
        let range = text(b"content-range").map(content_range);
        let location = text(b"location").map(<[u8]>::to_vec);
        let Some(open) = self.answered_mut() else { return };
        open.record.status = status;
        open.record.http_content_type = kind;
        open.record.content_range = range;
        open.record.redirect = location.filter(|_| status.is_some_and(|s| (300..400).contains(&s)));
    }

    /// How long the body is.
    fn response_framing(&mut self, status: Option<u16>, out: &mut Output) {
        let limits = std::sync::Arc::clone(&self.limits);
        let status = status.unwrap_or(0);
        let method = self.answered().map(|open| open.method).unwrap_or_default();
        let side = &mut self.response;
        let sheet = &side.shown.sheet;
        let te = value(&side.fields, sheet, b"transfer-encoding").map(without_nul);
        let length = value(&side.fields, sheet, b"content-length").map(largest_length);
        let repeated = field(&side.fields, sheet, b"content-length").is_some_and(|f| f.ambiguous);
        if status == 100
            && te.is_none()
            && !matches!(length, Some(Length::Bytes { length: 1.., .. }))
        {
            return self.interim(out);
        }
        let upgraded = status == 101 && te.is_none() && length.is_none();
        let connected = method == Method::Connect && (200..300).contains(&status);
        if upgraded || connected {
            side.finish(FileState::Closed, &limits, out);
            self.response_over(out);
            self.switched =
                Some(if connected { super::Switch::Tunnel } else { super::Switch::Other });
            return;
        }
        let bare = matches!(status, 100..=199 | 204 | 304) && te.is_none() && length.is_none();
        let mut state = State::ToEnd;
        if let Some(te) = &te
            && find_nocase(te, b"chunked").is_some()
        {
            state = State::ChunkLine;
            if !te.eq_ignore_ascii_case(b"chunked") {
                side.shown.event(HTTP_RESPONSE_ABNORMAL_TRANSFER_ENCODING, out);
            }
            if !side.modern {
                side.shown.event(HTTP_RESPONSE_CHUNKED_OLD_PROTO, out);
            }
        }
        match length {
            Some(Length::Bytes { length, .. }) if state == State::ToEnd => {
                state = if length == 0 { State::Start } else { State::Length(length) };
            }
            Some(Length::Invalid) => {
                side.shown.event(HTTP_INVALID_CONTENT_LENGTH_FIELD_IN_RESPONSE, out);
            }
            _ => {}
        }
        if repeated {
            side.shown.event(HTTP_DUPLICATE_CONTENT_LENGTH_FIELD_IN_RESPONSE, out);
        }
        if method == Method::Head || bare || state == State::Start {
            side.skip = b"";
            side.finish(FileState::Closed, &limits, out);
            self.response_over(out);
            return;
        }
        self.response_coding(out);
        self.response_file(&limits, out);
        if state == State::ChunkLine {
            self.response.skip = b"";
        }
        self.response.state = state;
        self.response.shown.show(Stage::Progress, &limits, out);
    }

    /// 100 Continue: the real response follows in the same transaction.
    fn interim(&mut self, out: &mut Output) {
        let again = self.answered_mut().is_some_and(|o| std::mem::replace(&mut o.continued, true));
        let side = &mut self.response;
        if again {
            side.shown.event(HTTP_100_CONTINUE_ALREADY_SEEN, out);
        }
        let transaction = side.shown.transaction;
        side.start(transaction);
    }

    /// The layers that Content-Encoding names; the last one is undone first by the RFC, the first
    /// one by libhtp: what is mislabelled is found out anyway.
    fn response_coding(&mut self, out: &mut Output) {
        let depth = self.limits.inflate_depth;
        let side = &mut self.response;
        let named = value(&side.fields, &side.shown.sheet, b"content-encoding").map(without_nul);
        let named = named.unwrap_or_default();
        let words = named.split(|&b| b == b',' || b == b' ').filter(|word| !word.is_empty());
        for word in words {
            let coding = if find_nocase(word, b"gzip").is_some() {
                Some(Coding::Gzip)
            } else if find_nocase(word, b"deflate").is_some() {
                Some(Coding::Deflate)
            } else if word.eq_ignore_ascii_case(b"br") {
                Some(Coding::Brotli)
            } else {
                None
            };
            let plain = [&b"gzip"[..], b"x-gzip", b"deflate", b"x-deflate", b"br", b"inflate"];
            let known = plain.iter().any(|name| word.eq_ignore_ascii_case(name));
            if !known && !word.eq_ignore_ascii_case(b"identity") {
                side.shown.event(HTTP_ABNORMAL_CE_HEADER, out);
            }
            let Some(coding) = coding else { continue };
            if side.chain.len() >= depth {
                side.shown.event(HTTP_TOO_MANY_ENCODING_LAYERS, out);
                out.counters.inflate_too_deep += 1;
                break;
            }
            side.chain.push(coding);
        }
    }

    /// The body is a file: its name is in Content-Disposition, else the path.
    fn response_file(&mut self, limits: &crate::limits::Limits, out: &mut Output) {
        let side = &mut self.response;
        let disposition = value(&side.fields, &side.shown.sheet, b"content-disposition");
        let named = disposition.and_then(|value| parameter(value, b"filename"));
        let named = named.map(<[u8]>::to_vec);
        let range = value(&side.fields, &side.shown.sheet, b"content-range").map(content_range);
        let path = self.answered().map(|open| open.path.clone());
        let side = &mut self.response;
        side.shown.start_body(Some(named.or(path).unwrap_or_default()), limits);
        if range.as_ref().is_some_and(is_no_range) {
            side.shown.event(HTTP_RANGE_INVALID, out);
        }
        if let (Some(range), Some(file)) = (range, side.shown.body.file()) {
            file.range = range.start.zip(range.end);
        }
    }

    /// There is no head: the body starts at once and is what the bytes are.
    pub(super) fn response_without_head(&mut self, out: &mut Output) {
        let limits = std::sync::Arc::clone(&self.limits);
        self.response_file(&limits, out);
        let side = &mut self.response;
        side.state = State::ToEnd;
        let raw = std::mem::take(&mut side.head.raw);
        side.body(&raw, &limits, out);
    }
}

/// It ends before it begins, or behind the whole.
fn is_no_range(range: &ContentRange) -> bool {
    let ContentRange { start: Some(start), end: Some(end), size, .. } = *range else {
        return false;
    };
    start > end || size.is_some_and(|size| end >= size)
}

/// `bytes 0-99/200`.
fn content_range(raw: &[u8]) -> ContentRange {
    let text = raw.iter().position(u8::is_ascii_digit).and_then(|at| raw.get(at..));
    let mut numbers = text.unwrap_or_default().split(|&b| b == b'-' || b == b'/');
    let mut next = || numbers.next().and_then(|digits| number(trim(digits), 10));
    let (start, end, size) = (next(), next(), next());
    ContentRange { raw: raw.to_vec(), start, end, size }
}
