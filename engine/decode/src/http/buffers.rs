//! The buffers that rules name, made of a head's fields. Must never know what becomes of them.

use super::head::Field;
use super::sheet::Sheet;
use crate::conversation::Direction;
use portcullis_plugin_abi::buffer_kind::*;
use std::ops::Range;

/// Field and buffer, in both directions.
const NAMED: &[(&[u8], u16)] = &[
    (b"user-agent", HTTP_USER_AGENT),
    (b"referer", HTTP_REFERER),
    (b"accept", HTTP_ACCEPT),
    (b"accept-language", HTTP_ACCEPT_LANG),
    (b"accept-encoding", HTTP_ACCEPT_ENC),
    (b"connection", HTTP_CONNECTION),
    (b"content-type", HTTP_CONTENT_TYPE),
    (b"content-length", HTTP_CONTENT_LEN),
    (b"server", HTTP_SERVER),
    (b"location", HTTP_LOCATION),
];

/// Adds the buffers of all fields.
pub(super) fn add_fields(sheet: &mut Sheet, fields: &[Field], direction: Direction) {
    for field in fields {
        let name = sheet.slice(&field.name);
        let row = NAMED.iter().find(|row| name.eq_ignore_ascii_case(row.0));
        let cookie = is_cookie(name, direction);
        if let Some(row) = row {
            sheet.add(row.1, 0, field.value.clone());
        } else if cookie {
            sheet.add(HTTP_COOKIE, 0, field.value.clone());
        }
    }
    add_header(sheet, fields, direction);
    add_names(sheet, fields);
    let kind = match direction {
        Direction::ToServer => HTTP_REQUEST_HEADER,
        Direction::ToClient => HTTP_RESPONSE_HEADER,
    };
    for (at, field) in fields.iter().enumerate() {
        let range = if field.canonical {
            field.name.start..field.value.end
        } else {
            let start = sheet.bytes.len();
            sheet.bytes.extend_from_within(field.name.clone());
            sheet.bytes.extend_from_slice(b": ");
            sheet.bytes.extend_from_within(field.value.clone());
            start..sheet.bytes.len()
        };
        sheet.add(kind, at, range);
    }
}

fn is_cookie(name: &[u8], direction: Direction) -> bool {
    match direction {
        Direction::ToServer => name.eq_ignore_ascii_case(b"cookie"),
        Direction::ToClient => name.eq_ignore_ascii_case(b"set-cookie"),
    }
}

/// `http.header`: each field with CRLF, cookies left out. Where the fields were sent like that,
/// the bytes as sent are the buffer.
pub(super) fn add_header(sheet: &mut Sheet, fields: &[Field], direction: Direction) {
    let whole = as_sent(sheet, fields, direction);
    let range = whole.unwrap_or_else(|| {
        let start = sheet.bytes.len();
        for field in fields {
            if is_cookie(sheet.slice(&field.name), direction) {
                continue;
            }
            sheet.bytes.extend_from_within(field.name.clone());
            sheet.bytes.extend_from_slice(b": ");
            sheet.bytes.extend_from_within(field.value.clone());
            sheet.bytes.extend_from_slice(b"\r\n");
        }
        start..sheet.bytes.len()
    });
    if !range.is_empty() {
        sheet.add(HTTP_HEADER, 0, range);
    }
}

fn as_sent(sheet: &Sheet, fields: &[Field], direction: Direction) -> Option<Range<usize>> {
    let (first, last) = (fields.first()?, fields.last()?);
    let mut at = first.name.start;
    for field in fields {
        let cookie = is_cookie(sheet.slice(&field.name), direction);
        if !field.canonical || field.name.start != at || cookie {
            return None;
        }
        at = field.value.end + 2;
    }
    Some(first.name.start..last.value.end + 2)
}

/// `http.header_names`: CRLF, each name with CRLF, CRLF.
pub(super) fn add_names(sheet: &mut Sheet, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    let start = sheet.bytes.len();
    sheet.bytes.extend_from_slice(b"\r\n");
    for field in fields {
        sheet.bytes.extend_from_within(field.name.clone());
        sheet.bytes.extend_from_slice(b"\r\n");
    }
    sheet.bytes.extend_from_slice(b"\r\n");
    sheet.add(HTTP_HEADER_NAMES, 0, start..sheet.bytes.len());
}

/// `http.start`: first line, all fields, and an empty line. Where they were sent like that, the
/// bytes as sent are the buffer.
pub(super) fn add_start(sheet: &mut Sheet, line: &Range<usize>, fields: &[Field]) {
    let mut at = line.end + 2;
    let mut sent = sheet.slice(&(line.end..at)) == b"\r\n";
    for field in fields {
        sent &= field.canonical && field.name.start == at;
        at = field.value.end + 2;
    }
    if sent && sheet.slice(&(at..at + 2)) == b"\r\n" {
        sheet.add(HTTP_START, 0, line.start..at + 2);
        return;
    }
    let start = sheet.bytes.len();
    sheet.bytes.extend_from_within(line.clone());
    sheet.bytes.extend_from_slice(b"\r\n");
    for field in fields {
        sheet.bytes.extend_from_within(field.name.clone());
        sheet.bytes.extend_from_slice(b": ");
        sheet.bytes.extend_from_within(field.value.clone());
        sheet.bytes.extend_from_slice(b"\r\n");
    }
    sheet.bytes.extend_from_slice(b"\r\n");
    sheet.add(HTTP_START, 0, start..sheet.bytes.len());
}

/// Fields behind the last chunk count as headers: what was made of the headers is made again, with
/// them. `raw` is their lines.
pub(super) fn add_trailer(
    sheet: &mut Sheet,
    fields: &[Field],
    direction: Direction,
    raw: Range<usize>,
) {
    let line = match direction {
        Direction::ToServer => sheet.range_of(HTTP_REQUEST_LINE),
        Direction::ToClient => sheet.range_of(HTTP_RESPONSE_LINE),
    };
    let before = sheet.range_of(HTTP_HEADER_RAW).unwrap_or(0..0);
    for kind in [HTTP_HEADER, HTTP_HEADER_NAMES, HTTP_HEADER_RAW, HTTP_START] {
        sheet.remove(kind);
    }
    add_header(sheet, fields, direction);
    add_names(sheet, fields);
    let start = sheet.bytes.len();
    sheet.bytes.extend_from_within(before);
    sheet.bytes.extend_from_within(raw);
    sheet.add(HTTP_HEADER_RAW, 0, start..sheet.bytes.len());
    add_start(sheet, &line.unwrap_or(0..0), fields);
}
