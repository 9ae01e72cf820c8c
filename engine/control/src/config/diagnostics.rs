//! What is wrong with a file, where, and what to write instead.
//!
//! Knows text and places in it; must never know what a key means. A reader hands in byte ranges,
//! people get `file:line:column`, the line itself and a caret under the mistake.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Mistakes kept per file; those beyond are counted in one last sentence.
const DIAGNOSTICS_MAX: usize = 200;

/// Bytes of a source line that are printed; longer lines are cut there.
const LINE_BYTES_MAX: usize = 160;

/// How much a diagnostic matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The file cannot be used.
    Error,
    /// The file can be used, but something in it does not do what it seems to.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Error => "error",
            Level::Warning => "warning",
        })
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Whether the file can be used all the same.
    pub level: Level,
    /// The file as it was named to us.
    pub file: String,
    /// Counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Counted from 1 in characters; 0 where the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write or do instead.
    pub remedy: String,
    /// The line of the file, and how many characters of it are meant.
    #[serde(skip)]
    snippet: Option<(String, usize)>,
}

impl Diagnostic {
    /// A mistake of a whole file, such as one that cannot be read.
    pub fn of_file(
        file: &Path,
        level: Level,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Diagnostic {
            level,
            file: file.display().to_string(),
            line: 0,
            column: 0,
            message: message.into(),
            remedy: remedy.into(),
            snippet: None,
        }
    }

    /// At a line of a file whose text is not at hand.
    pub fn at_line(
        file: &Path,
        (line, column): (usize, usize),
        level: Level,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Diagnostic { line, column, ..Diagnostic::of_file(file, level, message, remedy) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.level, self.message)?;
        let Some((line, width)) = &self.snippet else {
            match self.line {
                0 => writeln!(f, "  --> {}", self.file)?,
                line => writeln!(f, "  --> {}:{line}:{}", self.file, self.column)?,
            }
            return writeln!(f, "   = {}", self.remedy);
        };
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {line}")?;
        // Tabs are repeated, so that the caret stands below what it means on any terminal.
        let before: String = line
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{margin} | {before}{} {}", "^".repeat(*width), self.remedy)
    }
}

/// All mistakes of a file, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No mistakes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, behind those that there are.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Those of another file, behind those that there are.
    pub fn extend(&mut self, other: Diagnostics) {
        self.list.extend(other.list);
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one of them makes the file unusable.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.level == Level::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            writeln!(f, "{diagnostic}")?;
        }
        let errors = self.list.iter().filter(|d| d.level == Level::Error).count();
        let warnings = self.list.len() - errors;
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        match (errors, warnings) {
            (0, 0) => write!(f, "no mistakes"),
            (0, w) => write!(f, "{w} warning{}", plural(w)),
            (e, 0) => write!(f, "{e} mistake{}", plural(e)),
            (e, w) => write!(f, "{e} mistake{}, {w} warning{}", plural(e), plural(w)),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A mistake as a reader notes it: a byte range and two sentences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Note {
    pub(crate) level: Level,
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

/// The text of a file, to turn byte ranges into lines and columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    /// A file's name and text.
    pub fn new(file: &Path, text: String) -> Self {
        Source { file: file.display().to_string(), text }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A mistake at a byte range; ranges beyond the text mean its end.
    pub fn diagnostic(
        &self,
        level: Level,
        at: &Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Diagnostic {
        let start = self.boundary(at.start);
        let end = self.boundary(at.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |i| start + i);
        let shown_end = self.boundary(line_end.min(line_start + LINE_BYTES_MAX)).max(start);
        let width = self.text[start..end.min(shown_end)].chars().count().max(1);
        Diagnostic {
            level,
            file: self.file.clone(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            message: message.into(),
            remedy: remedy.into(),
            snippet: Some((
                self.text[line_start..shown_end].trim_end_matches('\r').to_owned(),
                width,
            )),
        }
    }

    /// The notes in the order of the text, each with its place; at most [`DIAGNOSTICS_MAX`].
    pub(crate) fn diagnose(&self, mut notes: Vec<Note>) -> Diagnostics {
        notes.sort_by_key(|n| (n.at.start, n.at.end));
        notes.dedup();
        let left_off = notes.len().saturating_sub(DIAGNOSTICS_MAX);
        notes.truncate(DIAGNOSTICS_MAX);
        let mut list: Vec<Diagnostic> = notes
            .into_iter()
            .map(|n| self.diagnostic(n.level, &n.at, n.message, n.remedy))
            .collect();
        if left_off > 0 {
            list.push(Diagnostic::of_file(
                Path::new(&self.file),
                Level::Error,
                format!("{left_off} more mistakes are not shown"),
                "mend those above and check again",
            ));
        }
        Diagnostics { list }
    }

    /// The nearest character boundary at or before a byte offset.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("p.toml"), text.into())
    }

    #[test]
    fn the_caret_stands_below_the_mistake() {
        let s = source("[engine]\n\twokers = 2\n");
        let d = s.diagnostic(Level::Error, &(10..16), "unknown key `wokers`", "write `workers`");
        assert_eq!((d.line, d.column), (2, 2));
        assert_eq!(
            d.to_string(),
            "error: unknown key `wokers`\n --> p.toml:2:2\n  |\n2 | \twokers = 2\n  | \t^^^^^^ \
             write `workers`\n"
        );
    }

    #[test]
    fn any_range_of_any_text_has_a_place() {
        let s = source("ä\r\nö");
        for start in 0..9 {
            for end in 0..9 {
                let d = s.diagnostic(Level::Warning, &(start..end), "m", "r");
                assert!(d.line >= 1 && d.column >= 1 && !d.to_string().is_empty());
            }
        }
        assert_eq!(source("").diagnostic(Level::Error, &(0..0), "m", "r").line, 1);
    }

    #[test]
    fn json_has_no_snippet() {
        let s = source("a = 1");
        let list = s.diagnose(vec![Note {
            level: Level::Error,
            at: 0..1,
            message: "m".into(),
            remedy: "r".into(),
        }]);
        assert_eq!(
            serde_json::to_string(&list).expect("plain data"),
            r#"[{"level":"error","file":"p.toml","line":1,"column":1,"message":"m","remedy":"r"}]"#
        );
    }
}
