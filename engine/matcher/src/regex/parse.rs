//! From the text of a Perl-compatible expression (PCRE2's syntax, over bytes) to its tree.
//!
//! It must never know an engine. Source: pcre2syntax(3), pcre2pattern(3).

use super::syntax::{ByteSet, Greed, GroupKind, Node, Place};
use super::{Flags, RegexError};

/// Groups within groups: PCRE2 stops at 250; ours need stack in several passes.
const DEPTH_MAX: u32 = 100;
/// PCRE2's bound of a repeat.
const REPEAT_MAX: u32 = 65_535;

/// What `(?…)` switches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub(super) folds: bool,
    lines: bool,
    dot_all: bool,
    extended: bool,
    ungreedy: bool,
    dollar_end_only: bool,
}

pub(super) struct Parser<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) mode: Mode,
    depth: u32,
    pub(super) captures: u32,
    names: Vec<(String, u32)>,
    /// Between `\Q` and `\E`.
    pub(super) quotes: bool,
}

/// What a pattern says.
pub(crate) struct Parsed {
    pub(crate) node: Node,
    /// Its capturing groups.
    pub(crate) captures: u32,
    /// The names of groups, with their numbers.
    pub(crate) names: Vec<(String, u32)>,
}

/// Parses `pattern`, byte by byte as Suricata hands it to PCRE2.
pub(crate) fn parse(pattern: &str, flags: Flags) -> Result<Parsed, RegexError> {
    let mode = Mode {
        folds: flags.caseless,
        lines: flags.multiline,
        dot_all: flags.dot_all,
        extended: flags.extended,
        ungreedy: flags.ungreedy,
        dollar_end_only: flags.dollar_end_only,
    };
    let mut parser = Parser {
        bytes: pattern.as_bytes(),
        at: 0,
        mode,
        depth: 0,
        captures: 0,
        names: Vec::new(),
        quotes: false,
    };
    let node = parser.choice()?;
    if parser.at < parser.bytes.len() {
        return Err(parser.error("unmatched `)`: escape it or open its group"));
    }
    Ok(Parsed { node, captures: parser.captures, names: parser.names })
}

