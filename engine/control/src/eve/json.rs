//! JSON written into a buffer that is used again: no tree, no allocation once it has grown.
//!
//! An [`Object`] or a [`List`] closes itself when it goes out of scope, so that a line is always
//! whole. It must never know what is written.

use std::fmt::{self, Write};

/// One line, without its end. Empty where there is nothing to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// An empty one.
    pub fn new() -> Self {
        Line::default()
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts again, with the memory it has.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Opens the line's object; what the line held is gone.
    pub fn object(&mut self) -> Object<'_> {
        self.0.clear();
        Object::open(&mut self.0)
    }

    /// Opens the line's list; what the line held is gone.
    pub fn list(&mut self) -> List<'_> {
        self.0.clear();
        List::open(&mut self.0)
    }
}

/// `{…}` under way.
#[derive(Debug)]
pub struct Object<'l> {
    out: &'l mut String,
    empty: bool,
}

impl<'l> Object<'l> {
    fn open(out: &'l mut String) -> Self {
        out.push('{');
        Object { out, empty: true }
    }

    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        quoted(self.out, key);
        self.out.push(':');
        self.out
    }

    /// A string.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        quoted(self.key(key), value);
        self
    }

    /// A string, where there is one.
    pub fn text_if(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    /// A string of what a value shows itself as.
    pub fn shown(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        shown(self.key(key), value);
        self
    }

    /// Bytes from the wire, as [`Wire`] shows them.
    pub fn wire(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.shown(key, Wire(bytes))
    }

    /// Bytes from the wire, where there are some.
    pub fn wire_if(&mut self, key: &str, bytes: Option<&[u8]>) -> &mut Self {
        if let Some(bytes) = bytes {
            self.wire(key, bytes);
        }
        self
    }

    /// A list of bytes from the wire; nothing where there are none.
    pub fn wires(&mut self, key: &str, values: &[Vec<u8>]) -> &mut Self {
        if !values.is_empty() {
            let mut list = self.list(key);
            for value in values {
                list.shown(Wire(value));
            }
        }
        self
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, value: impl Into<u64>) -> &mut Self {
        let _ = write!(self.key(key), "{}", value.into());
        self
    }

    /// A whole number, where there is one.
    pub fn number_if(&mut self, key: &str, value: Option<impl Into<u64>>) -> &mut Self {
        if let Some(value) = value {
            self.number(key, value);
        }
        self
    }

    /// A number with a fraction; `null` where it is none.
    pub fn fraction(&mut self, key: &str, value: f64) -> &mut Self {
        let out = self.key(key);
        let _ = if value.is_finite() { write!(out, "{value}") } else { write!(out, "null") };
        self
    }

    /// `true` or `false`.
    pub fn truth(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).push_str(if value { "true" } else { "false" });
        self
    }

    /// `null`.
    pub fn null(&mut self, key: &str) -> &mut Self {
        self.key(key).push_str("null");
        self
    }

    /// An object within; it closes when it is dropped.
    pub fn object(&mut self, key: &str) -> Object<'_> {
        Object::open(self.key(key))
    }

    /// A list within; it closes when it is dropped.
    pub fn list(&mut self, key: &str) -> List<'_> {
        List::open(self.key(key))
    }

    /// A list of numbers.
    pub fn numbers(&mut self, key: &str, values: &[u16]) -> &mut Self {
        let mut list = self.list(key);
        for value in values {
            list.number(*value);
        }
        drop(list);
        self
    }

    /// A list of strings; nothing where there are none.
    pub fn texts(&mut self, key: &str, values: &[String]) -> &mut Self {
        if !values.is_empty() {
            let mut list = self.list(key);
            for value in values {
                list.text(value);
            }
        }
        self
    }

    /// A list of one string, as Suricata's rule metadata has it.
    pub fn single(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.list(key).shown(value);
        self
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push('}');
    }
}

