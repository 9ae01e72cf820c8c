//! From files to a [`RuleSet`]: one rule after another, each on its own.

use crate::ast::{Place, Rule};
use crate::config::ReferenceSystems;
use crate::draft::Draft;
use crate::fault::{Fault, Outcome, invalid, shown};
use crate::finish::finish;
use crate::groups::Groups;
use crate::header;
use crate::keywords::{self, Keyword, Takes, Value};
use crate::lines::{self, RuleText};
use crate::refusal::{Refusal, RefusalKind};
use crate::ruleset::{ActionOrder, Classifications, FileCount, KeywordCount, Reputations, RuleSet};
use crate::shared::{DataFiles, RegexCheck, Shared};
use crate::thresholds::ThresholdConfig;
use crate::vars::Vars;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Bytes of one rule, at most.
const RULE_MAX: usize = 1 << 20;
/// Bytes of a data file that a rule names, at most.
const DATA_FILE_MAX: u64 = 256 << 20;

/// Everything that a reading needs beside the rules.
pub struct Reading<'a> {
    vars: &'a Vars,
    regex: &'a RegexCheck<'a>,
    data_files: &'a DataFiles<'a>,
    classifications: Classifications,
    references: ReferenceSystems,
    reputations: Reputations,
    thresholds: ThresholdConfig,
    actions: ActionOrder,
}

fn any_regex(_: &str, _: &str) -> Result<(), String> {
    Ok(())
}

/// The bytes of a file in the folder of the rule file; paths out of it are refused.
fn beside(rule_file: &str, name: &str) -> Result<Vec<u8>, String> {
    let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    if !inside {
        return Err("it is not inside the folder of the rule file".to_owned());
    }
    let path = Path::new(rule_file).parent().unwrap_or(Path::new("")).join(name);
    let about = std::fs::metadata(&path).map_err(|e| e.to_string())?;
    if about.len() > DATA_FILE_MAX {
        return Err(format!("it has more than {DATA_FILE_MAX} bytes"));
    }
    std::fs::read(&path).map_err(|e| e.to_string())
}

impl<'a> Reading<'a> {
    /// With the built-in class types and reference systems, no thresholds, no reputations, every
    /// regex accepted, and data files from the folder of the rule file.
    pub fn new(vars: &'a Vars) -> Self {
        Reading {
            vars,
            regex: &any_regex,
            data_files: &beside,
            classifications: Classifications::built_in(),
            references: ReferenceSystems::built_in(),
            reputations: Reputations::default(),
            thresholds: ThresholdConfig::default(),
            actions: ActionOrder::default(),
        }
    }

    /// Asks this of every `pcre` and `pcrexform`: pattern and flags (sorted, of `A E G i m s x`).
    pub fn regex_check(mut self, check: &'a RegexCheck<'a>) -> Self {
        self.regex = check;
        self
    }

    /// Takes data files (datasets, lists of hashes) from here.
    pub fn data_files(mut self, files: &'a DataFiles<'a>) -> Self {
        self.data_files = files;
        self
    }

    /// Takes these class types.
    pub fn classifications(mut self, rows: Classifications) -> Self {
        self.classifications = rows;
        self
    }

    /// Takes these reference systems.
    pub fn references(mut self, rows: ReferenceSystems) -> Self {
        self.references = rows;
        self
    }

    /// Takes these reputations.
    pub fn reputations(mut self, rows: Reputations) -> Self {
        self.reputations = rows;
        self
    }

    /// Applies these lines to the rules.
    pub fn thresholds(mut self, rows: ThresholdConfig) -> Self {
        self.thresholds = rows;
        self
    }

    /// Has rules tried by their actions in this order.
    pub fn actions(mut self, order: ActionOrder) -> Self {
        self.actions = order;
        self
    }

    /// Reads files. One that cannot be opened is a refusal with line 0.
    pub fn files(&self, paths: &[PathBuf]) -> RuleSet {
        let names: Vec<String> = paths.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        let contents: Vec<std::io::Result<Vec<u8>>> = paths.iter().map(std::fs::read).collect();
        let mut texts = Vec::new();
        let mut missing = Vec::new();
        for (name, content) in names.iter().zip(&contents) {
            match content {
                Ok(bytes) => texts.push((name.as_str(), bytes.as_slice())),
                Err(error) => missing.push(Refusal {
                    place: Place { file: name.as_str().into(), line: 0, column: 0 },
                    sid: 0,
                    keyword: String::new(),
                    kind: RefusalKind::Invalid,
                    reason: format!("the file cannot be read: {error}"),
                    remedy: "correct its name or its permissions".to_owned(),
                }),
            }
        }
        let mut set = self.texts(&texts);
        set.refused.extend(missing);
        set
    }

