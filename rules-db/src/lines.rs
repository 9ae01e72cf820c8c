//! From a file's bytes to rules: comments, continued lines, and where each byte stood. Knows
//! nothing of what is in a rule.

use std::borrow::Cow;

/// One rule's text, with continued lines joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RuleText<'a> {
    /// The text without line ends.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Where each of its lines begins: offset in `bytes`, line from 1, column from 1.
    starts: Vec<(usize, u32, u32)>,
}

impl RuleText<'_> {
    /// Line and column of an offset in the text.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let at = self.starts.partition_point(|s| s.0 <= offset).saturating_sub(1);
        let (start, line, column) = self.starts.get(at).copied().unwrap_or((0, 1, 1));
        let past = u32::try_from(offset.saturating_sub(start)).unwrap_or(u32::MAX);
        (line, column.saturating_add(past))
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileText<'a> {
    /// The rules that are not commented out.
    pub(crate) rules: Vec<RuleText<'a>>,
    /// How many are commented out.
    pub(crate) commented: usize,
}

/// Splits a file's bytes into rules.
pub(crate) fn split(bytes: &[u8]) -> FileText<'_> {
    let mut file = FileText::default();
    let mut open: Option<RuleText<'_>> = None;
    for (number, line) in (1_u32..).zip(bytes.split(|&b| b == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = line.trim_ascii_start();
        let column = u32::try_from(line.len() - text.len()).unwrap_or(0).saturating_add(1);
        if open.is_none() && (text.is_empty() || text.starts_with(b";")) {
            continue;
        }
        if open.is_none() && text.starts_with(b"#") {
            file.commented += usize::from(is_commented_rule(text));
            continue;
        }
        let (text, continued) = match text.strip_suffix(b"\\") {
            Some(front) => (front, true),
            None => (text, false),
        };
        let rule = match open.take() {
            None => RuleText { bytes: Cow::Borrowed(text), starts: vec![(0, number, column)] },
            Some(mut rule) => {
                rule.starts.push((rule.bytes.len(), number, column));
                rule.bytes.to_mut().extend_from_slice(text);
                rule
            }
        };
        if continued {
            open = Some(rule);
        } else {
            file.rules.push(rule);
        }
    }
    file.rules.extend(open);
    file
}

fn is_commented_rule(line: &[u8]) -> bool {
    const ACTIONS: [&[u8]; 8] = [
        b"alert ",
        b"drop ",
        b"pass ",
        b"reject ",
        b"rejectsrc ",
        b"rejectdst ",
        b"rejectboth ",
        b"config ",
    ];
    let start = line.iter().position(|b| !matches!(b, b'#' | b' ' | b'\t')).unwrap_or(line.len());
    let rest = line.get(start..).unwrap_or_default();
    ACTIONS.iter().any(|a| rest.starts_with(a)) && rest.contains(&b'(')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_continuations() {
        let text =
            b"# alert tcp any any -> any any (sid:1;)\n# words\r\n\n  alert ip \\\n  any\nx\\";
        let file = split(text);
        assert_eq!(file.commented, 1);
        assert_eq!(file.rules.len(), 2);
        assert_eq!(&*file.rules[0].bytes, b"alert ip any");
        assert_eq!(file.rules[0].position(0), (4, 3));
        assert_eq!(file.rules[0].position(9), (5, 3));
        assert_eq!(&*file.rules[1].bytes, b"x");
    }
}
