//! Characters, lines and numbers of HTTP/1 as lenient receivers take them. Must never know what a
//! line means.

/// White space of C's `isspace`.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Linear white space.
pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What at the start of a line makes it part of the one before.
pub(super) fn is_folding(byte: u8) -> bool {
    is_lws(byte) || byte == 0
}

/// A character of a token (RFC 9110 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte > 0x20 && byte < 0x7f && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

/// Without the line end.
pub(super) fn chomp(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    line.get(..end).unwrap_or_default()
}

/// Without white space on both sides.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let from = bytes.iter().position(|&b| !is_space(b)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|&b| !is_space(b)).map_or(from, |at| at + 1);
    bytes.get(from..to).unwrap_or_default()
}

/// Where `word` first occurs, letters of either case alike.
pub(super) fn find_nocase(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len().max(1)).position(|window| window.eq_ignore_ascii_case(word))
}

/// A value without NUL bytes, as receivers that skip them see it.
pub(super) fn without_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|&b| b != 0).collect()
}

/// How a `Content-Length` reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    /// A number; `odd` with something beside it.
    Bytes { length: u64, odd: bool },
    /// No number in it, or none that fits.
    Invalid,
}

/// The first number in the value; what is before and behind it is ignored.
pub(super) fn content_length(value: &[u8]) -> Length {
    let Some(from) = value.iter().position(u8::is_ascii_digit) else { return Length::Invalid };
    let digits = value.get(from..).unwrap_or_default();
    let count = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(count);
    let before = value.get(..from).unwrap_or_default();
    let odd = before.iter().chain(behind).any(|&b| !is_lws(b));
    number(digits, 10).map_or(Length::Invalid, |length| Length::Bytes { length, odd })
}

/// As [`content_length`], but for a request: one below zero is none, so that what a receiver reads
/// as the next request is read as one here, too.
pub(super) fn request_length(value: &[u8]) -> Length {
    let before = value.iter().copied().find(|&b| !is_lws(b));
    if before == Some(b'-') { Length::Invalid } else { content_length(value) }
}

/// The largest number in the value: where a response's length is ambiguous, nothing of its body is
/// missed.
pub(super) fn largest_length(value: &[u8]) -> Length {
    let first = content_length(value);
    let digits = value.split(|b| !b.is_ascii_digit());
    match (first, digits.filter_map(|digits| number(digits, 10)).max()) {
        (Length::Bytes { odd: true, .. }, Some(length)) => Length::Bytes { length, odd: true },
        _ => first,
    }
}

/// Digits as a number; `None` for none, for other characters and for what is above 2^63.
pub(super) fn number(digits: &[u8], base: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &digit| {
        let value = char::from(digit).to_digit(base)?;
        sum.checked_mul(base.into())?.checked_add(value.into()).filter(|&sum| sum < 1 << 63)
    })
}

/// How a line with the length of a chunk reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChunkLine {
    /// Bytes of the chunk.
    Bytes { length: u64, extended: bool },
    /// Nothing but white space: the next line may have it.
    Empty,
    /// No length.
    Invalid,
}

/// Largest chunk that is believed, as in libhtp.
const CHUNK_MAX: u64 = i32::MAX as u64;

/// White space before a chunk's length that is skipped.
pub(super) fn is_chunk_space(byte: u8) -> bool {
    is_space(byte)
}

/// Reads the line before a chunk: white space, hexadecimal digits, and what may follow them.
pub(super) fn chunk_line(line: &[u8]) -> ChunkLine {
    let Some(from) = line.iter().position(|&b| !is_chunk_space(b)) else {
        return ChunkLine::Empty;
    };
    let text = line.get(from..).unwrap_or_default();
    let count = text.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at(count);
    match number(digits, 16) {
        Some(length) if length <= CHUNK_MAX => {
            ChunkLine::Bytes { length, extended: behind.contains(&b';') }
        }
        _ => ChunkLine::Invalid,
    }
}

/// How lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineEnd {
    /// At LF only: requests.
    Lf,
    /// At LF, or at CR that neither CR nor LF follows: responses.
    LfOrCr,
}

/// Where a line that starts at `from` ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// Behind this.
    At(usize),
    /// Not known yet; nothing before this needs to be looked at again.
    Unknown(usize),
}

/// Finds the end of the line that starts at `from`; bytes before `seen` hold none.
pub(super) fn line_end(bytes: &[u8], from: usize, seen: usize, end: LineEnd) -> Ending {
    let mut at = seen.max(from);
    while let Some(&byte) = bytes.get(at) {
        match (byte, end) {
            (b'\n', _) => return Ending::At(at + 1),
            (b'\r', LineEnd::LfOrCr) => match bytes.get(at + 1) {
                None => return Ending::Unknown(at),
                // A line that is nothing but CR is no line.
                Some(b'\r' | b'\n') => {}
                Some(_) if at > from => return Ending::At(at + 1),
                Some(_) => {}
            },
            _ => {}
        }
        at += 1;
    }
    Ending::Unknown(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_lenient_receivers_read_them() {
        let bytes = |length, odd| Length::Bytes { length, odd };
        assert_eq!(content_length(b"12"), bytes(12, false));
        assert_eq!(content_length(b" 12 "), bytes(12, false));
        assert_eq!(content_length(b"12, 12"), bytes(12, true));
        assert_eq!(content_length(b"+7"), bytes(7, true));
        assert_eq!(content_length(b"-7"), bytes(7, true));
        assert_eq!(request_length(b" -7"), Length::Invalid);
        assert_eq!(request_length(b"7-"), bytes(7, true));
        assert_eq!(largest_length(b"34 68"), bytes(68, true));
        assert_eq!(content_length(b"x"), Length::Invalid);
        assert_eq!(content_length(b"99999999999999999999"), Length::Invalid);
        let chunk = |length, extended| ChunkLine::Bytes { length, extended };
        assert_eq!(chunk_line(b"1a\r\n"), chunk(26, false));
        assert_eq!(chunk_line(b" \t1A ;x=y\r\n"), chunk(26, true));
        assert_eq!(chunk_line(b"5 junk\r\n"), chunk(5, false));
        assert_eq!(chunk_line(b"\r\n"), ChunkLine::Empty);
        assert_eq!(chunk_line(b"xyz\r\n"), ChunkLine::Invalid);
        assert_eq!(chunk_line(b"80000000\r\n"), ChunkLine::Invalid);
    }

    #[test]
    fn lines_end() {
        let end = |b: &[u8], e| line_end(b, 0, 0, e);
        assert_eq!(end(b"ab\r\nc", LineEnd::LfOrCr), Ending::At(4));
        assert_eq!(end(b"ab\rc", LineEnd::LfOrCr), Ending::At(3));
        assert_eq!(end(b"ab\r", LineEnd::LfOrCr), Ending::Unknown(2));
        assert_eq!(end(b"ab\r\r\n", LineEnd::LfOrCr), Ending::At(5));
        assert_eq!(end(b"\ra\n", LineEnd::LfOrCr), Ending::At(3));
        assert_eq!(end(b"ab\rc\n", LineEnd::Lf), Ending::At(5));
    }
}