impl Parser<'_> {
    pub(super) fn error(&self, what: &str) -> RegexError {
        RegexError::Syntax { at: self.at, message: what.to_owned() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    pub(super) fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let is_there = self.looking_at(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    /// Alternatives up to a `)` or the end. A mode set inside ends with them.
    fn choice(&mut self) -> Result<Node, RegexError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("more than 100 groups within groups: write it flatter"));
        }
        let before = self.mode;
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        self.mode = before;
        self.depth -= 1;
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Choice(branches) })
    }

    fn sequence(&mut self) -> Result<Node, RegexError> {
        let mut nodes = Vec::new();
        loop {
            self.skip_ignored()?;
            match self.peek() {
                None => break,
                Some(b'|' | b')') if !self.quotes => break,
                Some(_) => {
                    if let Some(atom) = self.atom()? {
                        nodes.push(self.repeated(atom)?);
                    }
                }
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    /// Comments, and with `x` white space.
    fn skip_ignored(&mut self) -> Result<(), RegexError> {
        loop {
            if self.quotes {
                return Ok(());
            } else if self.eat("(?#") {
                while self.take().ok_or_else(|| self.error("`(?#` has no `)`"))? != b')' {}
            } else if self.mode.extended
                && self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == 0x0b)
            {
                self.at += 1;
            } else if self.mode.extended && self.peek() == Some(b'#') {
                while self.take().is_some_and(|byte| byte != b'\n') {}
            } else {
                return Ok(());
            }
        }
    }

    /// One thing that can be repeated; `None` where only a mode was set.
    fn atom(&mut self) -> Result<Option<Node>, RegexError> {
        if self.quotes && self.eat("\\E") {
            self.quotes = false;
            return Ok(None);
        }
        let Some(byte) = self.take() else { return Ok(None) };
        Ok(Some(match byte {
            byte if self.quotes => self.literal(byte),
            b'\\' if self.eat("Q") => {
                self.quotes = true;
                return Ok(None);
            }
            b'(' => return self.group(),
            b'[' => Node::Bytes(self.class()?),
            b'.' if self.mode.dot_all => Node::Bytes(ByteSet::all()),
            b'.' => Node::Bytes(ByteSet::of(b'\n').negated()),
            b'^' if self.mode.lines => Node::Place(Place::LineStart),
            b'^' => Node::Place(Place::Start),
            b'$' if self.mode.lines => Node::Place(Place::LineEnd),
            b'$' if self.mode.dollar_end_only => Node::Place(Place::End),
            b'$' => Node::Place(Place::EndOrNewline),
            b'\\' => self.escape()?,
            b'*' | b'+' | b'?' => {
                return Err(self.error("nothing to repeat: escape the quantifier"));
            }
            byte => self.literal(byte),
        }))
    }

    pub(super) fn literal(&self, byte: u8) -> Node {
        let set = ByteSet::of(byte);
        Node::Bytes(if self.mode.folds { set.folded() } else { set })
    }

    fn repeated(&mut self, atom: Node) -> Result<Node, RegexError> {
        let mut node = atom;
        self.quotes = self.quotes && !self.eat("\\E");
        if self.quotes {
            return Ok(node);
        }
        loop {
            self.skip_ignored()?;
            let (least, most) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => match self.bounds()? {
                    Some(bounds) => bounds,
                    None => return Ok(node),
                },
                _ => return Ok(node),
            };
            self.at += 1;
            let greed = if self.eat("+") {
                Greed::Possessive
            } else if self.eat("?") != self.mode.ungreedy {
                Greed::Lazy
            } else {
                Greed::Greedy
            };
            node = Node::Repeat { node: Box::new(node), least, most, greed };
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`, up to its `}`; a brace that begins none of them is a literal.
    fn bounds(&mut self) -> Result<Option<(u32, Option<u32>)>, RegexError> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b'}') else { return Ok(None) };
        let Some(text) = rest.get(..length).and_then(|text| std::str::from_utf8(text).ok()) else {
            return Ok(None);
        };
        let (least, most) = match text.split_once(',') {
            None => (text, Some(text)),
            Some((least, "")) => (least, None),
            Some((least, most)) => (least, Some(most)),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(least) || !most.is_none_or(digits) {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= REPEAT_MAX);
        let too_many = || self.error("a repeat of more than 65535: use `*` or `+`");
        let least = number(least).ok_or_else(too_many)?;
        let most = most.map(|most| number(most).ok_or_else(too_many)).transpose()?;
        if most.is_some_and(|most| most < least) {
            return Err(self.error("a repeat whose bounds are out of order: swap them"));
        }
        self.at += length + 1;
        Ok(Some((least, most)))
    }

    /// After `(`.
    fn group(&mut self) -> Result<Option<Node>, RegexError> {
        if self.eat("*") {
            return Err(self.error("backtracking verbs `(*…)` are not supported: leave it out"));
        }
        if !self.eat("?") {
            self.captures += 1;
            return self.grouped(GroupKind::Capture).map(Some);
        }
        let kinds = [
            (":", GroupKind::Plain),
            (">", GroupKind::Atomic),
            ("=", GroupKind::Ahead),
            ("!", GroupKind::NotAhead),
            ("<=", GroupKind::Behind),
            ("<!", GroupKind::NotBehind),
        ];
        for (sign, kind) in kinds {
            if self.eat(sign) {
                return self.grouped(kind).map(Some);
            }
        }
        for (open, close) in [("P<", b'>'), ("<", b'>'), ("'", b'\'')] {
            if self.eat(open) {
                let name = self.name(close)?;
                self.captures += 1;
                self.names.push((name, self.captures));
                return self.grouped(GroupKind::Capture).map(Some);
            }
        }
        if self.eat("P=") {
            let to = self.named(b')')?;
            return Ok(Some(Node::Back { to, folds: self.mode.folds }));
        }
        if self.eat("(") {
            return self.conditional().map(Some);
        }
        self.switches()
    }

    fn grouped(&mut self, kind: GroupKind) -> Result<Node, RegexError> {
        let node = self.choice()?;
        if !self.eat(")") {
            return Err(self.error("a group has no `)`: close it, or escape its `(`"));
        }
        Ok(Node::Group(kind, Box::new(node)))
    }

    fn name(&mut self, close: u8) -> Result<String, RegexError> {
        let mut name = String::new();
        loop {
            match self.take() {
                Some(byte) if byte == close && !name.is_empty() => return Ok(name),
                Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' => {
                    name.push(char::from(byte));
                }
                _ => return Err(self.error("a group's name is letters, digits and `_`")),
            }
        }
    }

    /// A name up to `close`, as the number of its group.
    pub(super) fn named(&mut self, close: u8) -> Result<u32, RegexError> {
        let name = self.name(close)?;
        let known = self.names.iter().find(|(known, _)| *known == name);
        let number = known.map(|(_, number)| *number);
        number.ok_or_else(|| self.error("no group before here has this name: check its spelling"))
    }

    fn conditional(&mut self) -> Result<Node, RegexError> {
        let unsupported = "only conditions on a group, `(?(1)…)`, are supported: use alternatives";
        let on = match self.peek() {
            Some(b'1'..=b'9') => self.number(),
            Some(b'<') => {
                self.at += 1;
                self.named(b'>')?
            }
            _ => return Err(self.error(unsupported)),
        };
        if !self.eat(")") {
            return Err(self.error(unsupported));
        }
        let Node::Group(_, inside) = self.grouped(GroupKind::Plain)? else {
            return Err(self.error(unsupported));
        };
        let (yes, no) = match *inside {
            Node::Choice(mut branches) if branches.len() == 2 => {
                let no = branches.pop().unwrap_or(Node::Empty);
                (branches.pop().unwrap_or(Node::Empty), no)
            }
            Node::Choice(_) => return Err(self.error("a condition has at most two branches")),
            node => (node, Node::Empty),
        };
        Ok(Node::Conditional { on, yes: Box::new(yes), no: Box::new(no) })
    }

    /// `(?i)` and its like to the end of the group, or `(?i:…)`.
    fn switches(&mut self) -> Result<Option<Node>, RegexError> {
        let before = self.mode;
        let mut on = true;
        loop {
            match self.take() {
                Some(b'-') => on = false,
                Some(b'i') => self.mode.folds = on,
                Some(b'm') => self.mode.lines = on,
                Some(b's') => self.mode.dot_all = on,
                Some(b'x') => self.mode.extended = on,
                Some(b'U') => self.mode.ungreedy = on,
                Some(b')') => return Ok(None),
                Some(b':') => {
                    let node = self.grouped(GroupKind::Plain)?;
                    self.mode = before;
                    return Ok(Some(node));
                }
                _ => {
                    return Err(self.error(
                        "this `(?…)` is not supported (recursion, callouts, unknown switch): \
                         write the pattern without it",
                    ));
                }
            }
        }
    }

    pub(super) fn number(&mut self) -> u32 {
        let mut number = 0u32;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            number = number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
            self.at += 1;
        }
        number
    }
}
