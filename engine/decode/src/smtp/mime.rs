//! MIME (RFC 2045–2047, 2231): the lines of a message in, the bytes of its attachments out, with
//! their names. Must never know SMTP.

/// Bytes of one header with its continuations that are kept.
const HEADER_MAX: usize = 4096;
/// Parts within each other that are followed.
const DEPTH_MAX: usize = 8;
/// Bytes of a boundary (RFC 2046 allows 70).
const BOUNDARY_MAX: usize = 254;
/// Bytes of a file's name.
const NAME_MAX: usize = 255;

/// What a line of a message leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Nothing.
    Nothing,
    /// An attachment of this name begins.
    Begin(Vec<u8>),
    /// Bytes of the attachment are in the buffer that was handed in.
    Bytes,
    /// The attachment ended.
    End,
}

/// What is odd about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct MimeFlaws {
    pub(crate) invalid_base64: bool,
    pub(crate) invalid_quoted: bool,
    pub(crate) long_header: bool,
    pub(crate) long_boundary: bool,
    pub(crate) long_name: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Coding {
    #[default]
    Plain,
    Base64,
    Quoted,
}

/// The reader of one message.
#[derive(Debug, Default)]
pub(crate) struct Mime {
    boundaries: Vec<Vec<u8>>,
    /// The header that is being read, unfolded.
    header: Vec<u8>,
    in_body: bool,
    in_file: bool,
    coding: Coding,
    name: Option<Vec<u8>>,
    boundary: Option<Vec<u8>>,
    /// Sextets of base64 that do not make three bytes yet.
    bits: u32,
    sextets: u8,
    /// Behind the first line of a body that is not encoded: the line end before belongs to it.
    pending_end: bool,
    pub(crate) flaws: MimeFlaws,
    /// `from`, `to` and `subject` of the message itself.
    pub(crate) letter: Letter,
    parts: u32,
}

/// Headers of a message that the journal prints (`email`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Letter {
    /// From.
    pub from: Option<Vec<u8>>,
    /// To.
    pub to: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
}

impl Mime {
    /// What follows belongs to the line before: it was cut because of its length.
    pub(crate) fn continue_line(&mut self) {
        self.pending_end = false;
    }

    /// The next line without its end; bytes of an attachment are appended to `into`.
    pub(crate) fn line(&mut self, line: &[u8], into: &mut Vec<u8>) -> Step {
        if let Some(level) = self.boundary_at(line) {
            let was = std::mem::take(&mut self.in_file);
            let last = line.len() >= 4 + self.boundaries.get(level).map_or(0, Vec::len)
                && line.trim_ascii_end().ends_with(b"--");
            self.boundaries.truncate(if last { level } else { level + 1 });
            self.start_part(last);
            return if was { Step::End } else { Step::Nothing };
        }
        if !self.in_body {
            return self.header_line(line);
        }
        if !self.in_file {
            return Step::Nothing;
        }
        let before = into.len();
        match self.coding {
            Coding::Base64 => self.base64(line, into),
            Coding::Quoted => self.quoted(line, into),
            Coding::Plain => {
                if std::mem::replace(&mut self.pending_end, true) {
                    into.extend_from_slice(b"\r\n");
                }
                into.extend_from_slice(line);
            }
        }
        if into.len() > before { Step::Bytes } else { Step::Nothing }
    }

