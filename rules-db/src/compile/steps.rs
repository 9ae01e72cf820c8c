//! Tests of buffers, as steps.

use super::{Compiler, kinds};
use crate::ast::{
    self, Anchor, BufferTest, Case, DatasetOperation, Encoding, JumpTo, Operand, Origin, Polarity,
    Rule,
};
use portcullis_rules_form::{
    Base, Body, ByteSource, Comparison, Content, Endian, MathOperator, Operator, Part, Range, Step,
    Transform, Value, content, part,
};

pub(super) fn negated(polarity: Polarity) -> bool {
    polarity == Polarity::Negated
}

pub(super) fn comparison(test: &ast::NumberTest) -> Comparison {
    let range = Range { low: test.low, high: test.high };
    Comparison { negated: negated(test.polarity), range }
}

fn value(operand: Operand) -> Value {
    match operand {
        Operand::Number(n) => Value::Number(n),
        Operand::Variable(v) => Value::Variable(v),
    }
}

fn source(read: &ast::NumberAt, mask: Option<u32>) -> ByteSource {
    let (endian, text) = match read.encoding {
        Encoding::Binary(ast::Endian::Little) => (Endian::Little, None),
        // DCERPC is not decoded: its messages are little-endian but for rare clients.
        Encoding::Binary(ast::Endian::Dce) => (Endian::Little, None),
        Encoding::Binary(ast::Endian::Big) => (Endian::Big, None),
        Encoding::Text { base } => (
            Endian::Big,
            Some(match base {
                8 => Base::Octal,
                10 => Base::Decimal,
                16 => Base::Hexadecimal,
                _ => Base::Prefix,
            }),
        ),
    };
    ByteSource {
        count: value(read.bytes),
        offset: value(read.offset),
        relative: read.from == Origin::Cursor,
        endian,
        text,
        bitmask: mask.map_or(0, u64::from),
    }
}

/// What follows a test: whether it looks from the test's end.
fn is_relative(test: &BufferTest) -> bool {
    match test {
        BufferTest::Content(c) => c.is_relative(),
        BufferTest::Pcre(p) => p.from == Origin::Cursor,
        BufferTest::ByteTest(t) => t.read.from == Origin::Cursor,
        BufferTest::ByteJump(t) => t.read.from == Origin::Cursor,
        BufferTest::ByteExtract(t) => t.read.from == Origin::Cursor,
        BufferTest::ByteMath(t) => t.read.from == Origin::Cursor,
        BufferTest::IsDataAt(t) => t.from == Origin::Cursor,
        BufferTest::Base64(t) => t.from == Origin::Cursor,
        BufferTest::Asn1(t) => t.from == Origin::Cursor,
        BufferTest::Size(_) | BufferTest::Dataset(_) | BufferTest::Datarep(_) => false,
    }
}

/// Whether a later test looks from the end of this one; and whether, where that test fails, another
/// place of this one may help. A plain `distance` alone is best served by the first place.
fn bound_next(rest: &[BufferTest]) -> (bool, bool) {
    let (mut relative, mut another) = (false, false);
    for test in rest {
        match test {
            BufferTest::Content(c) if c.is_relative() => {
                return (true, another || c.within.is_some() || negated(c.polarity));
            }
            BufferTest::Pcre(p) if p.from == Origin::Cursor => return (true, true),
            BufferTest::Content(_) | BufferTest::Pcre(_) => break,
            other if is_relative(other) => (relative, another) = (true, true),
            _ => {}
        }
    }
    (relative, another)
}

