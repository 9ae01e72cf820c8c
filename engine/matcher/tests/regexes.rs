//! Expressions mean what PCRE2 means, on any bytes; and those of real rules compile.
#![allow(clippy::unwrap_used, reason = "tests")]

use portcullis_matcher::regex::{analyse, group_names};
use portcullis_matcher::{Answer, Engine, Flags, RegexLimits, Regexes, compile_check, fuzz};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const STEPS: u64 = 1 << 20;

fn find(pattern: &str, flags: &str, haystack: &[u8]) -> Option<(usize, usize)> {
    find_from(pattern, flags, haystack, 0)
}

fn find_from(pattern: &str, flags: &str, haystack: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut regexes = Regexes::new(RegexLimits::default());
    let id = regexes.add(pattern, Flags::of_letters(flags)).unwrap();
    match regexes.find(id, haystack, from, STEPS) {
        Answer::Found { start, end } => Some((start, end)),
        Answer::No => None,
        Answer::GaveUp => panic!("{pattern}: {:?}", compile_check(pattern, Flags::default())),
    }
}

/// Pattern, flags, haystack, place of the leftmost match. As PCRE2 10.42 without UTF answers.
type Case = (&'static str, &'static str, &'static [u8], Option<(usize, usize)>);

const CASES: &[Case] = &[
    ("b+", "", b"abbbc", Some((1, 4))),
    ("B+", "", b"abbbc", None),
    ("B+", "i", b"abbbc", Some((1, 4))),
    ("a.c", "", b"a\nc", None),
    ("a.c", "s", b"a\nc", Some((0, 3))),
    ("a.c", "", b"a\xffc", Some((0, 3))),
    ("^b", "", b"a\nb", None),
    ("^b", "m", b"a\nb", Some((2, 3))),
    ("a$", "", b"a\n", Some((0, 1))),
    ("a$", "E", b"a\n", None),
    ("a$", "", b"a\n\n", None),
    ("a$", "m", b"a\nb", Some((0, 1))),
    ("a\\Z", "", b"ba\n", Some((1, 2))),
    ("a\\z", "", b"ba\n", None),
    ("(?=a)a$", "", b"a\n", Some((0, 1))),
    ("a b # c\n c", "x", b"abc", Some((0, 3))),
    ("a[ ]b", "x", b"a b", Some((0, 3))),
    ("a.*b", "G", b"abab", Some((0, 2))),
    ("a.*?b", "G", b"abab", Some((0, 4))),
    ("\\x41\\x{42}\\103\\e", "", b"ABC\x1b", Some((0, 4))),
    ("[\\x80-\\xff]{2}", "", b"a\xe9\xa0", Some((1, 3))),
    ("\\xe9", "i", b"\xc9", None),
    ("[[:alpha:]]+[[:^digit:]]", "", b"12ab-", Some((2, 5))),
    ("[]a]+", "", b"x]a", Some((1, 3))),
    ("[^]a]+", "", b"]xy", Some((1, 3))),
    ("[a\\]&&-]+", "", b"z&]-a", Some((1, 5))),
    ("[\\w-.]+", "", b"!a-.", Some((1, 4))),
    ("a{,2}", "", b"a{,2}", Some((0, 5))),
    ("a{2,}x{1}", "", b"baaax", Some((1, 5))),
    ("{\"a\":", "", b"x{\"a\":", Some((1, 6))),
    ("\\<a\\>", "", b" <a>", Some((1, 4))),
    ("\\/\\-\\_\\@\\%", "", b"/-_@%", Some((0, 5))),
    ("\\ba\\b", "", b"ba a", Some((3, 4))),
    ("$()\\n", "", b"a\n", Some((1, 2))),
    ("a$\\z", "", b"a\n", None),
    ("(?:\\n|$)+", "", b"a\n", Some((1, 2))),
    ("a\\z|b$", "", b"a\n", None),
    ("(?=x)\\w+\\b", "", b"\xe9xa\xe9", Some((1, 3))),
    ("\\h\\H\\v\\V\\R", "", b"\ta\nb\r\n", Some((0, 6))),
    ("\\Qa.b\\E+", "", b"a.bb", Some((0, 4))),
    ("(a)(?#note)\\1", "", b"baa", Some((1, 3))),
    ("(?P<n>a|b)-(?P=n)", "", b"a-b-b", Some((2, 5))),
    ("(?<n>x)\\k<n>\\g{1}", "", b"xxx", Some((0, 3))),
    ("(a)\\1", "i", b"aA", Some((0, 2))),
    ("a(?!b)", "", b"abac", Some((2, 3))),
    ("(?<=a)b", "", b"bab", Some((2, 3))),
    ("(?<!a)b", "", b"\xffb", Some((1, 2))),
    ("(?>a+)ab", "", b"aaab", None),
    ("a++b", "", b"aab", Some((0, 3))),
    ("(?i)a(?-i)B", "", b"AB Ab", Some((0, 2))),
    ("(?i:a)b", "", b"Ab", Some((0, 2))),
    ("(?:a(?i)b|c)d", "", b"Cd", Some((0, 2))),
    ("x(?:a(?i)b)d", "", b"xaBD", None),
    ("(a)?(?(1)b|c)", "", b"ab", Some((0, 2))),
    ("foo\\Kbar", "", b"foobar", Some((3, 6))),
    ("a|", "", b"b", Some((0, 0))),
    ("b", "A", b"ab", None),
    ("(?=b)b", "A", b"ab", None),
    ("\u{e9}", "", b"a\xc3\xa9", Some((1, 3))),
];

#[test]
fn patterns_mean_what_pcre_means() {
    for (pattern, flags, haystack, expected) in CASES {
        assert_eq!(find(pattern, flags, haystack), *expected, "/{pattern}/{flags}");
    }
}

#[test]
fn a_search_begins_where_it_is_told() {
    assert_eq!(find_from("a", "", b"aXa", 1), Some((2, 3)));
    assert_eq!(find_from("^a", "", b"aa", 1), None);
    assert_eq!(find_from("a", "A", b"Xa", 1), Some((1, 2)));
    assert_eq!(find_from("(?<=X)a", "A", b"\xffXa", 2), Some((2, 3)));
    assert_eq!(find_from("a", "", b"a", 2), None);
}

#[test]
fn what_cannot_be_followed_is_told_in_sentences() {
    for (pattern, part) in [
        ("(a", "no `)`"),
        ("a)", "unmatched"),
        ("[a", "no `]`"),
        ("*a", "nothing to repeat"),
        ("a{3,2}", "out of order"),
        ("[b-a]", "out of order"),
        ("(?R)", "recursion"),
        ("(*ACCEPT)", "verbs"),
        ("\\p{L}", "bytes"),
        ("\\x{100}", "no byte"),
        ("\\k<n>(?<n>a)", "spelling"),
        ("a\\", "at the end"),
        ("(?:[a-z]{1000}){1000}", "compiled"),
    ] {
        let message = compile_check(pattern, Flags::default()).unwrap_err().to_string();
        assert!(message.contains(part), "/{pattern}/: {message}");
    }
    assert!(compile_check(&"(".repeat(5000), Flags::default()).is_err());
}

#[test]
fn limits_end_a_search() {
    let mut regexes = Regexes::new(RegexLimits::default());
    let evil = regexes.add("(?=a)(?:a|aa|a?)+\\1?$(b)", Flags::default()).unwrap();
    let plain = regexes.add("a+$", Flags::default()).unwrap();
    let broken = regexes.add("(?:[a-z]{1000}){1000}", Flags::default()).unwrap();
    let haystack = [b"a".repeat(4000), b"c".to_vec()].concat();
    assert_eq!(regexes.find(evil, &haystack, 0, STEPS), Answer::GaveUp);
    assert_eq!(regexes.find(plain, &haystack, 0, 100), Answer::GaveUp);
    assert_eq!(regexes.find(plain, &haystack, 3950, 100), Answer::No);
    assert_eq!(regexes.find(broken, b"a", 0, STEPS), Answer::GaveUp);
    assert_eq!(regexes.find(99, b"a", 0, STEPS), Answer::GaveUp);
}

#[test]
fn groups_have_their_places() {
    let mut regexes = Regexes::new(RegexLimits::default());
    for pattern in ["(a)(x)?(?<n>b)$", "(a)(x)?(?<n>b)(?=\\n|\\z)"] {
        let id = regexes.add(pattern, Flags::default()).unwrap();
        let mut places = Vec::new();
        let answer = regexes.captures(id, (b"\xff\xfeab\n", 1), STEPS, &mut places);
        assert_eq!(answer, Answer::Found { start: 2, end: 4 });
        assert_eq!(group_names(pattern, Flags::default()).unwrap(), [("n".to_owned(), 3)]);
        assert_eq!(places, [Some(2..4), Some(2..3), None, Some(3..4)]);
    }
}

#[test]
fn an_analysis_knows_anchors_and_lengths() {
    let of = |pattern: &str, flags: &str| analyse(pattern, Flags::of_letters(flags)).unwrap();
    let first = of("^GET (a|bcd)\\d{2,4}", "");
    assert!(first.anchored_at_start && first.engine == Engine::Linear);
    assert_eq!((first.shortest, first.longest, first.captures), (7, Some(11), 1));
    let second = of("(?:^a|b+)(?!c)", "R");
    assert!(!second.anchored_at_start && second.engine == Engine::Backtracking);
    assert_eq!((second.shortest, second.longest), (1, None));
    assert!(of("a", "A").anchored_at_from && !of("^a", "m").anchored_at_start);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_pattern_meets_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        fuzz::fuzz_regex(&bytes);
    }

    #[test]
    fn patterns_of_pieces_agree_on_both_engines(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "[ab]", "[^a]", ".", "\\w", "\\x80", "(", ")", "(?:", "|", "*", "+?", "?",
            "{1,2}", "^", "$", "\\b", "\\n", "\\s", "[\\x80-\\xff]",
        ]), 0..12),
        flags in prop::sample::select(vec!["", "i", "s", "G", "E", "A"]),
        haystack in prop::collection::vec(prop::sample::select(b"abAB\n \x80\xff".to_vec()), 0..24),
        from in 0usize..24,
    ) {
        let (pattern, flags) = (pieces.concat(), Flags::of_letters(flags));
        let from = from.min(haystack.len());
        let mut regexes = Regexes::new(RegexLimits::default());
        let Ok(linear) = regexes.add(&pattern, flags) else { return Ok(()) };
        // An empty look-ahead changes the engine, and nothing else.
        let backtracking = regexes.add(&format!("(?=)(?:{pattern})"), flags);
        let Ok(backtracking) = backtracking else { return Ok(()) };
        let one = regexes.find(linear, &haystack, from, STEPS);
        let other = regexes.find(backtracking, &haystack, from, STEPS);
        if one != Answer::GaveUp && other != Answer::GaveUp {
            prop_assert_eq!(one, other, "/{}/", pattern);
        }
    }
}