    /// Reads texts, each with its file's name.
    pub fn texts(&self, files: &[(&str, &[u8])]) -> RuleSet {
        let mut set = RuleSet::default();
        let mut shared = Shared {
            regex: self.regex,
            classifications: &self.classifications,
            references: &self.references,
            reputations: &self.reputations,
            data_files: self.data_files,
            datasets: Vec::new(),
            file: "".into(),
            hash_lists: HashMap::new(),
        };
        let mut groups = Groups::new(self.vars);
        let mut seen: HashMap<(u32, u32), usize> = HashMap::new();
        let mut counts: HashMap<&'static str, KeywordCount> = HashMap::new();
        for (name, bytes) in files {
            shared.file = Arc::from(*name);
            let file = lines::split(bytes);
            for text in &file.rules {
                let mut trace = Trace::default();
                let read = read(text, &mut groups, &mut shared, &mut trace);
                let refused = match read {
                    Ok(rule) => keep(rule, &mut seen, &mut set.rules),
                    Err(fault) => Some(trace.refusal(*fault, text, &shared.file)),
                };
                trace.count(&mut counts, refused.as_ref());
                set.refused.extend(refused);
            }
            set.files.push(FileCount {
                file: (*name).to_owned(),
                total: file.rules.len(),
                commented: file.commented,
                ..FileCount::default()
            });
        }
        count_files(&mut set);
        for rule in &mut set.rules {
            self.thresholds.apply(rule);
        }
        set.keywords = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        set.actions = self.actions;
        set.datasets = shared.datasets;
        set.classifications = self.classifications.clone();
        set.reputations = self.reputations.clone();
        set
    }
}

/// Which rules of each file were taken; a name that is there twice is counted as one.
fn count_files(set: &mut RuleSet) {
    let mut refused: HashMap<&str, (usize, usize)> = HashMap::new();
    for refusal in &set.refused {
        let count = refused.entry(&refusal.place.file).or_default();
        match refusal.kind {
            RefusalKind::NotRequired => count.1 += 1,
            RefusalKind::Invalid | RefusalKind::Unsupported => count.0 += 1,
        }
    }
    for file in &mut set.files {
        (file.refused, file.not_required) = refused.remove(file.file.as_str()).unwrap_or_default();
        file.loaded = file.total.saturating_sub(file.refused + file.not_required);
    }
}

/// Keeps a rule; of two with one gid:sid the larger revision counts, and the other is refused.
fn keep(
    rule: Rule,
    seen: &mut HashMap<(u32, u32), usize>,
    rules: &mut Vec<Rule>,
) -> Option<Refusal> {
    let key = (rule.id.gid, rule.id.sid);
    let Some(other) = seen.get(&key).and_then(|at| rules.get_mut(*at)) else {
        seen.insert(key, rules.len());
        rules.push(rule);
        return None;
    };
    let mut loser = rule;
    if loser.id.rev > other.id.rev {
        std::mem::swap(&mut loser, other);
    }
    let Place { file, line, .. } = &other.place;
    let reason = format!(
        "{}:{} is also the rule of {file} line {line}, whose revision {} counts",
        key.0, key.1, other.id.rev
    );
    Some(Refusal {
        place: loser.place,
        sid: loser.id.sid,
        keyword: "sid".to_owned(),
        kind: RefusalKind::Invalid,
        reason,
        remedy: "give it another sid, or take one of the two out".to_owned(),
    })
}

/// What is known of a rule while it is read, for its refusal and the counts.
#[derive(Default)]
struct Trace {
    sid: u32,
    keywords: Vec<&'static str>,
    unknown: bool,
    /// Name and offset of the keyword at hand.
    at_hand: (String, usize),
}

impl Trace {
    fn refusal(&self, fault: Fault, text: &RuleText<'_>, file: &Arc<str>) -> Refusal {
        let (line, column) = text.position(fault.at.unwrap_or(self.at_hand.1));
        Refusal {
            place: Place { file: file.clone(), line, column },
            sid: if self.sid == 0 { sid_in(&text.bytes) } else { self.sid },
            keyword: fault.keyword.unwrap_or_else(|| self.at_hand.0.clone()),
            kind: fault.kind,
            reason: fault.reason,
            remedy: fault.remedy,
        }
    }

    /// Counts each keyword of the rule once, and as refused the one at fault.
    fn count(&self, counts: &mut HashMap<&'static str, KeywordCount>, refused: Option<&Refusal>) {
        for (at, name) in self.keywords.iter().enumerate() {
            if self.keywords.iter().take(at).any(|before| before == name) {
                continue;
            }
            let count = counts.entry(name).or_default();
            count.rules += 1;
            count.refused += usize::from(refused.is_some_and(|r| r.keyword == *name));
        }
        if self.unknown {
            let count = counts.entry("(unknown)").or_default();
            count.rules += 1;
            count.refused += 1;
        }
    }
}

