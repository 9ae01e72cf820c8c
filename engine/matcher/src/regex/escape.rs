//! Escapes and classes of an expression. It must never know groups or repeats.
//!
//! Source: pcre2pattern(3), "Backslash", "Square brackets and character classes".

use super::RegexError;
use super::parse::Parser;
use super::syntax::{ByteSet, Node, Place};

impl Parser<'_> {
    /// After `\` outside a class.
    pub(super) fn escape(&mut self) -> Result<Node, RegexError> {
        let Some(byte) = self.take() else {
            return Err(self.error("a `\\` at the end: write `\\\\`"));
        };
        if let Some(set) = set_of(byte) {
            return Ok(Node::Bytes(set));
        }
        Ok(match byte {
            b'A' => Node::Place(Place::Start),
            b'z' => Node::Place(Place::End),
            b'Z' => Node::Place(Place::EndOrNewline),
            b'b' => Node::Place(Place::WordEdge),
            b'B' => Node::Place(Place::NoWordEdge),
            b'G' => Node::Place(Place::SearchStart),
            b'K' => Node::Keep,
            b'R' => newline(),
            b'E' => Node::Empty,
            b'k' => self.named_reference()?,
            b'g' => self.numbered_reference()?,
            b'1'..=b'9' => {
                self.at -= 1;
                return self.reference_or_octal();
            }
            byte => {
                let byte = self.escaped_byte(byte)?;
                self.literal(byte)
            }
        })
    }

    fn named_reference(&mut self) -> Result<Node, RegexError> {
        let close = match self.take() {
            Some(b'<') => b'>',
            Some(b'{') => b'}',
            Some(b'\'') => b'\'',
            _ => return Err(self.error("`\\k` wants a name: write `\\k<name>`")),
        };
        let to = self.named(close)?;
        Ok(Node::Back { to, folds: self.mode.folds })
    }

    fn numbered_reference(&mut self) -> Result<Node, RegexError> {
        let braced = self.eat("{");
        let relative = self.eat("-");
        let number = match self.number() {
            0 if braced && !relative => {
                let to = self.named(b'}')?;
                return Ok(Node::Back { to, folds: self.mode.folds });
            }
            number if relative => (self.captures + 1).saturating_sub(number),
            number => number,
        };
        if number == 0 || braced && !self.eat("}") {
            return Err(self.error("`\\g` wants a group's number: write `\\g{1}`"));
        }
        Ok(Node::Back { to: number, folds: self.mode.folds })
    }

    /// `\1` to `\9` refer to groups; longer numbers do if there are so many, and are else octal.
    fn reference_or_octal(&mut self) -> Result<Node, RegexError> {
        let start = self.at;
        let number = self.number();
        if number < 10 || number <= self.captures {
            return Ok(Node::Back { to: number, folds: self.mode.folds });
        }
        self.at = start;
        let first = self.take().unwrap_or(b'0');
        if first >= b'8' {
            return Ok(self.literal(first));
        }
        let byte = self.octal(first)?;
        Ok(self.literal(byte))
    }

    /// Up to three octal digits, the first already taken.
    fn octal(&mut self, first: u8) -> Result<u8, RegexError> {
        let mut value = u32::from(first - b'0');
        for _ in 0..2 {
            let Some(digit) = self.peek().filter(|byte| matches!(byte, b'0'..=b'7')) else { break };
            value = value * 8 + u32::from(digit - b'0');
            self.at += 1;
        }
        u8::try_from(value).map_err(|_| self.error("an octal number above \\377: write \\xhh"))
    }

    /// The byte that an escape stands for.
    fn escaped_byte(&mut self, byte: u8) -> Result<u8, RegexError> {
        Ok(match byte {
            b'a' => 0x07,
            b'e' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => self.octal(byte)?,
            b'x' => self.hexadecimal()?,
            b'o' if self.eat("{") => {
                let value = self.digits_to_brace(8)?;
                u8::try_from(value).map_err(|_| self.error("`\\o{…}` above 377 is no byte"))?
            }
            b'c' => match self.take() {
                Some(byte) if byte.is_ascii() => byte.to_ascii_uppercase() ^ 0x40,
                _ => return Err(self.error("`\\c` wants an ASCII character")),
            },
            b'p' | b'P' | b'X' | b'C' => {
                return Err(self.error(
                    "this escape is for text, and patterns here match bytes: \
                     write a class of bytes",
                ));
            }
            // PCRE2 refuses other letters; rules in use have some, and mean the letter.
            byte => byte,
        })
    }

    /// After `\x`: up to two digits, or any number in braces.
    fn hexadecimal(&mut self) -> Result<u8, RegexError> {
        if self.eat("{") {
            let value = self.digits_to_brace(16)?;
            return u8::try_from(value).map_err(|_| self.error("`\\x{…}` above ff is no byte"));
        }
        let mut value = 0u8;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                break;
            };
            value = value << 4 | u8::try_from(digit).unwrap_or(0);
            self.at += 1;
        }
        Ok(value)
    }

    fn digits_to_brace(&mut self, radix: u32) -> Result<u32, RegexError> {
        let mut value = 0u32;
        loop {
            match self.take() {
                Some(b'}') => return Ok(value),
                Some(byte) => {
                    let digit = char::from(byte).to_digit(radix);
                    let digit = digit.ok_or_else(|| self.error("a number in braces is odd"))?;
                    value = value.saturating_mul(radix).saturating_add(digit);
                }
                None => return Err(self.error("a number in braces has no `}`")),
            }
        }
    }

    /// After `[`.
    pub(super) fn class(&mut self) -> Result<ByteSet, RegexError> {
        let negated = self.eat("^");
        let mut set = ByteSet::default();
        let mut is_first = true;
        loop {
            let Some(byte) = self.take() else {
                return Err(self.error("a class has no `]`: close it, or escape its `[`"));
            };
            if byte == b']' && !is_first {
                break;
            }
            is_first = false;
            match self.class_member(byte)? {
                Member::Set(more) => set.join(&more),
                Member::Nothing => {}
                Member::Byte(first) => {
                    let last = self.range_end(first)?;
                    set.join(&ByteSet::range(first, last));
                }
            }
        }
        let set = if self.mode.folds { set.folded() } else { set };
        Ok(if negated { set.negated() } else { set })
    }

    /// The last byte of a range that begins with `first`, or `first`.
    fn range_end(&mut self, first: u8) -> Result<u8, RegexError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !matches!(rest, [b'-', next, ..] if *next != b']') {
            return Ok(first);
        }
        let before = self.at;
        self.at += 1;
        let byte = self.take().unwrap_or(first);
        match self.class_member(byte)? {
            Member::Byte(last) if last >= first => Ok(last),
            Member::Byte(_) => Err(self.error("a range in a class is out of order: swap its ends")),
            // `[a-\d]`: the hyphen is a literal.
            _ => {
                self.at = before;
                Ok(first)
            }
        }
    }

    fn class_member(&mut self, byte: u8) -> Result<Member, RegexError> {
        match byte {
            b'[' => Ok(self.posix().map_or(Member::Byte(b'['), Member::Set)),
            b'\\' => {
                let Some(byte) = self.take() else {
                    return Err(self.error("a class has no `]`: close it, or escape its `[`"));
                };
                Ok(match byte {
                    b'b' => Member::Byte(0x08),
                    b'E' | b'Q' => Member::Nothing,
                    b'1'..=b'7' => Member::Byte(self.octal(byte)?),
                    b'R' => return Err(self.error("`\\R` has no place in a class")),
                    byte => match set_of(byte).filter(|_| byte != b'N') {
                        Some(set) => Member::Set(set),
                        None => Member::Byte(self.escaped_byte(byte)?),
                    },
                })
            }
            byte => Ok(Member::Byte(byte)),
        }
    }

    /// `[:alpha:]` after its first bracket.
    fn posix(&mut self) -> Option<ByteSet> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(b":")?;
        let end = rest.windows(2).position(|pair| pair == b":]")?;
        let name = rest.get(..end)?;
        let (negated, name) = name.strip_prefix(b"^").map_or((false, name), |name| (true, name));
        let is_in: fn(&u8) -> bool = match name {
            b"alnum" => u8::is_ascii_alphanumeric,
            b"alpha" => u8::is_ascii_alphabetic,
            b"ascii" => u8::is_ascii,
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => u8::is_ascii_control,
            b"digit" => u8::is_ascii_digit,
            b"graph" => u8::is_ascii_graphic,
            b"lower" => u8::is_ascii_lowercase,
            b"print" => |byte| byte.is_ascii_graphic() || *byte == b' ',
            b"punct" => u8::is_ascii_punctuation,
            b"space" => |byte| matches!(byte, b'\t'..=b'\r' | b' '),
            b"upper" => u8::is_ascii_uppercase,
            b"word" => |byte| byte.is_ascii_alphanumeric() || *byte == b'_',
            b"xdigit" => u8::is_ascii_hexdigit,
            _ => return None,
        };
        self.at += end + 3;
        let mut set = ByteSet::default();
        (0..=255u8).filter(is_in).for_each(|byte| set.insert(byte));
        Some(if negated { set.negated() } else { set })
    }
}