fn of_content(c: &ast::Content, rest: &[BufferTest]) -> Step {
    let (relative_next, within_next) = bound_next(rest);
    let flag = |on: bool, bit: u16| if on { bit } else { 0 };
    let starts = c.startswith == Anchor::Yes;
    let length = i64::try_from(c.bytes.len()).unwrap_or(i64::MAX);
    let depth = c.depth.map(value).or(starts.then_some(Value::Number(length)));
    let flags = flag(c.case == Case::Ignored, content::NOCASE)
        | flag(negated(c.polarity), content::NEGATED)
        | flag(c.offset.is_some() || starts, content::OFFSET)
        | flag(depth.is_some(), content::DEPTH)
        | flag(c.distance.is_some(), content::DISTANCE)
        | flag(c.within.is_some(), content::WITHIN)
        | flag(c.endswith == Anchor::Yes, content::ENDS_WITH)
        | flag(within_next, content::WITHIN_NEXT)
        | flag(relative_next, content::RELATIVE_NEXT);
    let or_zero = |operand: Option<Operand>| operand.map_or(Value::Number(0), value);
    let mut bytes = c.bytes.clone();
    if c.case == Case::Ignored {
        bytes.make_ascii_lowercase();
    }
    Step::Content(Content {
        flags,
        bytes,
        offset: or_zero(c.offset),
        depth: depth.unwrap_or(Value::Number(0)),
        distance: or_zero(c.distance),
        within: or_zero(c.within),
    })
}

fn byte_test(t: &ast::ByteTest) -> Step {
    use ast::ByteOperator as B;
    let operator = match t.operator {
        B::Equal => Operator::Equal,
        B::Less => Operator::Less,
        B::LessEqual => Operator::LessOrEqual,
        B::Greater => Operator::Greater,
        B::GreaterEqual => Operator::GreaterOrEqual,
        B::And => Operator::And,
        B::Xor => Operator::Xor,
    };
    let (source, value) = (source(&t.read, t.mask), value(t.value));
    Step::ByteTest { source, operator, value, negated: negated(t.polarity) }
}

fn byte_jump(t: &ast::ByteJump) -> Step {
    let from = match t.to {
        JumpTo::Read => Step::FROM_HERE,
        JumpTo::Beginning => Step::FROM_BEGINNING,
        JumpTo::End => Step::FROM_END,
    };
    Step::ByteJump {
        source: source(&t.read, t.mask),
        multiplier: u32::from(t.multiplier),
        align: t.align == Anchor::Yes,
        from,
        post_offset: value(t.post_offset),
    }
}

fn byte_math(t: &ast::ByteMath) -> Step {
    use ast::MathOperator as M;
    let operator = match t.operator {
        M::Add => MathOperator::Add,
        M::Subtract => MathOperator::Subtract,
        M::Multiply => MathOperator::Multiply,
        M::Divide => MathOperator::Divide,
        M::ShiftLeft => MathOperator::ShiftLeft,
        M::ShiftRight => MathOperator::ShiftRight,
    };
    let (source, value) = (source(&t.read, t.mask), value(t.right));
    Step::ByteMath { source, operator, value, variable: t.variable }
}

/// A data set's operation, as the form has it.
pub(super) fn operation(operation: DatasetOperation) -> u8 {
    match operation {
        DatasetOperation::IsSet => 0,
        DatasetOperation::IsNotSet => 1,
        DatasetOperation::Set => 2,
        DatasetOperation::Unset => 3,
    }
}

