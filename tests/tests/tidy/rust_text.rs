//! Just enough understanding of formatted Rust to find functions and names.

/// A function and its size.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its signature, from 1.
    pub(crate) at: usize,
    /// Lines from the signature to the closing brace.
    pub(crate) lines: usize,
}

/// Every function with a body of several lines. It relies on rustfmt: the closing brace is the
/// first line that has nothing else at the signature's indentation.
pub(crate) fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indentation = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indentation}}}");
        let body = &lines[index..];
        let ends_at = |wanted: &dyn Fn(&str) -> bool| body.iter().position(|line| wanted(line));
        let Some(end) = ends_at(&|line| line == closing) else { continue };
        // A declaration in a trait, or a body on the signature's line, ends before.
        let is_short = ends_at(&|line| {
            line.starts_with(indentation)
                && !line[indentation.len()..].starts_with(' ')
                && (line.ends_with(';') || line.ends_with(" }") || line.ends_with("{}"))
        });
        if is_short.is_some_and(|short| short < end) {
            continue;
        }
        found.push(Function { name, at: index + 1, lines: end + 1 });
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_before_fn = |word: &str| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\""].contains(&word)
    };
    let keyword = words.find(|word| !is_before_fn(word))?;
    if keyword != "fn" {
        return None;
    }
    identifiers(words.next()?).next().map(str::to_owned)
}

/// The lines without comments, numbered from 1. Text in strings stays; a `//` in a string (a URL)
/// cuts the rest of its line, which no rule minds.
pub(crate) fn without_comments(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    (1..).zip(text.lines()).map(|(number, line)| {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        (number, code.to_owned())
    })
}

/// The words of a line that may be names.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The columns of a line. Text in quotes does not count beyond 20: a message is better whole than
/// broken.
pub(crate) fn width(line: &str) -> usize {
    let is_comment = line.trim_start().starts_with("//");
    let parts = line.split('"').enumerate();
    parts
        .map(|(index, part)| {
            let columns = part.chars().count();
            let quotes = usize::from(index > 0);
            let is_quoted = index % 2 == 1 && !is_comment;
            quotes + if is_quoted { columns.min(20) } else { columns }
        })
        .sum()
}

/// The parts of a name in lower case: `FlowManager` and `flow_manager` have the same.
pub(crate) fn parts(name: &str) -> impl Iterator<Item = String> {
    let mut parts = Vec::new();
    for word in name.split('_') {
        let mut part = String::new();
        for letter in word.chars() {
            let begins = letter.is_uppercase() && !part.ends_with(char::is_uppercase);
            if begins && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
            part.push(letter);
        }
        parts.push(part);
    }
    parts.into_iter().map(|part| part.to_lowercase())
}

#[test]
fn functions_are_found_with_their_length() {
    let text = "impl X {\n    pub const fn a(&self) -> u8 {\n        1\n    }\n    fn b();\n}\n\n\
                fn c(\n    x: u8,\n) {\n}\n";
    let found: Vec<_> = functions(text).into_iter().map(|f| (f.name, f.at, f.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 2, 3), ("c".to_owned(), 8, 4)]);
}

#[test]
fn quoted_text_is_not_held_to_the_width() {
    let message = "x".repeat(200);
    assert_eq!(width("abc"), 3);
    assert_eq!(width(&format!("a(\"{message}\");")), 2 + 1 + 20 + 1 + 2);
    assert_eq!(width(&format!("// \"{message}\"")), 205);
}

#[test]
fn names_come_apart_at_humps_and_underscores() {
    let of = |name| parts(name).collect::<Vec<_>>();
    assert_eq!(of("FlowManager"), ["flow", "manager"]);
    assert_eq!(of("flow_utils"), ["flow", "utils"]);
    assert_eq!(of("HTTP"), ["http"]);
}
