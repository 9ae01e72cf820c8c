//! Columns of text. Knows nothing of what stands in them.

use std::fmt;

/// A cell longer than this is cut, so that one long message does not break every line.
const CELL_MAX: usize = 60;

/// Rows under a heading, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    heading: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    pub(crate) fn new(heading: &'static [&'static str]) -> Self {
        Table { heading, rows: Vec::new() }
    }

    /// One more row; control characters, which a message may carry from a stranger, are replaced.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| safe(&cell)).collect());
    }
}

/// Text that may come from a stranger, without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

fn safe(text: &str) -> String {
    let mut out: String = printable(text).chars().take(CELL_MAX).collect();
    if text.chars().count() > CELL_MAX {
        out.push('…');
    }
    if out.is_empty() { "-".into() } else { out }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
            cells.chain([self.heading[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<String> =
                cells.zip(&widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())
        };
        line(f, &mut self.heading.iter().copied())?;
        for row in &self.rows {
            line(f, &mut row.iter().map(String::as_str))?;
        }
        Ok(())
    }
}