fn rules_folder() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("shared/rules")).find(|folder| folder.is_dir())
}

/// The expressions of a rule file: what stands between the slashes, and the letters after.
fn expressions(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        for part in line.split("pcre:").skip(1) {
            let part = part.trim_start().trim_start_matches('!').trim_start();
            let Some(part) = part.strip_prefix('"') else { continue };
            let Some(end) = part.find("\";") else { continue };
            let Some(option) = part.get(..end) else { continue };
            let option = option.trim_start_matches('!');
            let Some((pattern, letters)) = option.trim_start_matches('/').rsplit_once('/') else {
                continue;
            };
            let letters = letters.split(',').next().unwrap_or_default();
            found.push((pattern.to_owned(), letters.to_owned()));
        }
    }
    found
}

#[test]
fn the_first_group_can_be_asked_for_alone() {
    let mut regexes = Regexes::new(RegexLimits::default());
    let mut of = |pattern: &str, haystack: &[u8]| {
        let id = regexes.add(pattern, Flags::default()).expect(pattern);
        regexes.group(id, (haystack, 0), STEPS)
    };
    let found = |start, end| Answer::Found { start, end };
    assert_eq!(of(r"[a-z]+\s+(.*)\s+H", b"get /a b H"), found(4, 8));
    assert_eq!(of(r"(?<=x)(b+)", b"xxbb"), found(2, 4), "the backtracking engine");
    assert_eq!(of("a(b)?", b"ac"), Answer::No);
    assert_eq!(of("a(b)", b"xx"), Answer::No);
}

#[test]
fn expressions_of_real_rules_compile() {
    let Some(folder) = rules_folder() else {
        println!("skipped: no folder shared/rules above this crate");
        return;
    };
    let mut all = BTreeSet::new();
    let mut options = 0;
    for entry in std::fs::read_dir(folder.join("et-open-2024-04-21")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rules") {
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            let found = expressions(&text);
            options += found.len();
            all.extend(found);
        }
    }
    let (mut refused, mut backtracking) = (Vec::new(), 0usize);
    for (pattern, letters) in &all {
        let flags = Flags::of_letters(letters);
        match compile_check(pattern, flags) {
            Ok(()) => {
                let engine = analyse(pattern, flags).unwrap().engine;
                backtracking += usize::from(engine == Engine::Backtracking);
            }
            Err(error) => refused.push(format!("/{pattern}/{letters}: {error}")),
        }
    }
    println!(
        "{options} options, {} different, {backtracking} need backtracking, {} refused:\n{}",
        all.len(),
        refused.len(),
        refused.join("\n")
    );
    assert!(all.len() > 1000 && refused.len() * 200 <= all.len());
}