enum Member {
    Byte(u8),
    Set(ByteSet),
    Nothing,
}

/// The sets that letters stand for, inside classes and outside.
fn set_of(letter: u8) -> Option<ByteSet> {
    let horizontal = || {
        let mut set = ByteSet::of(b'\t');
        set.insert(b' ');
        set.insert(0xa0);
        set
    };
    let vertical = || {
        let mut set = ByteSet::range(b'\n', b'\r');
        set.insert(0x85);
        set
    };
    Some(match letter {
        b'd' => ByteSet::digits(),
        b'D' => ByteSet::digits().negated(),
        b'w' => ByteSet::words(),
        b'W' => ByteSet::words().negated(),
        b's' => ByteSet::spaces(),
        b'S' => ByteSet::spaces().negated(),
        b'h' => horizontal(),
        b'H' => horizontal().negated(),
        b'v' => vertical(),
        b'V' => vertical().negated(),
        b'N' => ByteSet::of(b'\n').negated(),
        _ => return None,
    })
}

/// `\R`: CR LF, or one byte that ends a line.
fn newline() -> Node {
    let mut one = ByteSet::range(b'\n', b'\r');
    one.insert(0x85);
    let both = vec![Node::Bytes(ByteSet::of(b'\r')), Node::Bytes(ByteSet::of(b'\n'))];
    let choice = Node::Choice(vec![Node::Sequence(both), Node::Bytes(one)]);
    Node::Group(super::syntax::GroupKind::Atomic, Box::new(choice))
}