impl Compiler<'_> {
    /// Adds the parts of a rule's buffers.
    pub(super) fn buffers(&mut self, rule: &Rule, body: &mut Body) {
        for tests in &rule.buffers {
            let flags = if kinds::is_multiple(tests.kind) { part::MULTIPLE } else { 0 };
            let transforms = tests.transforms.iter().map(|t| self.transform(t)).collect();
            let steps = self.steps(rule, &tests.tests);
            body.parts.push(Part { kind: tests.kind, flags, transforms, steps });
        }
    }

    fn steps(&mut self, rule: &Rule, tests: &[BufferTest]) -> Vec<Step> {
        (0..tests.len())
            .filter_map(|i| {
                let (test, rest) = (tests.get(i)?, tests.get(i + 1..)?);
                Some(self.step(rule, test, rest))
            })
            .collect()
    }

    fn step(&mut self, rule: &Rule, test: &BufferTest, rest: &[BufferTest]) -> Step {
        match test {
            BufferTest::Content(c) => of_content(c, rest),
            BufferTest::Pcre(p) => {
                if !p.captures.is_empty() {
                    self.cannot(rule, "what a pcre captures is not kept");
                }
                let relative = p.from == Origin::Cursor;
                // Of a relative one the subject begins at the cursor: `^` stands there.
                let flags = if relative { format!("{}R", p.flags) } else { p.flags.clone() };
                Step::Regex {
                    regex: self.builder.regex(&p.pattern, &flags),
                    relative,
                    negated: negated(p.polarity),
                    relative_next: bound_next(rest).0,
                }
            }
            BufferTest::ByteTest(t) => byte_test(t),
            BufferTest::ByteJump(t) => byte_jump(t),
            BufferTest::ByteExtract(t) => Step::ByteExtract {
                source: source(&t.read, None),
                multiplier: u32::from(t.multiplier),
                align: t.align,
                variable: t.variable,
            },
            BufferTest::ByteMath(t) => byte_math(t),
            BufferTest::IsDataAt(t) => Step::IsDataAt {
                at: value(t.offset),
                relative: t.from == Origin::Cursor,
                negated: negated(t.polarity),
            },
            BufferTest::Size(t) => Step::Length(comparison(&t.size)),
            BufferTest::Dataset(d) => {
                let changes =
                    matches!(d.operation, DatasetOperation::Set | DatasetOperation::Unset);
                let is_saved = self.rules.datasets.get(d.set).is_some_and(|s| s.save.is_some());
                if changes && is_saved {
                    self.cannot(rule, "`dataset` with `save` or `state`: no file is written");
                }
                Step::Dataset { set: self.data_set(d.set), operation: operation(d.operation) }
            }
            BufferTest::Datarep(d) => self.datarep(d),
            BufferTest::Base64(b) => Step::Base64 {
                bytes: b.bytes.unwrap_or(0),
                offset: b.offset,
                relative: b.from == Origin::Cursor,
                steps: self.steps(rule, &b.tests),
            },
            BufferTest::Asn1(a) => Step::Asn1 {
                checks: u8::from(a.bitstring_overflow == Anchor::Yes)
                    | u8::from(a.double_overflow == Anchor::Yes) << 1,
                oversize: a.oversize_length.unwrap_or(0),
                offset: i64::from(a.offset),
                relative: a.from == Origin::Cursor,
            },
        }
    }

    /// Reputations are fixed when rules are compiled: those that pass become a set.
    fn datarep(&mut self, d: &ast::DatarepUse) -> Step {
        let Some(data) = self.rules.datasets.get(d.set) else { return Step::Never };
        let pass = |r: &u16| d.reputation.holds(u64::from(*r));
        let rows = data.values.iter().zip(&data.reputations);
        let members: Vec<Vec<u8>> = rows.filter(|(_, r)| pass(r)).map(|(v, _)| v.clone()).collect();
        let kind = portcullis_rules_form::DataKind::Text;
        Step::Dataset { set: self.builder.data_set(&data.name, kind, &members), operation: 0 }
    }

    fn transform(&mut self, transform: &ast::Transform) -> Transform {
        use ast::Transform as T;
        match transform {
            T::DotPrefix => Transform::DotPrefix,
            T::StripWhitespace => Transform::StripWhitespace,
            T::CompressWhitespace => Transform::CompressWhitespace,
            T::ToMd5 => Transform::Md5,
            T::ToSha1 => Transform::Sha1,
            T::ToSha256 => Transform::Sha256,
            // What it has captured is what remains.
            T::Pcre { pattern } => Transform::Regex(self.builder.regex(pattern, "C")),
            T::UrlDecode => Transform::UrlDecode,
            T::Xor { key } => Transform::Xor(key.to_vec()),
            T::ToLowercase => Transform::ToLowercase,
            T::ToUppercase => Transform::ToUppercase,
            T::HeaderLowercase => Transform::HeaderLowercase,
            T::StripPseudoHeaders => Transform::StripPseudoHeaders,
        }
    }
}