/// `[…]` under way.
#[derive(Debug)]
pub struct List<'l> {
    out: &'l mut String,
    empty: bool,
}

impl<'l> List<'l> {
    fn open(out: &'l mut String) -> Self {
        out.push('[');
        List { out, empty: true }
    }

    fn next(&mut self) -> &mut String {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        self.out
    }

    /// A string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        quoted(self.next(), value);
        self
    }

    /// A string of what a value shows itself as.
    pub fn shown(&mut self, value: impl fmt::Display) -> &mut Self {
        shown(self.next(), value);
        self
    }

    /// A whole number.
    pub fn number(&mut self, value: impl Into<u64>) -> &mut Self {
        let _ = write!(self.next(), "{}", value.into());
        self
    }

    /// An object; it closes when it is dropped.
    pub fn object(&mut self) -> Object<'_> {
        Object::open(self.next())
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        self.out.push(']');
    }
}

/// Bytes from the wire as text: what is UTF-8 as it is, anything else byte by byte, ASCII as it is
/// and the rest as `\xNN`. So Suricata writes them.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'b>(pub &'b [u8]);

impl fmt::Display for Wire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return f.write_str(text);
        }
        self.0.iter().try_for_each(|byte| match byte.is_ascii() {
            true => f.write_char(char::from(*byte)),
            false => write!(f, "\\x{byte:02x}"),
        })
    }
}

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'b>(pub &'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    escaped(out, text);
    out.push('"');
}

fn shown(out: &mut String, value: impl fmt::Display) {
    out.push('"');
    let _ = write!(Escaping(out), "{value}");
    out.push('"');
}

/// Passes on what is written, escaped.
struct Escaping<'l>(&'l mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.0, text);
        Ok(())
    }
}

fn escaped(out: &mut String, mut text: &str) {
    // Runs between characters that need it are copied whole; all of these are one byte long.
    let needs = |b: u8| b < 0x20 || b == b'"' || b == b'\\' || b == 0x7f;
    while let Some(at) = text.bytes().position(needs) {
        let (plain, rest) = text.split_at(at);
        out.push_str(plain);
        let mut rest = rest.chars();
        match rest.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            None => {}
        }
        text = rest.as_str();
    }
    out.push_str(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn nested_and_closed() {
        let mut line = Line::new();
        let mut root = line.object();
        root.text("a", "b\"\\\n").number("n", 7u32).truth("t", true).numbers("v", &[10, 20]);
        root.object("o").single("s", "x").null("z").fraction("f", 0.5);
        drop(root);
        let expected = json!({"a": "b\"\\\n", "n": 7, "t": true, "v": [10, 20],
            "o": {"s": ["x"], "z": null, "f": 0.5}});
        assert_eq!(serde_json::from_str::<Value>(line.as_str()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_text_is_told_byte_by_byte() {
        let mut line = Line::new();
        line.object().wire("a", "grün".as_bytes()).wire("b", b"a\xff\"\x00");
        let expected = json!({"a": "grün", "b": "a\\xff\"\u{0}"});
        assert_eq!(serde_json::from_str::<Value>(line.as_str()).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let mut line = Line::new();
            line.object().text("k", &text).shown("s", &text);
            prop_assert!(!line.as_str().contains('\n'));
            let value: Value = serde_json::from_str(line.as_str()).unwrap();
            prop_assert_eq!(value, json!({"k": &text, "s": &text}));
        }

        #[test]
        fn any_bytes_make_a_line(bytes in any::<Vec<u8>>()) {
            let mut line = Line::new();
            let mut root = line.object();
            root.wire("k", &bytes).wires("l", std::slice::from_ref(&bytes));
            root.shown("h", Hex(&bytes));
            drop(root);
            prop_assert!(!line.as_str().contains('\n'));
            let value: Value = serde_json::from_str(line.as_str()).unwrap();
            if let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(&value["k"], text);
            }
            prop_assert_eq!(&value["l"][0], &value["k"]);
        }
    }
}
