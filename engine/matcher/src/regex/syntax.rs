//! The tree of a Perl-compatible expression over bytes. It must never know an engine.

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn of(byte: u8) -> Self {
        let mut set = Self::default();
        set.insert(byte);
        set
    }

    pub(crate) fn range(first: u8, last: u8) -> Self {
        let mut set = Self::default();
        (first..=last).for_each(|byte| set.insert(byte));
        set
    }

    pub(crate) fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub(crate) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(to, from)| *to |= from);
    }

    pub(crate) fn negated(&self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// With both cases of every ASCII letter that is in it.
    pub(crate) fn folded(&self) -> Self {
        let mut set = *self;
        for byte in (0..=255u8).filter(|byte| self.contains(*byte)) {
            set.insert(byte.to_ascii_lowercase());
            set.insert(byte.to_ascii_uppercase());
        }
        set
    }

    /// Its runs, first and last byte of each.
    pub(crate) fn runs(&self) -> Vec<(u8, u8)> {
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for byte in (0..=255u8).filter(|byte| self.contains(*byte)) {
            match runs.last_mut() {
                Some((_, last)) if *last < 255 && *last + 1 == byte => *last = byte,
                _ => runs.push((byte, byte)),
            }
        }
        runs
    }

    pub(crate) fn digits() -> Self {
        Self::range(b'0', b'9')
    }

    pub(crate) fn words() -> Self {
        let mut set = Self::digits();
        set.join(&Self::range(b'a', b'z'));
        set.join(&Self::range(b'A', b'Z'));
        set.insert(b'_');
        set
    }

    pub(crate) fn spaces() -> Self {
        let mut set = Self::range(b'\t', b'\r');
        set.insert(b' ');
        set
    }
}

/// A place without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `\A`, and `^` without `m`.
    Start,
    /// `^` with `m`.
    LineStart,
    /// `\z`, and `$` with `E`.
    End,
    /// `$` and `\Z`: the end, or before a newline that is last.
    EndOrNewline,
    /// `$` with `m`.
    LineEnd,
    /// `\b`.
    WordEdge,
    /// `\B`.
    NoWordEdge,
    /// `\G`: where the search began.
    SearchStart,
}

/// How a group is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    /// `(…)`, named or not.
    Capture,
    /// `(?:…)`.
    Plain,
    /// `(?>…)`.
    Atomic,
    /// `(?=…)`.
    Ahead,
    /// `(?!…)`.
    NotAhead,
    /// `(?<=…)`.
    Behind,
    /// `(?<!…)`.
    NotBehind,
}

/// How a repeat chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greed {
    /// As often as possible first.
    Greedy,
    /// As seldom as possible first.
    Lazy,
    /// As often as possible, and never less.
    Possessive,
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Empty,
    Bytes(ByteSet),
    Place(Place),
    Group(GroupKind, Box<Node>),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
        greed: Greed,
    },
    Back {
        to: u32,
        folds: bool,
    },
    /// `\K`: the match begins here.
    Keep,
    /// `(?(1)yes|no)`.
    Conditional {
        on: u32,
        yes: Box<Node>,
        no: Box<Node>,
    },
}

impl Node {
    /// Whether finite automata cannot follow it.
    pub(crate) fn needs_backtracking(&self) -> bool {
        match self {
            Self::Empty | Self::Bytes(_) => false,
            Self::Place(place) => *place == Place::SearchStart,
            Self::Group(GroupKind::Capture | GroupKind::Plain, node) => node.needs_backtracking(),
            Self::Group(..) | Self::Back { .. } | Self::Keep | Self::Conditional { .. } => true,
            Self::Sequence(nodes) | Self::Choice(nodes) => {
                nodes.iter().any(Self::needs_backtracking)
            }
            Self::Repeat { node, greed, .. } => {
                *greed == Greed::Possessive || node.needs_backtracking()
            }
        }
    }