/// The sid of a rule that could not be read up to it.
fn sid_in(text: &[u8]) -> u32 {
    let at = text.windows(4).rposition(|w| w == b"sid:");
    let rest = at.and_then(|at| text.get(at + 4..)).unwrap_or_default().trim_ascii_start();
    let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let digits = rest.get(..end).and_then(|d| std::str::from_utf8(d).ok());
    digits.and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// Reads a rule. Where it cannot be read and its `requires` is not met, that is the reason: it may
/// be in the words of another version.
fn read(
    text: &RuleText<'_>,
    groups: &mut Groups<'_>,
    shared: &mut Shared<'_>,
    trace: &mut Trace,
) -> Outcome<Rule> {
    let fault = match read_all(text, groups, shared, trace) {
        Ok(rule) => return Ok(rule),
        Err(fault) => fault,
    };
    let Ok(words) = header::words(&text.bytes) else { return Err(fault) };
    let mut rest = words.options;
    while let Ok(Some((word, next))) = option(rest) {
        rest = next;
        if let ("requires", Some((at, value))) = (&*String::from_utf8_lossy(word.name), word.value)
        {
            let value = Value { text: value.trim_ascii(), polarity: Default::default(), at };
            if let Err(unmet) = keywords::requires(&value) {
                return Err(unmet.of("requires").at(word.at));
            }
        }
    }
    Err(fault)
}

fn read_all(
    text: &RuleText<'_>,
    groups: &mut Groups<'_>,
    shared: &mut Shared<'_>,
    trace: &mut Trace,
) -> Outcome<Rule> {
    let bytes = &*text.bytes;
    if bytes.len() > RULE_MAX {
        let remedy = "split it";
        return Err(invalid(format!("the rule has more than {RULE_MAX} bytes"), remedy));
    }
    let words = header::words(bytes)?;
    // The options are counted even where the header is at fault, so that every keyword is told.
    let header = header::read(&words, groups);
    let (start, options) = words.options;
    let (line, column) = text.position(0);
    let place = Place { file: shared.file.clone(), line, column };
    let mut draft = Draft::new(header?, shared);
    let mut rest = (start, options);
    while let Some((word, next)) = option(rest)? {
        rest = next;
        let Some(keyword) = keywords::named(word.name) else {
            trace.unknown = true;
            trace.at_hand = (shown(word.name), word.at);
            return Err(invalid(
                format!("there is no keyword `{}`", shown(word.name)),
                "correct its spelling, or see the list of keywords in `rules check`",
            ));
        };
        trace.keywords.push(keyword.name);
        trace.at_hand = (keyword.name.to_owned(), word.at);
        draft.keywords.push(keyword.name);
        let value = value(keyword, &word)?;
        keywords::apply(keyword, &mut draft, &value)?;
        trace.sid = draft.sid;
    }
    finish(draft, place)
}

/// Text with its offset in the rule.
type Located<'t> = (usize, &'t [u8]);

/// One option of a rule as it is written.
struct Word<'t> {
    at: usize,
    name: &'t [u8],
    /// What is behind the colon, with its offset.
    value: Option<(usize, &'t [u8])>,
}

/// The next option, and what is behind it. A `;` behind a backslash does not end an option.
fn option<'t>(rest: Located<'t>) -> Outcome<Option<(Word<'t>, Located<'t>)>> {
    let (start, text) = rest;
    let blanks = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let (at, text) = (start + blanks, text.get(blanks..).unwrap_or_default());
    if text.is_empty() {
        return Ok(None);
    }
    let is_end = |(i, byte): (usize, &u8)| {
        *byte == b';' && i.checked_sub(1).and_then(|i| text.get(i)) != Some(&b'\\')
    };
    let end = text.iter().enumerate().position(is_end).ok_or_else(|| {
        let reason = format!("`{}` has no `;` at its end", shown(text));
        invalid(reason, "end each option with `;`, and write ; in a content as |3b|").at(at)
    })?;
    let (option, behind) = (text.get(..end).unwrap_or_default(), text.get(end + 1..));
    let colon = option.iter().position(|&b| b == b':');
    let name = option.get(..colon.unwrap_or(end)).unwrap_or_default().trim_ascii();
    let value = colon.map(|colon| (at + colon + 1, option.get(colon + 1..).unwrap_or_default()));
    let word = Word { at, name, value };
    Ok(Some((word, (at + end + 1, behind.unwrap_or_default()))))
}

