//! Requests: their line, what their head says about the body, and their host. Must never know a
//! response.

use super::Http;
use super::buffers;
use super::head::{Fields, field, value};
use super::lines::{Length, find_nocase, is_space, request_length, without_nul};
use super::multipart::Multipart;
use super::side::State;
use super::uri;
use crate::conversation::{Direction, Stage};
use crate::events::app_event::*;
use crate::files::FileState;
use crate::output::Output;
use portcullis_plugin_abi::buffer_kind::*;
use std::ops::Range;

/// What of a method matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Method {
    Connect,
    Head,
    #[default]
    Other,
    Post,
    Put,
}

/// The parts of a request line, as ranges of the sheet's bytes.
#[derive(Debug, Default)]
pub(super) struct Line {
    method: Range<usize>,
    uri: Range<usize>,
    protocol: Range<usize>,
    odd_method_end: bool,
    odd_uri_end: bool,
    leading: bool,
}

impl Line {
    /// It has no version.
    pub(super) fn is_old(&self) -> bool {
        self.protocol.is_empty()
    }
}

/// Splits a request line as libhtp does.
pub(super) fn split_line(text: &[u8]) -> Line {
    let at = |from: usize, test: &dyn Fn(u8) -> bool| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().position(|&b| test(b)).map_or(text.len(), |at| from + at)
    };
    let start = at(0, &|b| !is_space(b));
    let method_end = at(start, &is_space);
    let uri_start = at(method_end, &|b| !is_space(b));
    let between = text.get(method_end..uri_start).unwrap_or_default();
    let mut uri_end = at(uri_start, &|b| b == b' ');
    let odd = text.get(uri_start..uri_end).unwrap_or_default().iter().any(|&b| is_space(b));
    if odd && uri_end == text.len() {
        uri_end = at(uri_start, &is_space);
    }
    let protocol = at(uri_end, &|b| !is_space(b));
    Line {
        method: start..method_end,
        uri: uri_start..uri_end,
        protocol: protocol..text.len(),
        odd_method_end: between.iter().any(|&b| b != b' '),
        odd_uri_end: odd,
        leading: start > 0,
    }
}

fn shift(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Whether a version is at least 1.1 (`Some(true)`), or none at all.
pub(super) fn version(text: &[u8]) -> Option<bool> {
    let digits = text.get(5..).unwrap_or_default();
    let named = text.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"http/"));
    let digits = super::lines::trim(digits);
    match digits {
        b"1.1" if named => Some(true),
        b"1.0" | b"0.9" if named => Some(false),
        _ => None,
    }
}

/// Whether an `Authorization` is of a kind that libhtp knows.
fn known_scheme(value: &[u8]) -> bool {
    let known = [&b"basic"[..], b"digest", b"bearer"];
    known.iter().any(|name| value.get(..name.len()).is_some_and(|v| v.eq_ignore_ascii_case(name)))
}

impl Http {
    /// The head is there and ends at `end` of what was gathered.
    pub(super) fn request_head(&mut self, end: usize, out: &mut Output) {
        let side = &mut self.request;
        std::mem::swap(&mut side.shown.sheet.bytes, &mut side.head.raw);
        side.shown.sheet.bytes.truncate(end);
        let lines = std::mem::take(&mut side.head.lines);
        let first = lines.first().cloned().unwrap_or(0..0);
        let text = super::lines::chomp(side.shown.sheet.slice(&first));
        let line_range = first.start..first.start + text.len();
        let mut line = split_line(text);
        for range in [&mut line.method, &mut line.uri, &mut line.protocol] {
            *range = shift(range, first.start);
        }
        let modern = version(side.shown.sheet.slice(&line.protocol));
        side.modern = modern == Some(true);
        self.line_events(&line, lines.len() > 1, out);
        let side = &mut self.request;
        Fields {
            direction: Direction::ToServer,
            modern: side.modern,
            transaction: side.shown.transaction,
            sheet: &mut side.shown.sheet,
            fields: &mut side.fields,
        }
        .read(lines.get(1..).unwrap_or_default(), out);
        side.head.lines = lines;
        self.request_buffers(&line, &line_range, first.end..end, out);
        self.request_framing(out);
    }

    fn line_events(&mut self, line: &Line, more: bool, out: &mut Output) {
        let after = self.request.number > 1;
        let shown = &mut self.request.shown;
        let missing = line.protocol.is_empty();
        // What follows a request and has no known method may be a body that nothing announced.
        let method = shown.sheet.slice(&line.method);
        let unknown =
            after && !super::probe::METHODS.iter().any(|m| m.eq_ignore_ascii_case(method));
        for (odd, event) in [
            (line.odd_method_end, HTTP_METHOD_DELIM_NON_COMPLIANT),
            (line.odd_uri_end, HTTP_URI_DELIM_NON_COMPLIANT),
            (line.leading, HTTP_REQUEST_LINE_LEADING_WHITESPACE),
            (missing && more, HTTP_REQUEST_LINE_MISSING_PROTOCOL),
            (unknown, HTTP_REQUEST_BODY_UNEXPECTED),
        ] {
            if odd {
                shown.event(event, out);
            }
        }
    }

