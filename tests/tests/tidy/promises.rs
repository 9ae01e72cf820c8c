//! SPECIFICATION.md: every numbered promise names a test that exists, or says "untested".

use std::collections::HashSet;

use crate::rust_text::identifiers;
use crate::tree::source_files;

/// Promises without a proof, proofs that are not there.
pub(crate) fn complaints() -> Vec<String> {
    let Some(specification) = source_files().iter().find(|file| file.path == "SPECIFICATION.md")
    else {
        return vec!["write SPECIFICATION.md: numbered promises, each with its test".to_owned()];
    };
    let tests = tests_of_repository();
    let promises = promises(&specification.text);
    let mut complaints = Vec::new();
    if promises.is_empty() {
        complaints.push("number the promises: a list `1. …` or a table row `| 1 | …`".to_owned());
    }
    for (number, text) in promises {
        let named: Vec<&str> = proofs(&text).collect();
        let absent: Vec<&str> =
            named.iter().copied().filter(|name| !tests.contains(*name)).collect();
        if !absent.is_empty() {
            complaints.push(format!("promise {number}: no such test: {}", absent.join(", ")));
        }
        let is_held = named.iter().any(|name| tests.contains(*name));
        if !is_held && !text.to_lowercase().contains("untested") {
            let advice = "name its test in backquotes, or write \"untested\"";
            complaints.push(format!("promise {number}: {advice}"));
        }
    }
    complaints
}

/// The promises with their numbers; one may go over several lines, until a blank one or the next.
fn promises(text: &str) -> Vec<(String, String)> {
    let mut promises: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(number) = number_of(line) {
            promises.push((number, line.to_owned()));
            is_open = true;
        } else if line.trim().is_empty() || line.starts_with(['#', '|']) {
            is_open = false;
        } else if let (true, Some((_, promise))) = (is_open, promises.last_mut()) {
            promise.push(' ');
            promise.push_str(line);
        }
    }
    promises
}

/// The number at the beginning of `12. …`, `**12.3** …`, `- 12.3 …` or `| 12 | …`.
fn number_of(line: &str) -> Option<String> {
    let (is_table, rest) = match line.strip_prefix('|') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let rest = rest.trim_start_matches([' ', '-', '*', '`']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = rest[..end].trim_end_matches('.');
    let begins_with_digit = number.starts_with(|c: char| c.is_ascii_digit());
    let is_numbered = is_table || rest[..end].contains('.') || line.starts_with("**");
    (begins_with_digit && is_numbered).then(|| number.to_owned())
}

/// The last names of what stands in backquotes: `wire::tcp::a_test` is `a_test`. What has anything
/// but names in it is a key, a command or a file.
fn proofs(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(move |quoted| quoted.chars().all(is_name))
        .filter_map(|quoted| quoted.rsplit("::").next())
        .filter_map(|quoted| identifiers(quoted).last())
        .filter(|name| name.contains('_'))
}

/// The names of all test functions, native, property or benchmark, and of test files.
fn tests_of_repository() -> HashSet<String> {
    let mut names = HashSet::new();
    for file in source_files().iter().filter(|file| file.has_extension("rs")) {
        let mut after_attribute = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                after_attribute = true;
            } else if after_attribute && line.contains("fn ") {
                let name = line.split("fn ").nth(1).and_then(|rest| identifiers(rest).next());
                names.extend(name.map(str::to_owned));
                after_attribute = false;
            }
        }
        if let Some((_, name)) = file.path.split_once("tests/tests/") {
            names.insert(name.trim_end_matches(".rs").to_owned());
        }
    }
    names
}

#[test]
fn promises_are_read_in_every_form() {
    let text =
        "# T\n\n1. First: `a_b`,\n   over two lines.\n\n| 2 | second | untested |\n\n**3.1** x";
    let numbers: Vec<String> = promises(text).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, ["1", "2", "3.1"]);
    let text = "see `wire::tcp::a_test`, `word`, `[rules] a_key`, `A_NAME` and `b_test`";
    assert_eq!(proofs(text).collect::<Vec<_>>(), ["a_test", "b_test"]);
}