    /// The message is over; whether an attachment was open.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::take(&mut self.in_file)
    }

    pub(crate) fn memory(&self) -> usize {
        self.header.capacity() + self.boundaries.iter().map(Vec::capacity).sum::<usize>()
    }

    /// The nesting level of the boundary that this line is.
    fn boundary_at(&self, line: &[u8]) -> Option<usize> {
        let rest = line.strip_prefix(b"--")?;
        self.boundaries.iter().rposition(|boundary| {
            rest.strip_prefix(boundary.as_slice())
                .is_some_and(|behind| matches!(behind.trim_ascii_end(), b"" | b"--"))
        })
    }

    fn start_part(&mut self, last: bool) {
        self.header.clear();
        self.parts = self.parts.saturating_add(1);
        // Behind the last part there is an epilogue that nobody reads.
        self.in_body = last;
        self.coding = Coding::Plain;
        (self.name, self.boundary) = (None, None);
        (self.bits, self.sextets, self.pending_end) = (0, 0, false);
    }

    fn header_line(&mut self, line: &[u8]) -> Step {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let room = HEADER_MAX.saturating_sub(self.header.len());
            self.flaws.long_header |= line.len() > room;
            self.header.extend_from_slice(line.get(..room.min(line.len())).unwrap_or_default());
            return Step::Nothing;
        }
        self.header_ends();
        if !line.is_empty() {
            self.flaws.long_header |= line.len() > HEADER_MAX;
            self.header.extend_from_slice(line.get(..HEADER_MAX.min(line.len())).unwrap_or(line));
            return Step::Nothing;
        }
        self.in_body = true;
        if let Some(boundary) = self.boundary.take() {
            if self.boundaries.len() < DEPTH_MAX {
                self.boundaries.push(boundary);
            }
            return Step::Nothing;
        }
        match self.name.take() {
            Some(name) => {
                self.in_file = true;
                Step::Begin(name)
            }
            None => Step::Nothing,
        }
    }

    fn header_ends(&mut self) {
        let header = std::mem::take(&mut self.header);
        let Some(colon) = header.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = header.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        if self.parts == 0 && self.letter_header(name, value.trim_ascii()) {
            return;
        }
        if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            self.coding = match value.trim_ascii().to_ascii_lowercase().as_slice() {
                b"base64" => Coding::Base64,
                b"quoted-printable" => Coding::Quoted,
                _ => Coding::Plain,
            };
        } else if name.eq_ignore_ascii_case(b"content-type") {
            if value
                .trim_ascii_start()
                .get(..10)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
            {
                let boundary = parameter(value, b"boundary").filter(|b| !b.is_empty());
                self.flaws.long_boundary |=
                    boundary.as_ref().is_some_and(|b| b.len() > BOUNDARY_MAX);
                self.boundary = boundary.filter(|b| b.len() <= BOUNDARY_MAX);
            }
            let named = parameter(value, b"name");
            self.named(named);
        } else if name.eq_ignore_ascii_case(b"content-disposition") {
            let named = parameter(value, b"filename");
            self.named(named);
        }
    }

    fn letter_header(&mut self, name: &[u8], value: &[u8]) -> bool {
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"from" => &mut self.letter.from,
            b"to" => &mut self.letter.to,
            b"subject" => &mut self.letter.subject,
            _ => return false,
        };
        slot.get_or_insert_with(|| value.to_vec());
        true
    }

    fn named(&mut self, name: Option<Vec<u8>>) {
        let Some(mut name) = name.filter(|name| !name.is_empty()) else { return };
        if name.len() > NAME_MAX {
            name.truncate(NAME_MAX);
            self.flaws.long_name = true;
        }
        self.name = Some(name);
    }

    fn base64(&mut self, line: &[u8], into: &mut Vec<u8>) {
        let mut rest = line;
        into.reserve(line.len() / 4 * 3);
        // Four at a time, as nearly all lines are; what is odd, and all behind it, one by one.
        while self.sextets == 0
            && let Some((four, behind)) = rest.split_first_chunk::<4>()
            && let Some(three) = three_of(four)
        {
            into.extend_from_slice(&three);
            rest = behind;
        }
        for &byte in rest {
            let value = match byte {
                b'=' => {
                    let [_, high, middle, _] =
                        (self.bits << (6 * (4 - self.sextets.min(4)))).to_be_bytes();
                    match self.sextets {
                        2 => into.push(high),
                        3 => into.extend_from_slice(&[high, middle]),
                        _ => {}
                    }
                    (self.bits, self.sextets) = (0, 0);
                    continue;
                }
                b' ' | b'\t' => continue,
                _ => match sextet_of(byte) {
                    NO_SEXTET => {
                        self.flaws.invalid_base64 = true;
                        continue;
                    }
                    value => value,
                },
            };
            self.bits = self.bits << 6 | u32::from(value);
            self.sextets += 1;
            if self.sextets == 4 {
                let [_, rest @ ..] = self.bits.to_be_bytes();
                into.extend_from_slice(&rest);
                (self.bits, self.sextets) = (0, 0);
            }
        }
    }

    fn quoted(&mut self, line: &[u8], into: &mut Vec<u8>) {
        let mut line = line.trim_ascii_end();
        let soft = line.ends_with(b"=");
        if soft {
            line = line.get(..line.len() - 1).unwrap_or_default();
        }
        if std::mem::replace(&mut self.pending_end, !soft) {
            into.extend_from_slice(b"\r\n");
        }
        let mut rest = line;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            if byte != b'=' {
                into.push(byte);
                continue;
            }
            match behind.split_first_chunk::<2>() {
                Some((&[high, low], behind)) if hex(high).is_some() && hex(low).is_some() => {
                    into.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                    rest = behind;
                }
                _ => {
                    self.flaws.invalid_quoted = true;
                    into.push(byte);
                }
            }
        }
    }
}

