//! The table of keywords: each name, what its value looks like, and what it does to the rule.
//! A family of keywords is a file; a new keyword is a line in its family's rows.

mod application;
mod buffers;
mod bytes;
mod content;
mod files;
mod flow;
mod meta;
mod packet;
mod pcre;
mod rates;
mod refused;
mod sets;
mod transforms;

use crate::ast::Polarity;
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use std::collections::HashMap;
use std::sync::OnceLock;

pub(crate) use buffers::{direction_of as buffer_direction, no_open_buffer};
pub(crate) use flow::validate_bit_name;
pub(crate) use meta::requires;
pub(crate) use rates::{Pairs, threshold_of, track, track_of_one};

/// What stands behind a keyword's colon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'t> {
    /// Without blanks around it and without its quotes.
    pub(crate) text: &'t [u8],
    /// `!` before the quotes; of values without quotes it stays in the text.
    pub(crate) polarity: Polarity,
    /// Where the text begins in the rule.
    pub(crate) at: usize,
}

impl Value<'_> {
    /// The text as people read it.
    pub(crate) fn shown(&self) -> String {
        shown(self.text)
    }

    /// The text, where it is UTF-8.
    pub(crate) fn word(&self) -> Outcome<&str> {
        std::str::from_utf8(self.text).map_err(|_| {
            invalid(format!("`{}` is not text", self.shown()), "use UTF-8, e.g. plain ASCII")
        })
    }
}

/// What a keyword's value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Takes {
    /// Nothing; a colon is an error.
    Nothing,
    /// Something without quotes.
    Bare,
    /// Something in quotes.
    Quoted,
    /// Something with or without quotes.
    Either,
    /// Something without quotes, or nothing.
    Perhaps,
}

/// What a keyword does.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// This.
    Run(fn(&mut Draft<'_, '_>, &Value<'_>) -> Outcome),
    /// Makes a buffer current: its `buffer_kind`.
    Sticky(u16),
    /// Moves the content before it to a buffer.
    Modifier(u16),
    /// Nothing: it is of a protocol that is not decoded.
    NotDecoded(&'static str),
    /// Nothing: reason and remedy.
    Refuse(&'static str, &'static str),
}

/// One keyword.
#[derive(Clone, Copy)]
pub(crate) struct Keyword {
    /// Its name; `_` and `.` are different names.
    pub(crate) name: &'static str,
    /// What its value looks like.
    pub(crate) takes: Takes,
    /// What it does.
    pub(crate) does: Does,
}

type Run = fn(&mut Draft<'_, '_>, &Value<'_>) -> Outcome;

const fn bare(name: &'static str, run: Run) -> Keyword {
    Keyword { name, takes: Takes::Bare, does: Does::Run(run) }
}

const fn quoted(name: &'static str, run: Run) -> Keyword {
    Keyword { name, takes: Takes::Quoted, does: Does::Run(run) }
}

const fn either(name: &'static str, run: Run) -> Keyword {
    Keyword { name, takes: Takes::Either, does: Does::Run(run) }
}

const fn alone(name: &'static str, run: Run) -> Keyword {
    Keyword { name, takes: Takes::Nothing, does: Does::Run(run) }
}

const fn perhaps(name: &'static str, run: Run) -> Keyword {
    Keyword { name, takes: Takes::Perhaps, does: Does::Run(run) }
}

fn table() -> &'static HashMap<&'static str, Keyword> {
    static TABLE: OnceLock<HashMap<&'static str, Keyword>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let families: [&[Keyword]; 12] = [
            application::ROWS,
            buffers::ROWS,
            bytes::ROWS,
            content::ROWS,
            files::ROWS,
            flow::ROWS,
            meta::ROWS,
            packet::ROWS,
            pcre::ROWS,
            rates::ROWS,
            sets::ROWS,
            transforms::ROWS,
        ];
        let rows = families.iter().flat_map(|rows| rows.iter().copied());
        rows.chain(refused::rows()).map(|keyword| (keyword.name, keyword)).collect()
    })
}

/// The keyword of a name, whatever its case.
pub(crate) fn named(name: &[u8]) -> Option<&'static Keyword> {
    let word = std::str::from_utf8(name).ok()?;
    table().get(word).or_else(|| table().get(word.to_ascii_lowercase().as_str()))
}

/// Whether a keyword is one that rules may use with this engine.
pub(crate) fn is_supported(name: &str) -> bool {
    let known = named(name.as_bytes());
    known.is_some_and(|k| !matches!(k.does, Does::NotDecoded(_) | Does::Refuse(..)))
}

/// The names of all keywords with which rules load, sorted.
pub fn supported_keywords() -> Vec<&'static str> {
    let mut names: Vec<&'static str> =
        table().keys().copied().filter(|name| is_supported(name)).collect();
    names.sort_unstable();
    names
}

/// Does what a keyword does.
pub(crate) fn apply(keyword: &Keyword, draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    match keyword.does {
        Does::Run(run) => run(draft, value),
        Does::Sticky(kind) => buffers::stick(draft, kind),
        Does::Modifier(kind) => buffers::modify(draft, keyword.name, kind),
        Does::NotDecoded(protocol) => Err(crate::header::not_decoded(protocol)),
        Does::Refuse(reason, remedy) => Err(crate::fault::unsupported(reason, remedy)),
    }
}

/// A rule with these options, or its fault, for the tests of the families.
#[cfg(test)]
pub(crate) fn tried(options: &str) -> Result<crate::ast::Rule, crate::Refusal> {
    tried_with("alert tcp any any -> any any", options)
}

#[cfg(test)]
pub(crate) fn tried_with(header: &str, options: &str) -> Result<crate::ast::Rule, crate::Refusal> {
    let vars = crate::Vars::default();
    let text = format!("{header} (msg:\"m\"; {options} sid:1;)");
    let mut set = crate::Reading::new(&vars).texts(&[("t.rules", text.as_bytes())]);
    match set.rules.pop() {
        Some(rule) => Ok(rule),
        None => {
            Err(set.refused.pop().unwrap_or_else(|| panic!("neither rule nor refusal: {text}")))
        }
    }
}
