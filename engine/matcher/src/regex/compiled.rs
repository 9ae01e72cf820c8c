//! One expression in the engine that suits it. It must never know its number.
//!
//! The linear engine (finite automata) reads bytes. The backtracking one reads text, so that for
//! it each byte becomes the character of the same number; ASCII needs no copy.

use super::syntax::Node;
use super::{Analysis, Answer, Engine, Flags, RegexError, RegexLimits, emit, parse};
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use std::borrow::Cow;
use std::ops::Range;

/// The places of a match and its groups; the first is the whole match.
pub(crate) type Places = Vec<Option<Range<usize>>>;

enum Program {
    Linear(Box<meta::Regex>),
    Backtracking(Box<fancy_regex::Regex>),
}

/// An expression that can search.
pub(crate) struct Compiled {
    program: Program,
    anchored: Anchored,
    /// A `$` may stand before a newline that is the last byte.
    ends_before_newline: bool,
}

/// What can search for it: finite automata wherever they mean the same.
fn engine_of(node: &Node) -> Engine {
    let dollars_follow = !node.ends_before_newline() || node.ends_only_with_dollars(true);
    if dollars_follow && !node.needs_backtracking() { Engine::Linear } else { Engine::Backtracking }
}

/// What can be said of an expression without an engine.
pub(crate) fn analyse(pattern: &str, flags: Flags) -> Result<Analysis, RegexError> {
    let parse::Parsed { node, captures, .. } = parse::parse(pattern, flags)?;
    let (shortest, longest) = node.lengths();
    let engine = engine_of(&node);
    Ok(Analysis {
        engine,
        anchored_at_start: node.starts_text(),
        anchored_at_from: flags.anchored,
        captures,
        shortest,
        longest: if node.ends_before_newline() {
            longest.map(|n| n.saturating_add(1))
        } else {
            longest
        },
    })
}

impl Compiled {
    pub(crate) fn new(
        pattern: &str,
        flags: Flags,
        limits: &RegexLimits,
    ) -> Result<Self, RegexError> {
        if pattern.len() > limits.pattern_bytes {
            return Err(RegexError::TooLong { bytes: pattern.len(), most: limits.pattern_bytes });
        }
        let node = parse::parse(pattern, flags)?.node;
        let engine = engine_of(&node);
        let text = emit::emit(&node, engine);
        let program = match engine {
            Engine::Linear => Program::Linear(Box::new(linear(&text, limits)?)),
            Engine::Backtracking => {
                let regex = fancy_regex::RegexBuilder::new(&text)
                    .backtrack_limit(limits.backtracks)
                    .delegate_size_limit(limits.program_bytes)
                    .delegate_dfa_size_limit(limits.cache_bytes)
                    .build();
                let refused = |error: fancy_regex::Error| RegexError::Engine(error.to_string());
                Program::Backtracking(Box::new(regex.map_err(refused)?))
            }
        };
        let anchored = if flags.anchored { Anchored::Yes } else { Anchored::No };
        let ends_before_newline = engine == Engine::Linear && node.ends_before_newline();
        Ok(Self { program, anchored, ends_before_newline })
    }

    /// The leftmost match at or after `from`; `from` is no more than the haystack's length.
    pub(crate) fn find(&self, haystack: &[u8], from: usize) -> Answer {
        let regex = match &self.program {
            Program::Linear(regex) => regex,
            Program::Backtracking(regex) => return self.backtrack(regex, haystack, from, None),
        };
        let search = |haystack: &[u8]| {
            let input = Input::new(haystack).range(from..).anchored(self.anchored);
            regex.search(&input).map(|found| found.range())
        };
        let whole = search(haystack);
        let found = match self.without_newline(haystack, from) {
            Some(shorter) => earlier(whole, search(shorter), |range| range.start),
            None => whole,
        };
        found.map_or(Answer::No, |range| Answer::Found { start: range.start, end: range.end })
    }

