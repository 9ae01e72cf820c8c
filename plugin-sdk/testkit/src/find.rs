//! Finds a plugin's patterns in the buffers of a case, the plain way: what the engine's matcher
//! does at speed. Cases are small.

use crate::case::{Found, Ready};
use portcullis_detect::{Case, Patterns, RegexAnswer, RegexBank};
use regex_automata::{Input, meta, util::syntax};

/// The hits of a plugin's literals in an event's buffers.
pub(crate) fn scan(ready: &Ready, patterns: &Patterns) -> Vec<Found> {
    let mut out = Vec::new();
    let (direction, flow) = (ready.event.direction, &ready.flow);
    for (buffer, shown) in (0u16..).zip(&ready.buffers) {
        for literal in &patterns.literals {
            let group = patterns.groups.get(literal.group as usize);
            let covered = group
                .is_some_and(|g| g.covers(shown.kind, direction, flow.protocol, flow.server_port));
            if !covered {
                continue;
            }
            let len = literal.bytes.len();
            let same = |window: &[u8]| match literal.case {
                Case::Exact => *window == *literal.bytes,
                Case::Folded => window.eq_ignore_ascii_case(&literal.bytes),
            };
            for (at, _) in shown.bytes.windows(len).enumerate().filter(|(_, w)| same(w)) {
                let end = u32::try_from(at + len).unwrap_or(u32::MAX);
                out.push(Found { buffer, pattern: literal.number, end });
            }
        }
    }
    out
}

/// A plugin's regexes, without look-around and back-references: the engine's own has them.
pub(crate) struct Regexes(Vec<meta::Regex>);

impl Regexes {
    pub(crate) fn new(patterns: &Patterns) -> Result<Self, String> {
        let one = |text: &portcullis_detect::RegexText| {
            let has = |flag: char| text.flags.contains(flag);
            let syntax = syntax::Config::new()
                .utf8(false)
                .unicode(false)
                .case_insensitive(has('i'))
                .dot_matches_new_line(has('s'))
                .multi_line(has('m'))
                .ignore_whitespace(has('x'));
            meta::Builder::new()
                .configure(meta::Config::new().utf8_empty(false))
                .syntax(syntax)
                .build(&text.pattern)
                .map_err(|e| format!("the kit cannot read the regex {:?}: {e}", text.pattern))
        };
        patterns.regexes.iter().map(one).collect::<Result<_, _>>().map(Regexes)
    }
}

impl RegexBank for Regexes {
    fn find(&self, id: u32, haystack: &[u8], from: usize) -> RegexAnswer {
        let Some(regex) = self.0.get(id as usize) else { return RegexAnswer::Unknown };
        let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match regex.find(Input::new(haystack).range(from.min(haystack.len())..)) {
            Some(m) => RegexAnswer::Found { start: offset(m.start()), end: offset(m.end()) },
            None => RegexAnswer::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_detect::RegexText;

    #[test]
    fn regexes_look_back_over_from() {
        let regexes = [("\\bcd", ""), ("(?:B.)", "is")]
            .map(|(p, f)| RegexText { pattern: p.into(), flags: f.into() });
        let patterns = Patterns { regexes: regexes.into(), ..Patterns::default() };
        let bank = Regexes::new(&patterns).expect("they are read");
        assert_eq!(bank.find(0, b"abcd cd", 2), RegexAnswer::Found { start: 5, end: 7 });
        assert_eq!(bank.find(1, b"a b\n", 0), RegexAnswer::Found { start: 2, end: 4 });
        assert_eq!(bank.find(1, b"a b\n", 9), RegexAnswer::No);
        assert_eq!(bank.find(2, b"", 0), RegexAnswer::Unknown);
    }
}
