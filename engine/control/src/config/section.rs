//! Reads one table of a TOML file, key by key, and remembers what it was asked for.
//!
//! A key that nobody asked for is unknown: `finish` reports it with the nearest key that there is.
//! A mistake never ends the reading: it is noted, the default stands in, and the next key is read.
//! Must never know which keys exist: the sections in this folder do.

use super::diagnostics::{Level, Note};
use super::units::{DURATION_REMEDY, SIZE_REMEDY, parse_duration, parse_size, write_duration};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A closed set of values, each with the word that stands for it in the file.
pub trait Word: Copy + Sized + 'static {
    /// Every word with its value, in the order in which messages list them.
    const WORDS: &'static [(&'static str, Self)];
}

/// Declares an enum whose variants are words of the configuration.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $crate::config::Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $name::$variant),)+];
        }

        impl $name {
            /// The word that stands for it in the configuration.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    };
}
pub(crate) use words;

/// What the readers of one file share: the mistakes and the keys that were asked for.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    pub(crate) notes: Vec<Note>,
    /// `section.key` of every key asked for, for the test of the shipped file.
    pub(crate) asked: Vec<String>,
    /// The text has syntax errors, so a key that is missing may be there in fact.
    pub(crate) torn: bool,
}

/// One table of the file; or the lack of it, which reads as a table without keys.
pub(crate) struct Section<'t, 'i> {
    name: String,
    at: Range<usize>,
    table: Option<&'t DeTable<'i>>,
    asked: Vec<&'static str>,
    ledger: &'t RefCell<Ledger>,
}

impl<'t, 'i> Section<'t, 'i> {
    /// The whole file.
    pub(crate) fn root(table: &'t Spanned<DeTable<'i>>, ledger: &'t RefCell<Ledger>) -> Self {
        Section {
            name: String::new(),
            at: 0..0,
            table: Some(table.get_ref()),
            asked: Vec::new(),
            ledger,
        }
    }

    /// Where the section stands.
    pub(crate) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Whether the file has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where a key's value stands, or the section where there is none.
    pub(crate) fn at_key(&self, key: &str) -> Range<usize> {
        self.find(key).map_or_else(|| self.at(), Spanned::span)
    }

    /// Notes a mistake at a place.
    pub(crate) fn wrong(
        &self,
        at: Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.note(Level::Error, at, message.into(), remedy.into());
    }

    /// Notes something that works, though not as it seems to.
    pub(crate) fn doubtful(
        &self,
        at: Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.note(Level::Warning, at, message.into(), remedy.into());
    }

    /// Notes that a key must be there; silent where the text itself is torn.
    pub(crate) fn missing(&self, key: &str, remedy: impl Into<String>) {
        if !self.ledger.borrow().torn {
            self.wrong(self.at(), format!("{}has no `{key}`", self.described()), remedy);
        }
    }