fn value<'t>(keyword: &Keyword, word: &Word<'t>) -> Outcome<Value<'t>> {
    let name = keyword.name;
    let (mut at, raw) = word.value.unwrap_or((word.at, &[]));
    at += raw.len() - raw.trim_ascii_start().len();
    let mut value = Value { text: raw.trim_ascii(), polarity: Default::default(), at };
    match keyword.takes {
        Takes::Nothing if !value.text.is_empty() => {
            let reason = format!("{name} takes no value");
            return Err(invalid(reason, format!("write {name}; alone")).at(at));
        }
        Takes::Nothing | Takes::Perhaps => return Ok(value),
        _ if value.text.is_empty() => {
            let reason = format!("{name} has no value");
            return Err(invalid(reason, format!("write {name}:VALUE;")));
        }
        Takes::Bare if value.text.starts_with(b"\"") => {
            let reason = format!("{name} takes no quotes");
            return Err(invalid(reason, "take the quotes out").at(at));
        }
        Takes::Bare => return Ok(value),
        Takes::Quoted | Takes::Either => {}
    }
    if let Some(rest) = value.text.strip_prefix(b"!") {
        let inner = rest.trim_ascii_start();
        value.polarity = crate::ast::Polarity::Negated;
        value.at += value.text.len() - inner.len();
        value.text = inner;
    }
    match value.text.strip_prefix(b"\"") {
        Some(rest) => {
            let inner = rest.strip_suffix(b"\"").ok_or_else(|| {
                let reason = format!("the value of {name} has no quote at its end");
                invalid(reason, "close the quote, and look for a missing `;`").at(value.at)
            })?;
            Ok(Value { text: inner, at: value.at + 1, ..value })
        }
        None if keyword.takes == Takes::Either => Ok(value),
        None => {
            let reason = format!("the value of {name} is not in quotes");
            Err(invalid(reason, format!("write {name}:\"VALUE\";")).at(value.at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_file() {
        let vars = Vars::default();
        let text = b"# x\nalert tcp any any -> any any (msg:\"a\"; \\\n\
            \x20 content:\"b\"; depth:x; sid:7;)\n\
            alert tcp any any -> any any (sid:8;)\nalert tcp any any -> any any (foo:1; sid:9;)\n\
            alert tcp any any -> any any (sid:8;)";
        let set = Reading::new(&vars).texts(&[("f.rules", text)]);
        let told: Vec<String> = set.refused.iter().map(ToString::to_string).collect();
        assert_eq!(set.rules.len(), 1);
        assert!(told[0].starts_with("f.rules:3:16: sid 7: depth: `x` is neither"), "{}", told[0]);
        assert!(
            told[1].starts_with("f.rules:5:31: sid 9: foo: there is no keyword"),
            "{}",
            told[1]
        );
        assert!(told[2].starts_with("f.rules:6:"), "{}", told[2]);
        assert_eq!((set.files[0].total, set.files[0].loaded, set.files[0].refused), (4, 1, 3));
        assert_eq!(set.keywords["depth"], KeywordCount { rules: 1, refused: 1 });
    }

    #[test]
    fn semicolons_and_missing_ends() {
        let vars = Vars::default();
        let ok = b"alert ip any any -> any any (msg:\"a\\;b\"; sid:1;)";
        let set = Reading::new(&vars).texts(&[("f", ok)]);
        assert_eq!(set.rules[0].about.message, "a;b");
        for bad in [
            "alert ip any any -> any any (msg:\"a;b\"; sid:1;)",
            "alert ip any any -> any any (msg:\"a\"; sid:1)",
            "alert ip any any -> any any (msg:\"a\" sid:1;)",
            "alert ip any any -> any any (msg:\"a\";)",
            "alert ip any any -> any any (msg; sid:1;)",
        ] {
            assert_eq!(
                Reading::new(&vars).texts(&[("f", bad.as_bytes())]).refused.len(),
                1,
                "{bad}"
            );
        }
    }

    #[test]
    fn data_files_are_read_from_the_rules_folder_only() {
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let md5 = dir.path().join("m.list");
        std::fs::write(&md5, b"00112233445566778899aabbccddeeff  name\n").unwrap_or_default();
        let rules = dir.path().join("r.rules");
        let text = "alert http any any -> any any (filemd5:m.list; sid:1;)\n\
                    alert http any any -> any any (filemd5:../m.list; sid:2;)\n\
                    alert http any any -> any any (filemd5:/etc/passwd; sid:3;)\n";
        std::fs::write(&rules, text).unwrap_or_default();
        let vars = Vars::default();
        let set = Reading::new(&vars).files(&[rules, dir.path().join("none.rules")]);
        assert_eq!((set.rules.len(), set.refused.len()), (1, 3));
    }
}
