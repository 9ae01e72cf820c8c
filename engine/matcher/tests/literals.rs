//! Hits are those of a naive search and of an automaton, for any literals, payload and cut.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

use aho_corasick::{AhoCorasick, MatchKind};
use portcullis_matcher::{Budget, Builder, Case, Hit, Limits, Literal, fuzz};
use proptest::prelude::*;

/// Few letters, so that literals overlap, contain each other and meet the payload often.
fn crowded() -> impl Strategy<Value = u8> {
    prop_oneof![8 => prop::sample::select(b"aAbB".to_vec()), 1 => any::<u8>()]
}

fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(crowded(), length)
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(Case::Sensitive), Just(Case::Insensitive)]
}

type Owned = (Vec<u8>, Case, u32);

fn borrowed(owned: &[Owned]) -> Vec<Literal<'_>> {
    (0..)
        .zip(owned)
        .map(|(id, (bytes, nocase, group))| Literal { id, bytes, nocase: *nocase, group: *group })
        .collect()
}

fn by_automaton(literals: &[Literal<'_>], payload: &[u8]) -> Vec<Hit> {
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(literals.iter().map(|literal| literal.bytes))
        .unwrap();
    let mut hits: Vec<Hit> = automaton
        .find_overlapping_iter(payload)
        .filter(|found| {
            let literal = literals[found.pattern().as_usize()];
            literal.nocase == Case::Insensitive || literal.bytes == &payload[found.range()]
        })
        .map(|found| Hit { id: literals[found.pattern().as_usize()].id, end: found.end() as u32 })
        .collect();
    hits.sort_unstable();
    hits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hits_are_those_of_a_naive_search(
        owned in prop::collection::vec((text(0..12), case(), 0u32..2), 0..40),
        payload in text(0..400),
        from in 0usize..420,
        budget in prop_oneof![Just(0u64), 0u64..100, Just(u64::MAX)],
    ) {
        fuzz::assert_hits(&borrowed(&owned), &payload, from, budget);
    }

    #[test]
    fn long_literals_are_verified_to_their_last_byte(
        owned in prop::collection::vec((text(1..60), case(), Just(0u32)), 1..20),
        noise in prop::collection::vec((text(0..9), 0usize..20, 0usize..70), 0..12),
        from in 0usize..100,
    ) {
        let mut payload = Vec::new();
        for (gap, which, changed) in &noise {
            payload.extend(gap);
            let mut near = owned[which % owned.len()].0.clone();
            if let Some(byte) = near.get_mut(*changed) {
                *byte ^= 0x20;
            }
            payload.extend(near);
        }
        fuzz::assert_hits(&borrowed(&owned), &payload, from, 40);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::fuzz_literals(&bytes);
    }

    #[test]
    fn hits_are_those_of_an_automaton(
        owned in prop::collection::vec((text(1..9), case(), Just(7u32)), 1..60),
        payload in text(0..2000),
    ) {
        let literals = borrowed(&owned);
        let mut builder = Builder::new(Limits::default());
        literals.iter().for_each(|literal| builder.add(*literal).unwrap());
        let matcher = builder.build();
        let mut found = Vec::new();
        matcher.scan(7, &payload, 0, &mut Budget::of_payload(2000), &mut |hit| found.push(hit));
        found.sort_unstable();
        prop_assert_eq!(found, by_automaton(&literals, &payload));
    }

    #[test]
    fn chunks_with_carry_find_each_hit_once(
        owned in prop::collection::vec((text(1..9), case(), Just(0u32)), 1..20),
        payload in text(0..300),
        cuts in prop::collection::vec(0usize..300, 0..6),
    ) {
        let literals = borrowed(&owned);
        let mut builder = Builder::new(Limits::default());
        literals.iter().for_each(|literal| builder.add(*literal).unwrap());
        let matcher = builder.build();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(payload.len())).collect();
        cuts.push(payload.len());
        cuts.sort_unstable();
        let (mut found, mut done) = (Vec::new(), 0);
        for cut in cuts {
            let begin = done - matcher.carry(0).min(done);
            let chunk = &payload[begin..cut];
            let mut budget = Budget::of_payload(chunk.len());
            matcher.scan(0, chunk, done - begin, &mut budget, &mut |hit| {
                found.push(Hit { end: hit.end + begin as u32, ..hit });
            });
            done = cut;
        }
        found.sort_unstable();
        prop_assert_eq!(found, by_automaton(&literals, &payload));
    }
}

#[test]
fn limits_are_told_in_sentences() {
    let mut builder = Builder::new(Limits { literals: 2, literal_bytes: 8, groups: 1 });
    let literal = |bytes, group| Literal { id: 1, bytes, nocase: Case::Sensitive, group };
    assert!(builder.add(literal(b"", 0)).unwrap_err().to_string().contains("at least one byte"));
    assert!(builder.add(literal(b"123456789", 0)).unwrap_err().to_string().contains("at most 8"));
    builder.add(literal(b"one", 0)).unwrap();
    assert!(builder.add(literal(b"two", 1)).unwrap_err().to_string().contains("join groups"));
    builder.add(literal(b"two", 0)).unwrap();
    assert!(builder.add(literal(b"six", 0)).unwrap_err().to_string().contains("disable rules"));
    let matcher = builder.build();
    assert_eq!((matcher.literals(), matcher.carry(0), matcher.carry(5)), (2, 2, 0));
}

#[test]
fn a_group_that_is_not_there_has_no_hits() {
    let matcher = Builder::new(Limits::default()).build();
    let mut budget = Budget::default();
    matcher.scan(3, b"anything", 0, &mut budget, &mut |_| unreachable!());
    assert_eq!((budget.spent(), matcher.prepare(3)), (0, 0));
}
