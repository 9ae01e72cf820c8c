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
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn hits_are_those_of_a_naive_search(
        owned in prop::collection::vec((text(0..12), case(), 0u32..2), 0..130),
        payload in text(0..700),
        from in 0usize..420,
        budget in prop_oneof![Just(0u64), 0u64..100, Just(u64::MAX)],
    ) {
        fuzz::assert_hits(&borrowed(&owned), &payload, from, budget);
    }

    #[test]
    fn long_literals_are_verified_to_their_last_byte(
        owned in prop::collection::vec((text(1..60), case(), Just(0u32)), 1..60),
        noise in prop::collection::vec((text(0..9), 0usize..60, 0usize..70), 0..20),
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
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
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
    assert_eq!(budget.spent(), 0);
}

/// More literals of single bytes than there are buckets: they share buckets, and lose nothing.
#[test]
fn common_single_bytes_are_all_found() {
    for count in 1..=60 {
        let texts: Vec<[u8; 1]> = (0..count).map(|n| [b' ' + n]).collect();
        let mut builder = Builder::new(Limits::default());
        for (id, bytes) in (0..).zip(&texts) {
            builder.add(Literal { id, bytes, nocase: Case::Sensitive, group: 0 }).unwrap();
        }
        let (matcher, payload) = (builder.build(), (b' '..b' ' + 64).collect::<Vec<u8>>());
        let mut hits = Vec::new();
        matcher.scan(0, &payload, 0, &mut Budget::new(u64::MAX), &mut |hit| hits.push(hit.id));
        hits.sort_unstable();
        assert_eq!(hits, (0..u32::from(count)).collect::<Vec<_>>(), "{count} literals");
    }
}

#[test]
fn near_misses_spend_the_budget_and_lose_nothing() {
    let texts: Vec<String> = (0..64u32).map(|n| format!("{:06b}{:06b}", n, n)).collect();
    let mut builder = Builder::new(Limits::default());
    for (id, text) in (0..).zip(&texts) {
        let bytes = text.as_bytes();
        builder.add(Literal { id, bytes, nocase: Case::Sensitive, group: 0 }).unwrap();
    }
    let matcher = builder.build();
    let mut payload: Vec<u8> = (0..4000u32).map(|n| b'0' + ((n * n / 7) % 2) as u8).collect();
    payload.extend_from_slice(texts[63].as_bytes());
    let scan = |budget: &mut Budget| {
        let mut hits = Vec::new();
        matcher.scan(0, &payload, 0, budget, &mut |hit| hits.push(hit));
        hits.sort_unstable();
        hits
    };
    let (mut ample, mut bare) = (Budget::new(u64::MAX), Budget::new(100));
    let expected = scan(&mut ample);
    assert_eq!(scan(&mut bare), expected);
    assert_eq!((ample.overruns(), bare.overruns()), (0, 1));
    assert!(bare.spent() > 100 && bare.spent() == ample.spent());
}

#[test]
fn twenty_thousand_literals_in_sixty_groups_are_small_and_quick_to_build() {
    let began = std::time::Instant::now();
    let mut builder = Builder::new(Limits::default());
    for id in 0..20_000u32 {
        let text = format!("{:x}.{}.example", id.wrapping_mul(2_654_435_761), id);
        let group = if id % 3 == 0 { 0 } else { id % 60 };
        builder
            .add(Literal { id, bytes: text.as_bytes(), nocase: Case::Insensitive, group })
            .unwrap();
    }
    let matcher = builder.build();
    // Some 20 ms on a quiet machine; the bound is for the busiest.
    assert!(began.elapsed().as_millis() < 2000, "{:?}", began.elapsed());
    assert!(matcher.bytes() < 5 << 20, "{} bytes", matcher.bytes());
    assert!(matcher.groups().all(|group| group.longest_chain <= 8));
    let small = matcher.groups().map(|group| group.bytes / group.texts).max().unwrap();
    assert!(small < 256, "{small} bytes per literal of a small group");
}
