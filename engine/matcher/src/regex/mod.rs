//! Suricata's `pcre:` expressions over bytes.
//!
//! An expression is parsed here, with PCRE2's meaning of every sign; then written out for one of
//! two engines: finite automata where they can follow it, which is nearly always, and else a
//! backtracking engine with a limit. It must never know rules or buffers.
//!
//! Known differences from PCRE2: with `m`, `^` also matches after a newline that is the last
//! byte; recursion, callouts and verbs are refused with a sentence.

mod compiled;
mod emit;
mod escape;
mod parse;
mod syntax;

use compiled::Compiled;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// The switches of an expression that change what it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// `i`: the case of ASCII letters does not count.
    pub caseless: bool,
    /// `m`: `^` and `$` match at lines.
    pub multiline: bool,
    /// `s`: `.` matches newlines.
    pub dot_all: bool,
    /// `x`: white space and comments are ignored.
    pub extended: bool,
    /// `A`: the match begins where the search does.
    pub anchored: bool,
    /// `E`: `$` matches at the very end only.
    pub dollar_end_only: bool,
    /// `G`: repeats choose the fewest first.
    pub ungreedy: bool,
}

impl Flags {
    /// Reads the letters after the last slash of a `pcre` option. Those that choose a buffer, make
    /// it relative (`R`) or lift limits (`O`) are the caller's and are passed over.
    #[must_use]
    pub fn of_letters(letters: &str) -> Self {
        let mut flags = Self::default();
        for letter in letters.bytes() {
            match letter {
                b'i' => flags.caseless = true,
                b'm' => flags.multiline = true,
                b's' => flags.dot_all = true,
                b'x' => flags.extended = true,
                b'A' => flags.anchored = true,
                b'E' => flags.dollar_end_only = true,
                b'G' => flags.ungreedy = true,
                _ => {}
            }
        }
        flags
    }
}

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexError {
    /// The engine refused it: too large, or a look-behind of no fixed length.
    Engine(String),
    /// It is not understood.
    Syntax {
        /// Where, in bytes of the pattern.
        at: usize,
        /// What to write instead.
        message: String,
    },
    /// The pattern has more bytes than [`RegexLimits::pattern_bytes`].
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(cause) => write!(f, "the expression cannot be compiled: {cause}"),
            Self::Syntax { at, message } => write!(f, "at byte {at} of the expression: {message}"),
            Self::TooLong { bytes, most } => {
                write!(f, "the expression has {bytes} bytes: write at most {most}")
            }
        }
    }
}

impl std::error::Error for RegexError {}

/// The limits of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegexLimits {
    /// Steps back that one search may take in the backtracking engine: 20,000, six times what
    /// Suricata allows PCRE2 by default (`match-limit: 3500`). Past it the search gives up.
    pub backtracks: usize,
    /// Bytes of a compiled expression: 4 MiB; rules like `[^\r\n]{2048}` need the most.
    pub program_bytes: usize,
    /// Bytes of an expression's cache per worker: 256 KiB.
    pub cache_bytes: usize,
    /// Bytes of a pattern: 8 KiB, the longest line that Suricata reads.
    pub pattern_bytes: usize,
}

impl Default for RegexLimits {
    fn default() -> Self {
        Self {
            backtracks: 20_000,
            program_bytes: 4 << 20,
            cache_bytes: 256 << 10,
            pattern_bytes: 8192,
        }
    }
}

/// What follows an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Finite automata: time grows with the haystack only.
    Linear,
    /// Backtracking, for look-around, references, atomic groups and `\K`.
    Backtracking,
}

/// What can be said of an expression without running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Which engine it needs.
    pub engine: Engine,
    /// Every match begins at the haystack's first byte (`^` or `\A` without `m`).
    pub anchored_at_start: bool,
    /// Every match begins where the search does (`A`).
    pub anchored_at_from: bool,
    /// Its capturing groups.
    pub captures: u32,
    /// The fewest bytes that a match has.
    pub shortest: u64,
    /// The most bytes that a match has or must see, if there is a most.
    pub longest: Option<u64>,
}

/// The outcome of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The leftmost match, in bytes of the haystack.
    Found {
        /// Its first byte.
        start: usize,
        /// The byte after it.
        end: usize,
    },
    /// There is none.
    No,
    /// Steps ran out, or the expression cannot be compiled. The caller counts it.
    GaveUp,
}

/// Says whether `pattern` can be used, by compiling it.
///
/// # Errors
/// Where it cannot, with what to write instead.
pub fn compile_check(pattern: &str, flags: Flags) -> Result<(), RegexError> {
    Compiled::new(pattern, flags, &RegexLimits::default()).map(|_| ())
}

/// What can be said of `pattern` without an engine.
///
/// # Errors
/// Where it is not understood.
pub fn analyse(pattern: &str, flags: Flags) -> Result<Analysis, RegexError> {
    compiled::analyse(pattern, flags)
}