    fn request_buffers(
        &mut self,
        line: &Line,
        whole: &Range<usize>,
        headers: Range<usize>,
        out: &mut Output,
    ) {
        let method = match self.request.shown.sheet.slice(&line.method) {
            b"CONNECT" => Method::Connect,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            _ => Method::Other,
        };
        let sheet = &mut self.request.shown.sheet;
        sheet.add(HTTP_METHOD, 0, line.method.clone());
        if !line.uri.is_empty() {
            sheet.add(HTTP_URI_RAW, 0, line.uri.clone());
        }
        if !line.protocol.is_empty() {
            sheet.add(HTTP_PROTOCOL, 0, line.protocol.clone());
        }
        sheet.add(HTTP_REQUEST_LINE, 0, whole.clone());
        if !headers.is_empty() {
            sheet.add(HTTP_HEADER_RAW, 0, headers.clone());
        }
        let path = self.address(&line.uri, method, out);
        let side = &mut self.request;
        buffers::add_start(&mut side.shown.sheet, whole, &side.fields);
        buffers::add_fields(&mut side.shown.sheet, &side.fields, Direction::ToServer);
        let sheet = &side.shown.sheet;
        let text = |name| value(&side.fields, sheet, name).map(<[u8]>::to_vec);
        let (agent, referer) = (text(b"user-agent"), text(b"referer"));
        let of = |range: &Range<usize>| {
            let bytes = sheet.slice(range);
            (!bytes.is_empty()).then(|| bytes.to_vec())
        };
        let (name, url, protocol) = (of(&line.method), of(&line.uri), of(&line.protocol));
        if let Some(open) = self.requested_mut() {
            open.method = method;
            open.path = path;
            open.record.http_user_agent = agent;
            open.record.http_refer = referer;
            open.record.http_method = name;
            open.record.url = url;
            open.record.protocol = protocol;
        }
    }

    /// The normalised address and the host; answers the path.
    fn address(&mut self, raw: &Range<usize>, method: Method, out: &mut Output) -> Vec<u8> {
        let side = &mut self.request;
        let sheet = &mut side.shown.sheet;
        let text = sheet.slice(raw).to_vec();
        let mut parts = uri::Parts::default();
        let mut path_length = 0;
        if method == Method::Connect {
            uri::authority(&text, 0..text.len(), &mut parts);
            sheet.add(HTTP_URI, 0, raw.clone());
        } else if !text.is_empty() {
            parts = uri::split(&text);
            let start = sheet.bytes.len();
            let at = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
            uri::normal_path(at(&parts.path), &mut sheet.bytes);
            path_length = sheet.bytes.len() - start;
            if let Some(query) = &parts.query {
                sheet.bytes.push(b'?');
                uri::normal_query(at(query), &mut sheet.bytes);
            }
            if let Some(fragment) = &parts.fragment {
                sheet.bytes.push(b'#');
                sheet.bytes.extend_from_slice(at(fragment));
            }
            let end = sheet.bytes.len();
            if sheet.bytes.get(start..end) == Some(text.as_slice()) {
                sheet.bytes.truncate(start);
                sheet.add(HTTP_URI, 0, raw.clone());
            } else {
                sheet.add(HTTP_URI, 0, start..end);
            }
        }
        let path = text.get(parts.path.clone()).unwrap_or_default();
        let mut normal = Vec::with_capacity(path_length);
        uri::normal_path(path, &mut normal);
        self.host(&text, &parts, out);
        normal
    }

    /// The host: of the address, else of the header.
    fn host(&mut self, text: &[u8], parts: &uri::Parts, out: &mut Output) {
        let modern = self.request.modern;
        let side = &mut self.request;
        let header = field(&side.fields, &side.shown.sheet, b"host").cloned();
        let header_value = header.as_ref().map(|f| side.shown.sheet.slice(&f.value).to_vec());
        let shown = &mut side.shown;
        let port = |bytes: &[u8], range: &Option<Range<usize>>| {
            range.as_ref().map(|r| uri::port(bytes.get(r.clone()).unwrap_or_default()))
        };
        let in_uri = parts.host.as_ref().and_then(|r| text.get(r.clone())).map(<[u8]>::to_vec);
        let mut number = port(text, &parts.port);
        if in_uri.as_deref().is_some_and(|host| !uri::is_host(host)) {
            shown.event(HTTP_REQUEST_URI_HOST_INVALID, out);
        }
        if number == Some(None) {
            shown.event(HTTP_INVALID_AUTHORITY_PORT, out);
        }
        let mut host = in_uri.clone();
        match &header_value {
            None if modern => shown.event(HTTP_MISSING_HOST_HEADER, out),
            None => {}
            Some(text) => {
                let (name, digits) = uri::host_header(text);
                let name = text.get(name).unwrap_or_default();
                let given = port(text, &digits);
                if !uri::is_host(name) || given == Some(None) {
                    shown.event(HTTP_REQUEST_HEADER_HOST_INVALID, out);
                }
                if let Some(other) = &in_uri {
                    if !other.eq_ignore_ascii_case(name) {
                        shown.event(HTTP_HOST_HEADER_AMBIGUOUS, out);
                    }
                } else if !name.is_empty() {
                    host = Some(name.to_vec());
                    number = given;
                }
            }
        }
        let number = number.flatten();
        self.host_buffers(host, in_uri, header, number);
    }

