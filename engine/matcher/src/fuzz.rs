//! The entries for fuzzing and property tests: any bytes are literals and a payload.

use crate::{
    Answer, Budget, Builder, Case, Flags, Hit, Kernel, Limits, Literal, RegexLimits, Regexes,
};

/// Makes literals of the first bytes and a payload of the rest, and asserts that both kernels find
/// what a naive search finds.
///
/// # Panics
/// Where they disagree: that is what it is for.
#[doc(hidden)]
pub fn fuzz_literals(bytes: &[u8]) {
    let [count, from, budget, rest @ ..] = bytes else { return };
    let mut rest = rest;
    let mut literals = Vec::new();
    for id in 0..u32::from(*count) {
        let [head, tail @ ..] = rest else { break };
        let (literal, after) = tail.split_at(usize::from(head & 15).min(tail.len()));
        let nocase = if head & 16 == 0 { Case::Sensitive } else { Case::Insensitive };
        literals.push(Literal { id, bytes: literal, nocase, group: u32::from(head >> 7) });
        rest = after;
    }
    assert_hits(&literals, rest, usize::from(*from), u64::from(*budget));
}

/// Asserts for the groups 0 and 1 that all ways of scanning find what a naive search finds.
///
/// # Panics
/// Where they disagree.
#[doc(hidden)]
pub fn assert_hits(literals: &[Literal<'_>], payload: &[u8], from: usize, budget: u64) {
    for kernel in [Kernel::Scalar, Kernel::detect()] {
        let mut builder = Builder::new(Limits::default()).kernel(kernel);
        for literal in literals {
            assert_eq!(builder.add(*literal).is_ok(), !literal.bytes.is_empty());
        }
        let matcher = builder.build();
        for group in [0, 1] {
            let expected = naive(literals, group, payload, from);
            let mut found = Vec::new();
            let mut budget = Budget::new(budget);
            matcher.scan(group, payload, from, &mut budget, &mut |hit| found.push(hit));
            found.sort_unstable();
            assert_eq!(found, expected, "group {group}, {kernel:?}, {budget:?}");
        }
    }
}

/// The hits of a search that has no secrets, in their natural order.
fn naive(literals: &[Literal<'_>], group: u32, payload: &[u8], from: usize) -> Vec<Hit> {
    let mut hits = Vec::new();
    for literal in literals.iter().filter(|one| one.group == group && !one.bytes.is_empty()) {
        for (start, window) in payload.windows(literal.bytes.len()).enumerate() {
            let is_same = match literal.nocase {
                Case::Sensitive => window == literal.bytes,
                Case::Insensitive => window.eq_ignore_ascii_case(literal.bytes),
            };
            let end = start + literal.bytes.len();
            if is_same && end > from {
                hits.push(Hit { id: literal.id, end: u32::try_from(end).unwrap_or(u32::MAX) });
            }
        }
    }
    hits.sort_unstable();
    hits
}

/// Takes the first half of the bytes for an expression and the rest for what it searches, and
/// asserts that nothing panics and that a match lies where it can.
///
/// # Panics
/// Where it does not.
#[doc(hidden)]
pub fn fuzz_regex(bytes: &[u8]) {
    let [letters, rest @ ..] = bytes else { return };
    let (pattern, haystack) = rest.split_at(rest.len() / 2);
    let pattern: String = pattern.iter().map(|&byte| char::from(byte & 0x7f)).collect();
    let flags = Flags {
        caseless: letters & 1 != 0,
        multiline: letters & 2 != 0,
        dot_all: letters & 4 != 0,
        extended: letters & 8 != 0,
        anchored: letters & 16 != 0,
        dollar_end_only: letters & 32 != 0,
        ungreedy: letters & 64 != 0,
    };
    let mut regexes = Regexes::new(RegexLimits { program_bytes: 1 << 16, ..Default::default() });
    let Ok(id) = regexes.add(&pattern, flags) else { return };
    let mut places = Vec::new();
    for from in [0, haystack.len() / 3, haystack.len()] {
        let found = regexes.find(id, haystack, from, 1 << 16);
        let captured = regexes.captures(id, (haystack, from), 1 << 16, &mut places);
        assert_eq!(found, captured, "/{pattern}/ from {from}");
        if let Answer::Found { start, end } = found {
            assert!(from <= start && start <= end && end <= haystack.len(), "/{pattern}/");
        }
    }
}