    /// As [`Compiled::find`], with the places of the groups in `places`.
    pub(crate) fn captures(&self, haystack: &[u8], from: usize, places: &mut Places) -> Answer {
        places.clear();
        let regex = match &self.program {
            Program::Linear(regex) => regex,
            Program::Backtracking(regex) => {
                return self.backtrack(regex, haystack, from, Some(places));
            }
        };
        let search = |haystack: &[u8]| {
            let mut captures = regex.create_captures();
            let input = Input::new(haystack).range(from..).anchored(self.anchored);
            regex.search_captures(&input, &mut captures);
            captures.is_match().then_some(captures)
        };
        let whole = search(haystack);
        let found = match self.without_newline(haystack, from) {
            Some(shorter) => earlier(whole, search(shorter), |captures| {
                captures.get_match().map_or(0, |found| found.start())
            }),
            None => whole,
        };
        let Some(captures) = found else { return Answer::No };
        places.extend(captures.iter().map(|span| span.map(|span| span.range())));
        match places.first() {
            Some(Some(range)) => Answer::Found { start: range.start, end: range.end },
            _ => Answer::No,
        }
    }

    /// The haystack without its last newline, where `$` may stand before it.
    fn without_newline<'a>(&self, haystack: &'a [u8], from: usize) -> Option<&'a [u8]> {
        let shorter = haystack.strip_suffix(b"\n").filter(|_| self.ends_before_newline)?;
        (from <= shorter.len()).then_some(shorter)
    }

    fn backtrack(
        &self,
        regex: &fancy_regex::Regex,
        haystack: &[u8],
        from: usize,
        places: Option<&mut Places>,
    ) -> Answer {
        let text = text_of(haystack);
        let is_copy = matches!(text, Cow::Owned(_));
        let into = |at: usize| {
            let before = haystack.get(..at).unwrap_or_default();
            if is_copy { at + before.iter().filter(|byte| !byte.is_ascii()).count() } else { at }
        };
        let back = |at: usize| {
            if is_copy { text.get(..at).map_or(0, |before| before.chars().count()) } else { at }
        };
        let found = if let Some(places) = places {
            match regex.captures_from_pos(&text, into(from)) {
                Ok(Some(captures)) => {
                    let place = |group: Option<fancy_regex::Match<'_>>| {
                        group.map(|group| back(group.start())..back(group.end()))
                    };
                    places.extend(captures.iter().map(place));
                    places.first().cloned().flatten()
                }
                Ok(None) => None,
                Err(_) => return Answer::GaveUp,
            }
        } else {
            match regex.find_from_pos(&text, into(from)) {
                Ok(found) => found.map(|found| back(found.start())..back(found.end())),
                Err(_) => return Answer::GaveUp,
            }
        };
        match found {
            // The leftmost match begins later: none begins at `from`.
            Some(range) if self.anchored == Anchored::Yes && range.start != from => Answer::No,
            Some(range) => Answer::Found { start: range.start, end: range.end },
            None => Answer::No,
        }
    }

    /// Bytes of memory that the engine tells of.
    pub(crate) fn bytes(&self) -> usize {
        match &self.program {
            Program::Linear(regex) => regex.memory_usage(),
            // It does not tell; a program is some ten times as long as its pattern.
            Program::Backtracking(regex) => 10 * regex.as_str().len(),
        }
    }
}

fn linear(text: &str, limits: &RegexLimits) -> Result<meta::Regex, RegexError> {
    meta::Regex::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .configure(
            meta::Config::new()
                .utf8_empty(false)
                .nfa_size_limit(Some(limits.program_bytes))
                .hybrid_cache_capacity(limits.cache_bytes),
        )
        .build(text)
        .map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            RegexError::Engine(cause.unwrap_or_else(|| error.to_string()))
        })
}

/// Of two matches the one that begins first; of equal ones the first.
fn earlier<T>(one: Option<T>, other: Option<T>, start: impl Fn(&T) -> usize) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) if start(&other) < start(&one) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

/// Each byte as the character of its number.
fn text_of(haystack: &[u8]) -> Cow<'_, str> {
    if haystack.is_ascii()
        && let Ok(text) = std::str::from_utf8(haystack)
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(haystack.iter().map(|&byte| char::from(byte)).collect())
}