/// The names of the pattern's groups, with their numbers in [`Regexes::captures`].
///
/// # Errors
/// Where it is not understood.
pub fn group_names(pattern: &str, flags: Flags) -> Result<Vec<(String, u32)>, RegexError> {
    Ok(parse::parse(pattern, flags)?.names)
}

struct Slot {
    pattern: Box<str>,
    flags: Flags,
    compiled: OnceLock<Option<Compiled>>,
}

/// All expressions of all plugins, compiled when they are first needed; shared by the workers.
pub struct Regexes {
    limits: RegexLimits,
    slots: Vec<Slot>,
}

impl fmt::Debug for Regexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regexes").field("expressions", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Regexes {
    /// None yet.
    #[must_use]
    pub fn new(limits: RegexLimits) -> Self {
        Self { limits, slots: Vec::new() }
    }

    /// Adds an expression (what stands between the slashes); returns its number, from 0.
    ///
    /// # Errors
    /// Where its syntax is not understood. What only an engine can refuse is found by
    /// [`compile_check`] or [`Regexes::prepare`].
    pub fn add(&mut self, pattern: &str, flags: Flags) -> Result<u32, RegexError> {
        let most = self.limits.pattern_bytes;
        if pattern.len() > most {
            return Err(RegexError::TooLong { bytes: pattern.len(), most });
        }
        parse::parse(pattern, flags)?;
        let id = u32::try_from(self.slots.len());
        let id = id.map_err(|_| RegexError::Engine("more than 2^32 expressions".to_owned()))?;
        self.slots.push(Slot { pattern: pattern.into(), flags, compiled: OnceLock::new() });
        Ok(id)
    }

    /// Expressions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn compiled(&self, id: u32) -> Option<&Compiled> {
        let slot = self.slots.get(id as usize)?;
        let compile = || Compiled::new(&slot.pattern, slot.flags, &self.limits).ok();
        slot.compiled.get_or_init(compile).as_ref()
    }

    /// Compiles an expression now, off the street, if it is not yet. Says whether it could be.
    pub fn prepare(&self, id: u32) -> bool {
        self.compiled(id).is_some()
    }

    /// The leftmost match that begins at or after `from`. Bytes before `from` are seen by
    /// look-behind, `\b` and `^`; where `R` should hide them, pass the haystack from there.
    ///
    /// One step is one byte to read; a search of more than `steps` bytes gives up before it
    /// begins, and one that goes back more than [`RegexLimits::backtracks`] times gives up then.
    /// Never panics; allocates where the backtracking engine meets bytes that are not ASCII.
    #[must_use]
    pub fn find(&self, id: u32, haystack: &[u8], from: usize, steps: u64) -> Answer {
        match self.ready(id, haystack, from, steps) {
            Ok(compiled) => compiled.find(haystack, from),
            Err(answer) => answer,
        }
    }

    /// As [`Regexes::find`], with the place of each group in `places`: that of the whole match
    /// first, `None` for a group that took no part.
    pub fn captures(
        &self,
        id: u32,
        (haystack, from): (&[u8], usize),
        steps: u64,
        places: &mut Vec<Option<Range<usize>>>,
    ) -> Answer {
        places.clear();
        match self.ready(id, haystack, from, steps) {
            Ok(compiled) => compiled.captures(haystack, from, places),
            Err(answer) => answer,
        }
    }

    /// As [`Regexes::find`], but the place told is that of the first group; there is none where it
    /// took no part.
    #[must_use]
    pub fn group(&self, id: u32, (haystack, from): (&[u8], usize), steps: u64) -> Answer {
        let mut places = Vec::new();
        match (self.captures(id, (haystack, from), steps, &mut places), places.get(1)) {
            (Answer::Found { .. }, Some(Some(place))) => {
                Answer::Found { start: place.start, end: place.end }
            }
            (Answer::Found { .. }, _) => Answer::No,
            (answer, _) => answer,
        }
    }

    fn ready(
        &self,
        id: u32,
        haystack: &[u8],
        from: usize,
        steps: u64,
    ) -> Result<&Compiled, Answer> {
        let Some(left) = haystack.len().checked_sub(from) else { return Err(Answer::No) };
        if left as u64 > steps {
            return Err(Answer::GaveUp);
        }
        self.compiled(id).ok_or(Answer::GaveUp)
    }

    /// Bytes of memory of the patterns and of what is compiled, without the workers' caches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of_slot = |slot: &Slot| {
            let compiled = slot.compiled.get().and_then(Option::as_ref);
            size_of::<Slot>() + slot.pattern.len() + compiled.map_or(0, Compiled::bytes)
        };
        self.slots.iter().map(of_slot).sum()
    }
}
