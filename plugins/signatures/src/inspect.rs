//! One buffer against the steps of one part, with Suricata's way of going back: where a step fails
//! that is bound to a content before it, the next place of that content is tried.
//!
//! Must never know which buffer this is, or what the rule says besides.

use crate::asn1;
use crate::budget;
use crate::numbers;
use crate::search;
use crate::transform::base64;
use crate::world::{Found, World};
use portcullis_rules_form::{ByteSource, Content, Step, Value, content};

/// Steps that one rule may take on one buffer, as Suricata's recursion limit.
const STEPS_MAX: u32 = 3_000;
/// A variable of this much or more is no place in any buffer.
const PLACE_MAX: i64 = 1 << 31;

/// The bytes that are inspected.
pub(crate) struct Subject<'a> {
    /// All of them.
    pub(crate) bytes: &'a [u8],
    /// Where they begin in the stream or body.
    pub(crate) offset: u64,
    /// How many of them were looked through with an earlier event: a match takes in more.
    pub(crate) seen: usize,
    /// They end where the buffer ends.
    pub(crate) complete: bool,
    /// For the host's regular expressions; `None` for bytes made here.
    pub(crate) handle: Option<u32>,
    /// Seconds since 1970.
    pub(crate) seconds: u64,
    /// Who sent it: for `ftpbounce`.
    pub(crate) source: [u8; 16],
}

/// What a step, and all behind it, said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Match,
    No,
    /// All hold, on bytes that were looked through before; what begins elsewhere may be new.
    Old,
    /// No, and no other place of an earlier step can help.
    Never,
}

/// What data sets say; apart from the world, since they need what was read of the rules.
pub(crate) trait DataSets<W: World> {
    /// Tests or changes a set; whether the step holds.
    fn dataset(&mut self, world: &mut W, set: u32, operation: u8, bytes: &[u8]) -> bool;
}

/// One inspection.
pub(crate) struct Inspection<'i, W, D> {
    world: &'i mut W,
    data: &'i mut D,
    variables: &'i mut Vec<u64>,
    cursor: usize,
    steps_left: u32,
    /// Where the last content was found: evidence.
    found: Option<(usize, usize)>,
    /// Behind the last byte that decided anything.
    touched: Option<usize>,
    /// Points that looking through bytes came to: [`crate::budget`].
    points: u32,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inspected {
    /// Whether all steps hold.
    pub(crate) matched: bool,
    /// A place that shows it: offset and length.
    pub(crate) evidence: Option<(usize, usize)>,
    /// Steps taken.
    pub(crate) steps: u32,
    /// What all of it came to: [`crate::budget`].
    pub(crate) points: u32,
}

/// Inspects a buffer.
pub(crate) fn inspect<W: World, D: DataSets<W>>(
    subject: &Subject<'_>,
    steps: &[Step],
    variables: &mut Vec<u64>,
    world: &mut W,
    data: &mut D,
) -> Inspected {
    let steps_left = STEPS_MAX;
    let (cursor, found, touched) = (0, None, None);
    let points = 0;
    let mut run = Inspection { world, data, variables, cursor, steps_left, found, touched, points };
    let matched = run.from(subject, steps) == Outcome::Match;
    let steps = STEPS_MAX - run.steps_left;
    let points = run.points.saturating_add(steps * budget::STEP);
    Inspected { matched, evidence: run.found, steps, points }
}

fn yes_or(holds: bool, otherwise: Outcome) -> Outcome {
    if holds { Outcome::Match } else { otherwise }
}