    /// Whether it has a `$` that may stand before a last newline.
    pub(crate) fn ends_before_newline(&self) -> bool {
        match self {
            Self::Place(place) => *place == Place::EndOrNewline,
            Self::Group(_, node) | Self::Repeat { node, .. } => node.ends_before_newline(),
            Self::Sequence(nodes) | Self::Choice(nodes) => {
                nodes.iter().any(Self::ends_before_newline)
            }
            _ => false,
        }
    }

    /// Whether a second search, in the text without its last newline, finds what each such `$`
    /// finds there: nothing may come after it, and nothing else may speak of the text's end.
    pub(crate) fn ends_only_with_dollars(&self, last: bool) -> bool {
        match self {
            Self::Place(Place::EndOrNewline) => last,
            Self::Place(Place::End) => false,
            Self::Group(_, node) => node.ends_only_with_dollars(last),
            Self::Repeat { node, most, .. } => {
                node.ends_only_with_dollars(last && *most == Some(1))
            }
            Self::Choice(nodes) => nodes.iter().all(|node| node.ends_only_with_dollars(last)),
            Self::Sequence(nodes) => nodes.iter().enumerate().all(|(index, node)| {
                let rest = nodes.get(index + 1..).unwrap_or_default();
                node.ends_only_with_dollars(last && rest.iter().all(Self::is_blank))
            }),
            _ => true,
        }
    }

    /// Whether it is nothing, or another `$`.
    fn is_blank(&self) -> bool {
        match self {
            Self::Empty | Self::Place(Place::EndOrNewline) => true,
            Self::Group(GroupKind::Capture | GroupKind::Plain, node) => node.is_blank(),
            Self::Sequence(nodes) => nodes.iter().all(Self::is_blank),
            _ => false,
        }
    }

    /// Whether every match begins where the text does.
    pub(crate) fn starts_text(&self) -> bool {
        match self {
            Self::Place(place) => *place == Place::Start,
            Self::Group(GroupKind::Capture | GroupKind::Plain | GroupKind::Atomic, node) => {
                node.starts_text()
            }
            Self::Sequence(nodes) => nodes.first().is_some_and(Self::starts_text),
            Self::Choice(nodes) => !nodes.is_empty() && nodes.iter().all(Self::starts_text),
            Self::Repeat { node, least, .. } => *least > 0 && node.starts_text(),
            _ => false,
        }
    }

    /// The fewest bytes of a match, and the most if there is a most.
    pub(crate) fn lengths(&self) -> (u64, Option<u64>) {
        match self {
            Self::Empty | Self::Place(_) | Self::Keep => (0, Some(0)),
            Self::Bytes(_) => (1, Some(1)),
            Self::Group(kind, node) => match kind {
                GroupKind::Capture | GroupKind::Plain | GroupKind::Atomic => node.lengths(),
                _ => (0, Some(0)),
            },
            Self::Sequence(nodes) => nodes.iter().fold((0, Some(0)), |(least, most), node| {
                let (l, m) = node.lengths();
                (least.saturating_add(l), most.zip(m).map(|(a, b): (u64, u64)| a.saturating_add(b)))
            }),
            Self::Choice(nodes) => {
                let all: Vec<_> = nodes.iter().map(Self::lengths).collect();
                let least = all.iter().map(|(least, _)| *least).min().unwrap_or(0);
                let most = all.iter().map(|(_, most)| *most).collect::<Option<Vec<_>>>();
                (least, most.map(|most| most.into_iter().max().unwrap_or(0)))
            }
            Self::Repeat { node, least, most, .. } => {
                let (l, m) = node.lengths();
                let most = m.zip(*most).map(|(m, times)| m.saturating_mul(u64::from(times)));
                (l.saturating_mul(u64::from(*least)), most)
            }
            Self::Back { .. } => (0, None),
            Self::Conditional { yes, no, .. } => {
                let ((l1, m1), (l2, m2)) = (yes.lengths(), no.lengths());
                (l1.min(l2), m1.zip(m2).map(|(a, b)| a.max(b)))
            }
        }
    }
}