    fn host_buffers(
        &mut self,
        host: Option<Vec<u8>>,
        in_uri: Option<Vec<u8>>,
        header: Option<super::head::Field>,
        number: Option<u16>,
    ) {
        let sheet = &mut self.request.shown.sheet;
        let mut add = |kind: u16, bytes: &[u8]| {
            let start = sheet.bytes.len();
            sheet.bytes.extend_from_slice(bytes);
            let end = sheet.bytes.len();
            if let Some(made) = sheet.bytes.get_mut(start..end) {
                made.make_ascii_lowercase();
            }
            sheet.add(kind, 0, start..end);
        };
        let name = host.as_deref().map(|host| super::lines::trim(host).to_ascii_lowercase());
        if let Some(name) = &name {
            add(HTTP_HOST, name);
        }
        match (in_uri, header) {
            (Some(raw), _) => add(HTTP_HOST_RAW, &raw),
            (None, Some(field)) => sheet.add(HTTP_HOST_RAW, 0, field.value),
            (None, None) => {}
        }
        if let Some(open) = self.requested_mut() {
            open.record.hostname = name;
            open.record.http_port = number;
        }
    }

    /// How long the body is, and what it is.
    fn request_framing(&mut self, out: &mut Output) {
        let limits = std::sync::Arc::clone(&self.limits);
        let Some(open) = self.requested() else { return };
        let (method, path) = (open.method, open.path.clone());
        let side = &mut self.request;
        let sheet = &side.shown.sheet;
        let te = value(&side.fields, sheet, b"transfer-encoding").map(without_nul);
        let length = value(&side.fields, sheet, b"content-length").map(request_length);
        let repeated = field(&side.fields, sheet, b"content-length").is_some_and(|f| f.ambiguous);
        let kind = value(&side.fields, sheet, b"content-type").unwrap_or_default().to_vec();
        let scheme = value(&side.fields, sheet, b"authorization").map(<[u8]>::to_vec);
        if scheme.is_some_and(|scheme| !known_scheme(&scheme)) {
            side.shown.event(HTTP_REQUEST_AUTH_UNRECOGNIZED, out);
        }
        let mut state = State::Start;
        if let Some(te) = te {
            if !te.eq_ignore_ascii_case(b"chunked") || !side.modern {
                side.shown.event(HTTP_INVALID_TRANSFER_ENCODING_VALUE_IN_REQUEST, out);
            }
            if find_nocase(&te, b"chunked").is_some() {
                state = State::ChunkLine;
            }
        }
        match length {
            Some(Length::Bytes { length: length @ 1.., .. }) if state == State::Start => {
                state = State::Length(length);
            }
            Some(Length::Invalid) => {
                side.shown.event(HTTP_INVALID_CONTENT_LENGTH_FIELD_IN_REQUEST, out);
            }
            _ => {}
        }
        if repeated || (length.is_some() && state == State::ChunkLine) {
            side.shown.event(HTTP_DUPLICATE_CONTENT_LENGTH_FIELD_IN_REQUEST, out);
        }
        if method == Method::Connect {
            side.finish(FileState::Closed, &limits, out);
            side.state = State::Hold;
            self.request_over(out);
            return;
        }
        if state == State::Start {
            side.finish(FileState::Closed, &limits, out);
            self.request_over(out);
            return;
        }
        let multipart = Multipart::of(&kind).filter(|_| method == Method::Post);
        let file = matches!(method, Method::Post | Method::Put) && multipart.is_none();
        let name = file.then_some(path);
        side.shown.start_body(name, &limits);
        side.shown.multipart = multipart.map(Box::new);
        side.state = state;
        side.shown.show(Stage::Progress, &limits, out);
    }
}

#[cfg(test)]
mod tests {
    use super::split_line;

    #[test]
    fn request_lines_split() {
        let text = b"GET /a b HTTP/1.1";
        let line = split_line(text);
        assert_eq!((&text[line.uri], &text[line.protocol]), (&b"/a"[..], &b"b HTTP/1.1"[..]));
        let text = b"GET\t/a\tHTTP/1.1";
        let line = split_line(text);
        assert!(line.odd_method_end && line.odd_uri_end);
        assert_eq!((&text[line.uri], &text[line.protocol]), (&b"/a"[..], &b"HTTP/1.1"[..]));
        assert!(split_line(b"GET /").protocol.is_empty());
    }
}