/// What no sextet of base64 is.
const NO_SEXTET: u8 = u8::MAX;

/// The sextet of each byte (RFC 4648).
#[allow(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
const SEXTETS: [u8; 256] = {
    let alphabet = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut table, mut value) = ([NO_SEXTET; 256], 0);
    while value < 64 {
        table[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    table
};

fn sextet_of(byte: u8) -> u8 {
    SEXTETS.get(usize::from(byte)).copied().unwrap_or(NO_SEXTET)
}

/// The bytes of four letters of base64, where they are nothing else.
fn three_of(four: &[u8; 4]) -> Option<[u8; 3]> {
    let sextets = four.map(sextet_of);
    if sextets.contains(&NO_SEXTET) {
        return None;
    }
    let bits = sextets.iter().fold(0, |bits, &sextet| bits << 6 | u32::from(sextet));
    let [_, three @ ..] = bits.to_be_bytes();
    Some(three)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The value of a parameter of a header: `; name=value` or `; name="value"`.
fn parameter(header: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut rest = header;
    loop {
        let at = rest.iter().position(|&byte| byte == b';')?;
        rest = rest.get(at + 1..)?.trim_ascii_start();
        let equals = rest.iter().position(|&byte| byte == b'=' || byte == b';')?;
        let (key, behind) = rest.split_at(equals);
        if behind.first() != Some(&b'=') {
            continue;
        }
        let value = behind.get(1..)?.trim_ascii_start();
        let key = key.trim_ascii();
        let key = key.strip_suffix(b"*").unwrap_or(key);
        if let Some(quoted) = value.strip_prefix(b"\"") {
            let end = quoted.iter().position(|&byte| byte == b'"').unwrap_or(quoted.len());
            if key.eq_ignore_ascii_case(name) {
                return quoted.get(..end).map(<[u8]>::to_vec);
            }
            rest = quoted.get(end..)?;
        } else {
            let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
            if key.eq_ignore_ascii_case(name) {
                return value.get(..end).map(|value| value.trim_ascii().to_vec());
            }
            rest = value.get(end..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mime, Step, parameter};

    fn files(message: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut mime, mut files, mut bytes) = (Mime::default(), Vec::new(), Vec::new());
        for line in message.split("\r\n") {
            match mime.line(line.as_bytes(), &mut bytes) {
                Step::Begin(name) => files.push((name, Vec::new())),
                Step::Bytes | Step::End | Step::Nothing => {}
            }
            if let Some(last) = files.last_mut() {
                last.1.append(&mut bytes);
            }
        }
        files
    }

    #[test]
    fn attachments_are_decoded() {
        let message = "Subject: x\r\nContent-Type: multipart/mixed;\r\n boundary=\"b 1\"\r\n\r\n\
            preamble\r\n--b 1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b 1\r\n\
            Content-Type: application/octet-stream; name=\"a;b.bin\"\r\n\
            Content-Transfer-Encoding: base64\r\n\r\naGVsbG8g\r\nd29ybGQ=\r\n--b 1\r\n\
            Content-Disposition: attachment; filename=t.txt\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc\r\nd\r\n--b 1--\r\n\
            epilogue";
        let want = [
            (b"a;b.bin".to_vec(), b"hello world".to_vec()),
            (b"t.txt".to_vec(), b"a=bc\r\nd".to_vec()),
        ];
        assert_eq!(files(message), want);
    }

    #[test]
    fn parameters() {
        let header = b" form; a=\"x;name=no\"; NAME = yes ; name=third";
        assert_eq!(parameter(header, b"name"), Some(b"yes".to_vec()));
        assert_eq!(parameter(b"x; name", b"name"), None);
        assert_eq!(parameter(b"x; name=\"open", b"name"), Some(b"open".to_vec()));
    }
}