    /// A string; the default where there is none.
    pub(crate) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.parsed(key, default.to_owned(), |s| Ok::<_, &str>(s.to_owned()))
    }

    /// A string, where there is one.
    pub(crate) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        self.parsed(key, None, |s| Ok::<_, &str>(Some(s.to_owned())))
    }

    /// A string that `parse` understands or answers with what to write instead.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        let Some(value) = self.ask(key) else { return default };
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value, "a text in quotes");
            return default;
        };
        parse(text).unwrap_or_else(|remedy| {
            let message = format!("`{key} = \"{text}\"` is not understood");
            self.wrong(value.span(), message, remedy.to_string());
            default
        })
    }

    /// `true` or `false`.
    pub(crate) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.ask(key) else { return default };
        match value.get_ref() {
            DeValue::Boolean(b) => *b,
            _ => {
                self.wrong_kind(key, value, "true or false, without quotes");
                default
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn number<N>(&mut self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(value) = self.ask(key) else { return default };
        self.whole(key, value, &range).unwrap_or(default)
    }

    /// A whole number within a range, or the text `"auto"`, which is `None`.
    pub(crate) fn number_or_auto<N>(
        &mut self,
        key: &'static str,
        default: Option<N>,
        range: RangeInclusive<N>,
    ) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(value) = self.ask(key) else { return default };
        match value.get_ref() {
            DeValue::String(word) if word == "auto" => None,
            DeValue::String(_) => {
                let want =
                    format!("\"auto\" or a number from {} to {}", range.start(), range.end());
                self.wrong_kind(key, value, &want);
                default
            }
            _ => self.whole(key, value, &range).or(default),
        }
    }

    /// Whole numbers within a range.
    pub(crate) fn numbers<N>(
        &mut self,
        key: &'static str,
        default: &[N],
        range: RangeInclusive<N>,
    ) -> Vec<N>
    where
        N: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(value) = self.ask(key) else { return default.to_vec() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_kind(key, value, "a list such as [1, 4, 24]");
            return default.to_vec();
        };
        items.iter().filter_map(|item| self.whole(key, item, &range)).collect()
    }

    /// A duration within a range.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(value) = self.ask(key) else { return default };
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse_duration(text),
            _ => Err(DURATION_REMEDY),
        };
        match parsed {
            Err(remedy) => {
                let message = format!("`{key}` is no duration");
                self.wrong(value.span(), message, remedy);
                default
            }
            Ok(d) if !range.contains(&d) => {
                let (low, high) = (write_duration(*range.start()), write_duration(*range.end()));
                let message = format!("`{key} = \"{}\"` is out of range", write_duration(d));
                self.wrong(value.span(), message, format!("write \"{low}\" to \"{high}\""));
                default
            }
            Ok(d) => d,
        }
    }

    /// A size in bytes within a range.
    pub(crate) fn size(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = self.ask(key) else { return default };
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse_size(text),
            _ => Err(SIZE_REMEDY),
        };
        match parsed {
            Err(remedy) => {
                self.wrong(value.span(), format!("`{key}` is no size"), remedy);
                default
            }
            Ok(n) if !range.contains(&n) => {
                let words = |n| super::units::write_size(n);
                let message = format!("`{key} = \"{}\"` is out of range", words(n));
                let remedy =
                    format!("write \"{}\" to \"{}\"", words(*range.start()), words(*range.end()));
                self.wrong(value.span(), message, remedy);
                default
            }
            Ok(n) => n,
        }
    }

    /// One word of a closed set.
    pub(crate) fn word<W: Word>(&mut self, key: &'static str, default: W) -> W {
        let Some(value) = self.ask(key) else { return default };
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value, &one_of::<W>());
            return default;
        };
        if let Some((_, w)) = W::WORDS.iter().find(|(word, _)| word == text) {
            return *w;
        }
        let nearest = nearest(text, W::WORDS.iter().map(|(word, _)| *word));
        let remedy = match nearest {
            Some(word) => format!("write \"{word}\" ({})", one_of::<W>()),
            None => format!("write {}", one_of::<W>()),
        };
        self.wrong(value.span(), format!("`{key} = \"{text}\"` is not known"), remedy);
        default
    }

    /// A list of strings that `parse` understands or answers with what to write instead; with the
    /// place of each.
    pub(crate) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Some(value) = self.ask(key) else { return default };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_kind(key, value, "a list in brackets, such as [\"…\", \"…\"]");
            return default;
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items.iter() {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong_kind(key, item, "a text in quotes");
                continue;
            };
            match parse(text) {
                Ok(t) => out.push(t),
                Err(remedy) => {
                    let message = format!("\"{text}\" in `{key}` is not understood");
                    self.wrong(item.span(), message, remedy.to_string());
                }
            }
        }
        out
    }

    /// A value of several possible kinds, as it stands.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.ask(key)
    }

    /// A table below this one; an empty one where the file has none.
    pub(crate) fn table(&mut self, key: &'static str) -> Section<'t, 'i> {
        let value = self.ask(key);
        let name = self.qualified(key);
        match value.map(|v| (v, v.get_ref())) {
            Some((v, DeValue::Table(t))) => self.below(name, v.span(), Some(t)),
            Some((v, _)) => {
                self.wrong_kind(key, v, &format!("a section: [{name}]"));
                self.below(name, v.span(), None)
            }
            None => self.below(name, self.at(), None),
        }
    }

    /// The rows of a `[[key]]` list; `None` where the file does not have the key.
    pub(crate) fn rows(&mut self, key: &'static str) -> Option<Vec<Section<'t, 'i>>> {
        let value = self.ask(key)?;
        let name = self.qualified(key);
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_kind(key, value, &format!("rows, each under a line [[{name}]]"));
            return Some(Vec::new());
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(t) => out.push(self.below(name.clone(), item.span(), Some(t))),
                _ => self.wrong_kind(key, item, &format!("rows, each under a line [[{name}]]")),
            }
        }
        Some(out)
    }

    /// The tables below this one whose names the operator chooses, with their names.
    pub(crate) fn named_tables(&mut self, key: &'static str) -> Vec<(String, Section<'t, 'i>)> {
        let group = self.table(key);
        let Some(table) = group.table else { return Vec::new() };
        let mut out = Vec::new();
        for (name, value) in table.iter() {
            let label = format!("{}.{}", group.name, name.get_ref());
            match value.get_ref() {
                DeValue::Table(t) => {
                    let below = group.below(label, value.span(), Some(t));
                    out.push((name.get_ref().to_string(), below));
                }
                _ => group.wrong_kind(name.get_ref(), value, &format!("a section: [{label}]")),
            }
        }
        out
    }

    /// The texts of a table below this one whose names the operator chooses.
    pub(crate) fn texts(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let group = self.table(key);
        let mut out = BTreeMap::new();
        for (name, value) in group.table.into_iter().flat_map(|t| t.iter()) {
            match value.get_ref() {
                DeValue::String(text) => {
                    out.insert(name.get_ref().to_string(), text.to_string());
                }
                _ => group.wrong_kind(name.get_ref(), value, "a text in quotes"),
            }
        }
        out
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let word: &str = key.get_ref();
            if self.asked.contains(&word) {
                continue;
            }
            let remedy = match nearest(word, self.asked.iter().copied()) {
                Some(known) => format!("write `{known}`, or remove it"),
                None => {
                    let mut known = self.asked.clone();
                    known.sort_unstable();
                    format!("remove it; {}knows: {}", self.described(), known.join(", "))
                }
            };
            self.wrong(key.span(), format!("{}has no key `{word}`", self.described()), remedy);
        }
    }

    fn note(&self, level: Level, at: Range<usize>, message: String, remedy: String) {
        self.ledger.borrow_mut().notes.push(Note { level, at, message, remedy });
    }

    fn find(&self, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table?.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.asked.push(key);
        let name = self.qualified(key);
        self.ledger.borrow_mut().asked.push(name);
        self.find(key)
    }

    fn qualified(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn described(&self) -> String {
        if self.name.is_empty() { "the file ".into() } else { format!("[{}] ", self.name) }
    }

    fn below(&self, name: String, at: Range<usize>, table: Option<&'t DeTable<'i>>) -> Self {
        Section { name, at, table, asked: Vec::new(), ledger: self.ledger }
    }

    fn wrong_kind(&self, key: &str, value: &Spanned<DeValue<'i>>, want: &str) {
        let message = format!("`{key}` is {}", kind(value.get_ref()));
        self.wrong(value.span(), message, format!("write {want}"));
    }

    fn whole<N>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        range: &RangeInclusive<N>,
    ) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let want = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(n) = value.get_ref() else {
            self.wrong_kind(key, value, &want);
            return None;
        };
        let parsed = i64::from_str_radix(n.as_str(), n.radix()).ok();
        let number = parsed.and_then(|n| N::try_from(n).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            let message = format!("`{key} = {n}` is out of range");
            self.wrong(value.span(), message, format!("write {want}"));
        }
        number
    }
}

fn one_of<W: Word>() -> String {
    let words: Vec<String> = W::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    format!("one of {}", words.join(", "))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// The known word nearest to a mistyped one: at most a third of its letters are wrong.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .map(|k| (distance(word, k), k))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Levenshtein's distance in characters; words beyond 64 characters count as far.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
