//! Flows of fillings: the same conversations over HTTP and plain TCP with clean text, with literals
//! of rules whose last byte is wrong, or with the literal by which a rule is found and nothing else
//! of it. Lengths and flows do not depend on the filling.

use super::{Talk, text};
use crate::traffic::Sequence;
use std::fmt::Write as _;

/// Where a literal is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The URI of a request.
    Uri,
    /// The headers of a request.
    Header,
    /// The body of a request.
    Request,
    /// The body of an answer.
    Response,
    /// A plain stream or datagram.
    Plain,
}

/// Literals of rules, as somebody has them who has the rules.
#[derive(Clone, Debug, Default)]
pub struct Literals {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    place: Place,
    bytes: Vec<u8>,
    /// Whether the rule asks for more than this.
    is_part: bool,
}

/// What flows are filled with.
#[derive(Clone, Copy, Debug)]
pub enum Filling<'a> {
    /// Words.
    Clean,
    /// Literals with the last byte wrong.
    Almost(&'a Literals),
    /// Literals of rules that ask for more.
    Parts(&'a Literals),
}

impl Literals {
    /// Of the rules in this text: of each the literal that it names by `fast_pattern`, or else its
    /// longest. What is no rule is passed over.
    pub fn of_rules(rules: &str) -> Literals {
        let mut all = Literals::default();
        for line in rules.lines().filter(|line| line.starts_with("alert ")) {
            let Some((_, options)) = line.split_once('(') else { continue };
            let found = contents(options);
            let of = |row: &&Content| !row.is_negated && row.bytes.len() >= 4;
            let named = found.iter().filter(of).find(|row| row.is_fast);
            let longest = || found.iter().filter(of).max_by_key(|row| row.bytes.len());
            if let Some(row) = named.or_else(longest) {
                let (place, bytes) = (row.place, row.bytes.clone());
                all.rows.push(Row { place, bytes, is_part: found.len() > 1 });
            }
        }
        all
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

struct Content {
    place: Place,
    bytes: Vec<u8>,
    is_negated: bool,
    is_fast: bool,
}

/// The literals of one rule's options, in their order.
fn contents(options: &str) -> Vec<Content> {
    let (mut found, mut place): (Vec<Content>, _) = (Vec::new(), Place::Plain);
    let answers = options.contains("to_client") || options.contains("from_server");
    for option in split(options) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        match name.trim() {
            "http.uri" | "http.uri.raw" => place = Place::Uri,
            "http.header" | "http.user_agent" | "http.cookie" | "http.host" | "http.referer"
                if !answers =>
            {
                place = Place::Header;
            }
            "http.request_body" => place = Place::Request,
            "file.data" | "http.response_body" if answers => place = Place::Response,
            "pkt_data" => place = Place::Plain,
            "content" => {
                let is_negated = value.trim_start().starts_with('!');
                let is_fast = value.rsplit_once('"').is_some_and(|v| v.1.contains("fast_pattern"));
                let text = value.split_once('"').and_then(|v| v.1.rsplit_once('"'));
                let bytes = bytes_of(text.map_or("", |v| v.0));
                found.push(Content { place, bytes, is_negated, is_fast });
            }
            "fast_pattern" => {
                if let Some(last) = found.last_mut() {
                    last.is_fast = true;
                }
            }
            _ => {}
        }
    }
    found
}

/// Options, split where no quotes are open.
fn split(options: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in options.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(options[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// A literal's bytes: `|41 42|` is AB.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, part) in text.split('|').enumerate() {
        if n % 2 == 1 {
            out.extend(part.split_whitespace().filter_map(|h| u8::from_str_radix(h, 16).ok()));
        } else {
            out.extend(part.bytes().filter(|byte| *byte != b'\\'));
        }
    }
    out
}

impl Filling<'_> {
    /// `len` bytes for a place.
    fn bytes(self, sequence: &mut Sequence, place: Place, len: usize) -> Vec<u8> {
        let fits = |bytes: &[u8]| match place {
            Place::Uri => bytes.iter().all(|b| b.is_ascii_graphic() && !b"%#?".contains(b)),
            Place::Header => bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' '),
            _ => true,
        };
        let mut out = Vec::with_capacity(len + 64);
        let rows: Vec<&Row> = match self {
            Filling::Clean => Vec::new(),
            Filling::Almost(all) => {
                all.rows.iter().filter(|r| r.place == place && fits(&r.bytes)).collect()
            }
            Filling::Parts(all) => {
                let is_meant = |r: &&Row| r.place == place && r.is_part && fits(&r.bytes);
                all.rows.iter().filter(is_meant).collect()
            }
        };
        while out.len() < len {
            match (rows.is_empty(), self) {
                (true, _) => text::words(sequence, 200, &mut out),
                (false, Filling::Almost(_)) => {
                    let row = sequence.pick(&rows);
                    out.extend(&row.bytes);
                    let last = out.pop().unwrap_or_default();
                    out.push(if last.eq_ignore_ascii_case(&b'q') { b'z' } else { b'q' });
                }
                _ => {
                    out.extend(&sequence.pick(&rows).bytes);
                    out.push(if place == Place::Uri { b'-' } else { b' ' });
                }
            }
        }
        out.truncate(len);
        if place == Place::Uri {
            out.iter_mut().filter(|b| **b == b' ').for_each(|b| *b = b'-');
        }
        out
    }
}

/// Requests of a connection over HTTP.
const REQUESTS: usize = 4;

/// A form posted and a page answered, four times.
pub(super) fn http(sequence: &mut Sequence, filling: Filling<'_>) -> Talk {
    let mut talk = Talk::default();
    for _ in 0..REQUESTS {
        let mut piece = |place, len| filling.bytes(sequence, place, len);
        let mut ask = b"POST /".to_vec();
        ask.extend(piece(Place::Uri, 400));
        ask.extend(b" HTTP/1.1\r\nHost: www.acme.example\r\nUser-Agent: ");
        ask.extend(piece(Place::Header, 150));
        ask.extend(b"\r\nCookie: ");
        ask.extend(piece(Place::Header, 400));
        ask.extend(b"\r\nContent-Length: 3000\r\n\r\n");
        ask.extend(piece(Place::Request, 3_000));
        talk.ask(ask);
        let mut head = String::from("HTTP/1.1 200 OK\r\nServer: nginx\r\n");
        // Writing to a string does not fail.
        let _ = write!(head, "Content-Type: text/html\r\nContent-Length: 8000\r\n\r\n");
        talk.answer([head.into_bytes(), piece(Place::Response, 8_000)].concat());
    }
    talk
}

/// A plain stream: 8,000 bytes each way.
pub(super) fn plain(sequence: &mut Sequence, filling: Filling<'_>) -> Talk {
    let mut talk = Talk::default();
    for _ in 0..2 {
        talk.ask(filling.bytes(sequence, Place::Plain, 4_000));
        talk.answer(filling.bytes(sequence, Place::Plain, 4_000));
    }
    talk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_rules_write_them() {
        let rules = "# alert no\n\
            alert http any any -> any any (msg:\"a;b\"; http.uri; content:\"/x|2e|php\"; \
            content:\"longer than\"; http.request_body; content:!\"not this at all\"; sid:1;)\n\
            alert tcp any any -> any any (content:\"plain\"; fast_pattern; content:\"longest\";)\n";
        let all = Literals::of_rules(rules);
        let seen: Vec<_> = all.rows.iter().map(|r| (r.place, &r.bytes[..], r.is_part)).collect();
        let wanted = [(Place::Uri, &b"longer than"[..], true), (Place::Plain, &b"plain"[..], true)];
        assert_eq!(seen, wanted);
        assert_eq!(bytes_of("/x|2e 2E|php"), b"/x..php");
    }

    #[test]
    fn lengths_do_not_depend_on_the_filling() {
        let all = Literals::of_rules("alert tcp any any -> any any (content:\"aaaa\"; sid:1;)\n");
        let lengths = |filling| {
            let mut sequence = Sequence(3);
            let talks = [http(&mut sequence, filling), plain(&mut sequence, filling)];
            talks.map(|talk| talk.turns.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>())
        };
        let clean = lengths(Filling::Clean);
        assert_eq!(clean, lengths(Filling::Almost(&all)));
        assert_eq!(clean, lengths(Filling::Parts(&all)));
    }
}