impl<W: World, D: DataSets<W>> Inspection<'_, W, D> {
    fn value(&self, value: Value) -> i64 {
        match value {
            Value::Number(n) => n,
            Value::Variable(v) => {
                let read = self.variables.get(usize::from(v)).copied().unwrap_or(0);
                i64::try_from(read).unwrap_or(PLACE_MAX).min(PLACE_MAX)
            }
        }
    }

    fn wide(&self, value: Value) -> u64 {
        match value {
            Value::Number(n) => u64::from_ne_bytes(n.to_ne_bytes()),
            Value::Variable(v) => self.variables.get(usize::from(v)).copied().unwrap_or(0),
        }
    }

    fn set(&mut self, variable: u8, value: u64) {
        let at = usize::from(variable);
        if self.variables.len() <= at {
            self.variables.resize(at + 1, 0);
        }
        if let Some(to) = self.variables.get_mut(at) {
            *to = value;
        }
    }

    /// Bytes were looked through.
    fn spend(&mut self, bytes: usize, per_point: usize) {
        self.points = self.points.saturating_add(budget::points(bytes, per_point));
    }

    /// Bytes up to `end` decided on a step.
    fn touch(&mut self, end: usize) {
        self.touched = self.touched.max(Some(end));
    }

    /// The first of these steps, then the rest.
    fn from(&mut self, subject: &Subject<'_>, steps: &[Step]) -> Outcome {
        let Some((step, rest)) = steps.split_first() else {
            let new = self.touched.is_none_or(|end| subject.seen == 0 || end > subject.seen);
            return yes_or(new, Outcome::Old);
        };
        self.steps_left = self.steps_left.saturating_sub(1);
        if self.steps_left == 0 {
            return Outcome::Never;
        }
        match step {
            Step::Content(content) => self.content(subject, content, rest),
            Step::Regex { .. } => self.regex(subject, step, rest),
            Step::Base64 { .. } => self.base64(subject, step),
            other => match self.single(subject, other) {
                Outcome::Match => self.from(subject, rest),
                refused => refused,
            },
        }
    }

    /// From where to where a content is looked for; `None` where it cannot stand.
    fn field(&self, subject: &Subject<'_>, c: &Content, cursor: usize) -> Option<(i64, i64)> {
        let has = |flag: u16| c.flags & flag != 0;
        let len = i64::try_from(subject.bytes.len()).ok()?;
        let start = i64::try_from(subject.offset).unwrap_or(i64::MAX);
        let (mut from, mut to) = (0, len);
        // A depth counts from the stream's beginning where the buffer is a later piece of it.
        let from_stream = |to: i64| {
            if start == 0 || to >= start.saturating_add(len) {
                Some(to)
            } else if to <= start {
                None
            } else {
                Some(to - start)
            }
        };
        if has(content::DISTANCE) || has(content::WITHIN) {
            let cursor = i64::try_from(cursor).ok()?;
            let distance = if has(content::DISTANCE) { self.value(c.distance) } else { 0 };
            from = (cursor + distance).max(0);
            if has(content::WITHIN) {
                to = to.min(cursor + self.value(c.within) + distance);
                if cursor == 0 {
                    to = from_stream(to)?;
                }
            }
            if has(content::DEPTH) {
                to = to.min(cursor + self.value(c.depth));
            }
            if has(content::OFFSET) {
                from = from.max(self.value(c.offset));
            }
            // As Suricata 7: beside a value out of the traffic the end counts from the beginning.
            let variable = |value: Value| matches!(value, Value::Variable(_));
            if [c.distance, c.offset, c.depth].into_iter().any(variable) {
                to = to.saturating_add(from);
            }
        } else {
            if has(content::DEPTH) {
                to = from_stream(self.depth_end(c))?;
            }
            if has(content::OFFSET) {
                from = self.value(c.offset);
            }
        }
        Some((from, to.min(len)))
    }

    /// Where a depth ends: written depths count from the buffer's beginning once parsed with their
    /// offset, those of variables from the offset.
    fn depth_end(&self, c: &Content) -> i64 {
        let offset = if c.flags & content::OFFSET != 0 { self.value(c.offset) } else { 0 };
        self.value(c.depth) + offset
    }

    fn content(&mut self, subject: &Subject<'_>, c: &Content, rest: &[Step]) -> Outcome {
        let has = |flag: u16| c.flags & flag != 0;
        let relative = has(content::DISTANCE) || has(content::WITHIN);
        let negated = has(content::NEGATED);
        let mut refused = if relative { Outcome::No } else { Outcome::Never };
        let mut none = Outcome::No;
        let (cursor, touched) = (self.cursor, self.touched);
        let field = self.field(subject, c, cursor);
        let Some((mut from, to)) = field else {
            return if negated { self.from(subject, rest) } else { Outcome::No };
        };
        loop {
            if from > to || to <= 0 {
                return if negated { self.from(subject, rest) } else { none };
            }
            match self.place(subject, c, from, to) {
                None if negated => return self.from(subject, rest),
                None => return refused,
                Some(_) if negated => {
                    return if relative { Outcome::No } else { Outcome::Never };
                }
                Some((start, end)) => {
                    let before = self.found.replace((start, end - start));
                    self.cursor = end;
                    self.touch(end);
                    match self.from(subject, rest) {
                        // Told with its first end: what begins there is not told again.
                        Outcome::Old if touched.is_some() => return Outcome::Old,
                        Outcome::Old => (refused, none) = (Outcome::Old, Outcome::Old),
                        Outcome::No if has(content::WITHIN_NEXT) => {}
                        Outcome::No if refused == Outcome::Old => return Outcome::Old,
                        Outcome::No => return Outcome::Never,
                        decided => return decided,
                    }
                    (self.found, self.touched) = (before, touched);
                    let mut next = start + 1;
                    if rest.is_empty() {
                        next = next.max((subject.seen + 1).saturating_sub(c.bytes.len()));
                    }
                    from = i64::try_from(next).unwrap_or(i64::MAX);
                    self.steps_left = self.steps_left.saturating_sub(1);
                    if self.steps_left == 0 {
                        return Outcome::Never;
                    }
                }
            }
        }
    }

    /// The content's next place in a field of the buffer.
    fn place(
        &mut self,
        subject: &Subject<'_>,
        c: &Content,
        from: i64,
        to: i64,
    ) -> Option<(usize, usize)> {
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        let nocase = c.flags & content::NOCASE != 0;
        let field = subject.bytes.get(from..to)?;
        if c.flags & content::ENDS_WITH != 0 {
            let start = field.len().checked_sub(c.bytes.len())?;
            let at_end = to == subject.bytes.len();
            let fits = at_end && search::equal(field.get(start..)?, &c.bytes, nocase);
            return fits.then_some((from + start, to));
        }
        let found = search::find(field, &c.bytes, nocase);
        self.spend(found.unwrap_or(field.len()), budget::BYTES_SEARCHED);
        let start = from + found?;
        Some((start, start + c.bytes.len()))
    }

    fn regex(&mut self, subject: &Subject<'_>, step: &Step, rest: &[Step]) -> Outcome {
        let Step::Regex { regex, relative, negated, relative_next } = *step else {
            return Outcome::Never;
        };
        let (cursor, touched) = (self.cursor, self.touched);
        let mut from = if relative { cursor } else { 0 };
        let mut none = Outcome::No;
        loop {
            let Ok(start_at) = u32::try_from(from) else { return Outcome::No };
            self.points = self.points.saturating_add(budget::REGEX);
            self.spend(subject.bytes.len().saturating_sub(from), budget::BYTES_MATCHED);
            let found = match subject.handle {
                Some(handle) => self.world.regex(regex, handle, start_at),
                None => self.world.regex_in(regex, subject.bytes, start_at),
            };
            let (start, end) = match found {
                Found::At(start, end) => (start as usize, end as usize),
                Found::No => {
                    return if negated { self.from(subject, rest) } else { none };
                }
                Found::Unknown => return Outcome::Never,
            };
            if negated {
                return Outcome::No;
            }
            self.cursor = end;
            self.touch(end);
            match self.from(subject, rest) {
                Outcome::Old if touched.is_some() => return Outcome::Old,
                Outcome::Old => none = Outcome::Old,
                Outcome::No if relative_next => {}
                decided => return decided,
            }
            (self.cursor, self.touched) = (cursor, touched);
            self.steps_left = self.steps_left.saturating_sub(1);
            if start + 1 > subject.bytes.len() || self.steps_left == 0 {
                return none;
            }
            from = start + 1;
        }
    }

    /// Steps that hold or do not, at one place only.
    fn single(&mut self, subject: &Subject<'_>, step: &Step) -> Outcome {
        let len = subject.bytes.len();
        match step {
            Step::ByteTest { source, operator, value, negated } => {
                let with = self.wide(*value);
                let Some((at, n, taken)) = self.read(subject, source) else { return Outcome::No };
                self.touch(at + taken);
                yes_or(numbers::compare(n, *operator, with) != *negated, Outcome::No)
            }
            Step::ByteJump { .. } => self.jump(subject, step),
            Step::ByteExtract { source, multiplier, align, variable } => {
                let Some((at, n, taken)) = self.read(subject, source) else { return Outcome::No };
                let mut n = n.wrapping_mul(u64::from(*multiplier));
                if let align @ 2.. = u64::from(*align) {
                    n = n.checked_next_multiple_of(align).unwrap_or(n);
                }
                self.cursor = at + taken;
                self.touch(self.cursor);
                self.set(*variable, n);
                Outcome::Match
            }
            Step::ByteMath { source, operator, value, variable } => {
                let with = self.wide(*value);
                let plain = ByteSource { bitmask: 0, ..*source };
                let Some((at, n, taken)) = self.read(subject, &plain) else { return Outcome::No };
                let Some(result) = numbers::compute(n, *operator, with) else {
                    return Outcome::No;
                };
                self.cursor = at + taken;
                self.touch(self.cursor);
                self.set(*variable, numbers::masked(result, source.bitmask));
                Outcome::Match
            }
            Step::IsDataAt { at, relative, negated } => {
                let variable = matches!(at, Value::Variable(_));
                let at = usize::try_from(self.value(*at)).unwrap_or(usize::MAX / 2);
                let there = if *relative { self.cursor + at <= len } else { at < len };
                if there {
                    self.touch(if *relative { self.cursor + at } else { at + 1 });
                }
                let refused =
                    if variable || (*negated && *relative) { Outcome::No } else { Outcome::Never };
                yes_or(there != *negated, refused)
            }
            other => self.whole(subject, other),
        }
    }

    /// Steps about the buffer as a whole.
    fn whole(&mut self, subject: &Subject<'_>, step: &Step) -> Outcome {
        let holds = match step {
            Step::Length(comparison) => {
                let len = u64::try_from(subject.bytes.len()).unwrap_or(u64::MAX);
                let size = subject.offset.saturating_add(len);
                self.touch(subject.bytes.len());
                // Of a buffer that goes on only a lower bound is known.
                let unbounded = comparison.range.high == u64::MAX && !comparison.negated;
                comparison.holds(size) && (subject.complete || unbounded)
            }
            Step::Number { negated, ranges } => {
                let value = number(subject.bytes);
                ranges.iter().any(|r| r.low <= value && value <= r.high) != *negated
            }
            Step::NumberBits { negated, bits } => (number(subject.bytes) & bits != 0) != *negated,
            Step::Time { future } => (number(subject.bytes) >= subject.seconds) == *future,
            Step::Dataset { set, operation } => {
                self.data.dataset(self.world, *set, *operation, subject.bytes)
            }
            Step::Asn1 { checks, oversize, offset, relative } => {
                let base = if *relative { self.cursor } else { 0 };
                let at = i64::try_from(base).unwrap_or(0).saturating_add(*offset);
                usize::try_from(at).ok().and_then(|at| subject.bytes.get(at..)).is_some_and(
                    |bytes| asn1::fires(bytes, *checks, usize::try_from(*oversize).unwrap_or(0)),
                )
            }
            Step::FtpBounce => bounces(subject.bytes, &subject.source),
            _ => false,
        };
        yes_or(holds, Outcome::Never)
    }

    /// Where a number lies, the number, and how many bytes it takes.
    fn read(&self, subject: &Subject<'_>, source: &ByteSource) -> Option<(usize, u64, usize)> {
        let base = if source.relative { i64::try_from(self.cursor).ok()? } else { 0 };
        let at = base.checked_add(self.value(source.offset))?;
        let (n, taken) = numbers::read(subject.bytes, at, self.value(source.count), source)?;
        Some((usize::try_from(at).ok()?, n, taken))
    }

    fn jump(&mut self, subject: &Subject<'_>, step: &Step) -> Outcome {
        let Step::ByteJump { source, multiplier, align, from, post_offset } = step else {
            return Outcome::Never;
        };
        // Without bytes to read only `post_offset` counts.
        let empty = self.value(source.count) == 0;
        let here = if source.relative { self.cursor } else { 0 };
        let read = if empty { Some((here, 0, 0)) } else { self.read(subject, source) };
        let Some((at, n, taken)) = read else { return Outcome::No };
        self.touch(at + taken);
        let mut distance = n.wrapping_mul(u64::from(*multiplier));
        if *align {
            distance = distance.checked_next_multiple_of(4).unwrap_or(distance);
        }
        let base = match *from {
            Step::FROM_BEGINNING => 0,
            Step::FROM_END => subject.bytes.len(),
            _ => at + taken,
        };
        let target = i64::try_from(base)
            .ok()
            .and_then(|b| b.checked_add(i64::try_from(distance).ok()?))
            .and_then(|t| t.checked_add(self.value(*post_offset)));
        match target.and_then(|t| usize::try_from(t).ok()) {
            Some(t) if t < subject.bytes.len() || (t == subject.bytes.len() && t > 0) => {
                self.cursor = t;
                Outcome::Match
            }
            _ => Outcome::No,
        }
    }

    /// Decodes, and tests what comes of it. The last step that counts.
    fn base64(&mut self, subject: &Subject<'_>, step: &Step) -> Outcome {
        let Step::Base64 { bytes, offset, relative, steps } = step else { return Outcome::Never };
        let base = if *relative { self.cursor } else { 0 };
        let from = base.saturating_add(usize::try_from(*offset).unwrap_or(usize::MAX));
        let Some(mut text) = subject.bytes.get(from..) else { return Outcome::No };
        if *bytes > 0 {
            let most = usize::try_from(*bytes).unwrap_or(usize::MAX);
            text = text.get(..most).unwrap_or(text);
        }
        let decoded = base64(text);
        if decoded.is_empty() || steps.is_empty() {
            return Outcome::No;
        }
        let inner = Subject {
            bytes: &decoded,
            offset: 0,
            seen: 0,
            complete: true,
            handle: None,
            seconds: subject.seconds,
            source: subject.source,
        };
        let (cursor, found) = (std::mem::take(&mut self.cursor), self.found);
        let outcome = self.from(&inner, steps);
        (self.cursor, self.found) = (cursor, found);
        yes_or(outcome == Outcome::Match, Outcome::No)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.get(..8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Whether `PORT a,b,c,d,…` names another address than the sender's.
fn bounces(bytes: &[u8], source: &[u8; 16]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let named: Vec<u8> = digits.split(',').take(4).map_while(|n| n.trim().parse().ok()).collect();
    named.len() == 4 && source.get(12..) != Some(&named[..])
}
