//! What agrees, and what the rules of the rest have in common.

use super::Pairs;
use super::rules::Rule;
use std::collections::BTreeMap;

/// Rules and keywords shown at most.
const ROWS: usize = 60;

/// Prints how much agrees; the smaller of both shares, in per mille.
pub(super) fn print_sums(what: &str, ours: &Pairs, theirs: &Pairs) -> usize {
    let both = ours.intersection(theirs).count();
    let share = |all: usize| (both * 1000).checked_div(all).unwrap_or(1000);
    println!(
        "{what}: {both} pairs of both; of theirs {} ({} per mille agree), of ours {} ({})",
        theirs.len(),
        share(theirs.len()),
        ours.len(),
        share(ours.len())
    );
    share(theirs.len()).min(share(ours.len()))
}

/// Prints how many pairs do not count, why, and which.
pub(super) fn print_apart(
    ours: &Pairs,
    theirs: &Pairs,
    apart: impl Fn(&(String, u64)) -> Option<&'static str>,
) {
    let mut why: BTreeMap<&str, Vec<&(String, u64)>> = BTreeMap::new();
    for pair in ours.union(theirs) {
        if let Some(reason) = apart(pair) {
            why.entry(reason).or_default().push(pair);
        }
    }
    for (reason, pairs) in why {
        println!("\n## set apart, {reason}: {} pairs", pairs.len());
        for pair in pairs {
            let who = match (ours.contains(pair), theirs.contains(pair)) {
                (true, true) => "both",
                (true, false) => "only here",
                _ => "missing here",
            };
            println!("{} {}: {who}", pair.0, pair.1);
        }
    }
    println!();
}

/// Prints the rules that only one side had somewhere, and their keywords beside those of the
/// rules that agree.
pub(super) fn print_disagreements(rules: &BTreeMap<u64, Rule>, ours: &Pairs, theirs: &Pairs) {
    let both: Pairs = ours.intersection(theirs).cloned().collect();
    for (title, left, right) in [("missing here", theirs, ours), ("only here", ours, theirs)] {
        let wrong: Pairs = left.difference(right).cloned().collect();
        println!("\n## {title}: {} pairs", wrong.len());
        print_rules(rules, &wrong);
        print_keywords(rules, &wrong, &both);
    }
}

fn print_rules(rules: &BTreeMap<u64, Rule>, wrong: &Pairs) {
    let mut by_sid: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for (file, sid) in wrong {
        by_sid.entry(*sid).or_default().push(file);
    }
    let mut rows: Vec<_> = by_sid.into_iter().collect();
    rows.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
    println!("| sid | captures | one of them | message | header and keywords |\n|-|-|-|-|-|");
    for (sid, files) in rows.iter().take(ROWS) {
        let (message, about) = rules.get(sid).map_or_else(Default::default, |rule| {
            let keywords: Vec<&str> = rule.keywords.iter().map(String::as_str).collect();
            (rule.message.clone(), format!("{}: {}", rule.header, keywords.join(" ")))
        });
        let (count, first) = (files.len(), files.first().copied().unwrap_or_default());
        println!("| {sid} | {count} | {first} | {message} | {about} |");
    }
}

fn print_keywords(rules: &BTreeMap<u64, Rule>, wrong: &Pairs, both: &Pairs) {
    let count = |pairs: &Pairs| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for rule in pairs.iter().filter_map(|(_, sid)| rules.get(sid)) {
            *counts.entry(rule.header.as_str()).or_default() += 1;
            for keyword in &rule.keywords {
                *counts.entry(keyword).or_default() += 1;
            }
        }
        counts
    };
    let agreeing = count(both);
    let mut rows: Vec<(&str, usize, usize)> = count(wrong)
        .into_iter()
        .map(|(keyword, n)| (keyword, n, agreeing.get(keyword).copied().unwrap_or_default()))
        .collect();
    rows.sort_by_key(|(_, wrong, agreed)| (*agreed, std::cmp::Reverse(*wrong)));
    println!("\n| header or keyword | pairs that differ | pairs that agree |\n|-|-|-|");
    for (keyword, wrong, agreed) in rows.iter().take(ROWS) {
        println!("| {keyword} | {wrong} | {agreed} |");
    }
}
