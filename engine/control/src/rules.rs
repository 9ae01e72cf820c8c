//! Rules for detectors: read from text or from a compiled set, and handed to the plugin host.
//!
//! ```text
//!   *.rules ─► rules-db ─► compiled set ─┬─► section `rules` of the detector
//!   compiled file, mapped ──────────────┘├─► table of messages, classes and ceilings (the host's)
//!                                        └─► literals and regexes (the matcher's)
//! ```
//!
//! This file must never know what a keyword means.

mod table;

use crate::config;
use portcullis_detect::{PluginData, RegexAnswer, RegexBank, Section};
use portcullis_flow::StreamEvent;
use portcullis_matcher::{Answer, Flags, RegexLimits, Regexes};
use portcullis_rules_db::compile::{Compiled, Unmatchable, Vocabulary, compile};
use portcullis_rules_db::policy::Policy;
use portcullis_rules_db::{
    CheckReport, Classifications, Reading, ReferenceSystems, RefusalKind, Refused, Reputations,
    RuleSet, ThresholdConfig, Vars,
};
use portcullis_wire::Reject;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use table::Table;

/// The section by which a detector reads rules.
pub const SECTION: &str = "rules";

/// Why rules cannot be used at all. Single bad rules are no reason: they are left out and counted.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read.
    #[error("{}: {error}; name a readable file", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A compiled set is none, or another version's.
    #[error("{}: {why}", file.display())]
    Compiled {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A table beside the rules is not understood.
    #[error("{}: {why}", file.display())]
    Table {
        /// Which.
        file: PathBuf,
        /// What is wrong, and what to write.
        why: String,
    },
    /// A variable has a value that is no address, port, or list of them.
    #[error("the variable {name}: {why}")]
    Variable {
        /// Its name, without `$`.
        name: String,
        /// What is wrong, and what to write.
        why: String,
    },
    /// Text that is no rule. At the start it is left out; a running engine keeps the set it has.
    #[error("{file}:{line}: {why} (the set that runs stays)")]
    Mistake {
        /// Which file.
        file: String,
        /// Where.
        line: u32,
        /// What is wrong, and what to write.
        why: String,
    },
    /// A file of rules cannot be read.
    #[error("{file}: {why}")]
    Unread {
        /// Which.
        file: String,
        /// Why, and what to do.
        why: String,
    },
    /// Nothing to swap for.
    #[error(
        "no rule loads from {0}, and those that run stay; see `portcullis rules check`, or, to run \
         without rules, empty [rules] and restart"
    )]
    Nothing(String),
    /// More than 4 GiB.
    #[error("the compiled rules would be longer than 4 GiB; load fewer files")]
    TooLarge,
}

/// A compiled set in memory or mapped.
enum Bytes {
    Made(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Made(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

/// Rules that are ready for detectors.
#[derive(Clone)]
pub struct Rules {
    bytes: Arc<Bytes>,
    /// What names them.
    pub about: About,
}

/// What names a set of rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// Of its content: the same rules under the same variables and tables have the same.
    pub hash: Arc<str>,
    /// How many.
    pub count: u32,
    /// Rules that were refused while reading text.
    pub refused: usize,
    /// Where it came from.
    pub source: Arc<str>,
}

/// What reading and compiling text gave.
pub struct Made {
    /// What was loaded and what was refused.
    pub report: CheckReport,
    /// Rules that load and can never match here.
    pub unmatchable: Vec<Unmatchable>,
    /// The compiled set.
    pub bytes: Vec<u8>,
}

impl Rules {
    /// What the configuration asks for; `None` where it asks for none. Rules that are none are left
    /// out and counted; a file that cannot be read is named.
    pub fn load(config: &config::Rules) -> Result<Option<Rules>, RulesError> {
        Ok(Rules::load_with_refused(config)?.map(|(rules, _)| rules))
    }

    /// The same, with what is left out of text.
    pub fn load_with_refused(
        config: &config::Rules,
    ) -> Result<Option<(Rules, Vec<Refused>)>, RulesError> {
        if let Some(file) = &config.compiled {
            return Ok(Some((Rules::open(file)?, Vec::new())));
        }
        if config.files.is_empty() {
            return Ok(None);
        }
        let made = make(config)?;
        if let Some(r) = made.report.refused.iter().find(|r| r.line == 0) {
            let (file, why) = (r.file.clone(), format!("{}; {}", r.reason, r.remedy));
            return Err(RulesError::Unread { file, why });
        }
        let refused = made.report.refused.clone();
        Ok(Some((Rules::made(config, made)?, refused)))
    }

    /// For an engine that runs: text in which something is no rule, a set that is torn and one
    /// without rules are refused, so that a mistake takes nothing away. Text that comes to the set
    /// that runs is that set, whatever is wrong with it.
    pub fn load_next(
        config: &config::Rules,
        running: Option<&Rules>,
    ) -> Result<Option<Rules>, RulesError> {
        if let Some(file) = &config.compiled {
            let rules = Rules::open(file)?;
            let set = portcullis_rules_form::RuleSet::open(rules.bytes());
            set.and_then(|set| set.verify())
                .map_err(|e| RulesError::Compiled { file: file.clone(), why: e.to_string() })?;
            return rules.unless_emptied(running).map(Some);
        }
        if config.files.is_empty() {
            return Ok(None);
        }
        let made = make(config)?;
        let is_wrong = |r: &&Refused| r.kind == RefusalKind::Invalid || r.line == 0;
        let wrong = made.report.refused.iter().find(is_wrong);
        let mistake = wrong.map(|r| {
            let sid = if r.sid == 0 { String::new() } else { format!("sid {}: ", r.sid) };
            let why = format!("{sid}{}; {}", r.reason, r.remedy);
            RulesError::Mistake { file: r.file.clone(), line: r.line, why }
        });
        let rules = Rules::made(config, made)?;
        let is_running = running.is_some_and(|r| r.about.hash == rules.about.hash);
        match mistake {
            Some(mistake) if !is_running => Err(mistake),
            _ => rules.unless_emptied(running).map(Some),
        }
    }

    /// Rules that run do not vanish by a folder that is empty today; where none run, none may come.
    fn unless_emptied(self, running: Option<&Rules>) -> Result<Rules, RulesError> {
        match self.about.count {
            0 if running.is_none_or(|running| running.about.count > 0) => {
                Err(RulesError::Nothing(self.about.source.to_string()))
            }
            _ => Ok(self),
        }
    }

    fn made(config: &config::Rules, made: Made) -> Result<Rules, RulesError> {
        let refused = made.report.refused.len();
        let names: Vec<String> = config.files.iter().map(|f| f.display().to_string()).collect();
        let mut rules = Rules::of(Bytes::Made(made.bytes), Path::new(&names.join(", ")))?;
        rules.about.refused = refused;
        Ok(rules)
    }

    /// Maps a compiled file. The file must not be written to while it is mapped: replace it.
    #[allow(unsafe_code, reason = "a file that shrinks under a mapping is the operator's doing")]
    pub fn open(file: &Path) -> Result<Rules, RulesError> {
        let fail = |error| RulesError::File { file: file.to_owned(), error };
        let opened = std::fs::File::open(file).map_err(fail)?;
        // SAFETY: the mapping is read only; every reader of it is total over any bytes.
        let map = unsafe { memmap2::Mmap::map(&opened) }.map_err(fail)?;
        Rules::of(Bytes::Mapped(map), file)
    }

    fn of(bytes: Bytes, file: &Path) -> Result<Rules, RulesError> {
        let refused = |why| RulesError::Compiled { file: file.to_owned(), why };
        let set = portcullis_rules_form::RuleSet::open(bytes.as_ref());
        let set = set.map_err(|e| refused(e.to_string()))?;
        let (hash, count) = (set.hash().to_string().into(), set.len());
        let source = file.display().to_string().into();
        let about = About { hash, count, refused: 0, source };
        Ok(Rules { bytes: Arc::new(bytes), about })
    }

    /// What a detector is given.
    pub fn data(&self) -> PluginData {
        let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = self.bytes.clone();
        let table = Table { bytes: Arc::clone(&bytes) };
        PluginData {
            sections: vec![Section { name: SECTION.into(), bytes }],
            rules: Some(Arc::new(table)),
            version: Some(Arc::clone(&self.about.hash)),
        }
    }

    /// The compiled bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }
}

/// Whether a file begins as a compiled set does.
pub fn is_compiled(file: &Path) -> Result<bool, RulesError> {
    use std::io::Read;
    let fail = |error| RulesError::File { file: file.to_owned(), error };
    let mut begin = Vec::new();
    let opened = std::fs::File::open(file).map_err(fail)?;
    opened.take(8).read_to_end(&mut begin).map_err(fail)?;
    Ok(begin == b"PORTRULE")
}

/// Reads and compiles what the configuration names as text.
pub fn make(config: &config::Rules) -> Result<Made, RulesError> {
    let (rules, policy) = read(config)?;
    let Compiled { bytes, unmatchable, .. } =
        compile(&rules, &vocabulary(), &policy).map_err(|_| RulesError::TooLarge)?;
    let report = portcullis_rules_db::report(&rules).without(&rules, &unmatchable);
    Ok(Made { report, unmatchable, bytes })
}

/// Reads what the configuration names as text.
pub fn read(config: &config::Rules) -> Result<(RuleSet, Policy), RulesError> {
    let vars = Vars::with(config.addresses.clone(), config.ports.clone());
    let named = config.addresses.keys().chain(config.ports.keys());
    if let Some((name, why)) = vars.first_mistake(named) {
        return Err(RulesError::Variable { name: name.to_owned(), why });
    }
    let wrong = |file: &Path, why: String| RulesError::Table { file: file.to_owned(), why };
    let text = |file: &Path| {
        std::fs::read(file).map_err(|error| RulesError::File { file: file.to_owned(), error })
    };
    let mut policy = Policy::shipped();
    if let Some(file) = &config.policy {
        let rows = String::from_utf8_lossy(&text(file)?).into_owned();
        policy = policy.over(Policy::read(&rows).map_err(|why| wrong(file, why))?);
    }
    let faults = |file: &Path, faults: Vec<portcullis_rules_db::LineFault>| match faults.first() {
        Some((line, why)) => Err(wrong(file, format!("line {line}: {why}"))),
        None => Ok(()),
    };
    let mut classes = Classifications::built_in();
    if let Some(file) = &config.classification {
        faults(file, classes.read(&text(file)?))?;
    }
    let mut references = ReferenceSystems::built_in();
    if let Some(file) = &config.reference {
        faults(file, references.read(&text(file)?))?;
    }
    let mut thresholds = ThresholdConfig::default();
    if let Some(file) = &config.thresholds {
        faults(file, thresholds.read(&text(file)?, &vars))?;
    }
    let mut reputations = Reputations::default();
    if let Some(file) = &config.reputation_categories {
        faults(file, reputations.read_categories(&text(file)?))?;
    }
    for file in &config.reputations {
        faults(file, reputations.read_list(&text(file)?))?;
    }
    let regex = |pattern: &str, flags: &str| {
        portcullis_matcher::compile_check(pattern, Flags::of_letters(flags))
            .map_err(|e| e.to_string())
    };
    let reading = Reading::new(&vars)
        .regex_check(&regex)
        .classifications(classes)
        .references(references)
        .reputations(reputations)
        .thresholds(thresholds)
        .actions(config.action_order);
    Ok((reading.files(&found(&config.files)?), policy))
}

/// Files, and the `*.rules` of folders in the order of their names.
pub fn found(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RulesError> {
    let mut out = Vec::new();
    for path in paths {
        if !path.is_dir() {
            out.push(path.clone());
            continue;
        }
        let fail = |error| RulesError::File { file: path.clone(), error };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            if file.extension().is_some_and(|e| e == "rules") {
                inside.push(file);
            }
        }
        inside.sort();
        out.append(&mut inside);
    }
    Ok(out)
}

/// The engine's names and numbers for what rules name.
fn vocabulary() -> Vocabulary<'static> {
    fn anomaly(name: &str) -> Vec<String> {
        let bare = name.strip_prefix("stream.").unwrap_or(name);
        if let Some(event) = StreamEvent::from_name(bare) {
            return vec![event.suricata_event().to_owned()];
        }
        let bare = name.strip_prefix("decoder.").unwrap_or(name);
        // `4/` and `6/`: only of packets of that version.
        let versioned = |(reject, version): (Reject, u8)| match version {
            0 => reject.name().to_owned(),
            _ => format!("{version}/{}", reject.name()),
        };
        let known: Vec<String> = portcullis_wire::decode_event(bare).map(versioned).collect();
        if !known.is_empty() {
            return known;
        }
        let named = |r: &&Reject| r.suricata_event().trim_start_matches("decoder.") == bare;
        Reject::ALL.iter().filter(named).map(|r| r.name().to_owned()).collect()
    }
    Vocabulary { app_event: &portcullis_decode::event_named, anomaly: &anomaly }
}

/// The names of anomalies by their numbers: what `wire` finds, then what streams show.
pub fn anomaly_names() -> Vec<String> {
    let mut names: Vec<String> = Reject::ALL.iter().map(|r| r.name().to_owned()).collect();
    names.resize(usize::from(StreamEvent::BASE), String::new());
    let streams = (StreamEvent::BASE..).map_while(StreamEvent::from_number);
    names.extend(streams.map(|event| event.suricata_event().to_owned()));
    names
}

/// The regexes of one plugin.
pub struct Bank {
    regexes: Regexes,
    /// By the plugin's number; `None` for one that does not compile.
    ids: Vec<Option<Numbered>>,
    steps: u64,
}

/// One of a bank's regexes.
#[derive(Clone, Copy)]
struct Numbered {
    id: u32,
    /// What comes before the start is hidden (`R` in rules).
    is_relative: bool,
    /// The place of its first group is wanted, not that of the whole match (`C`).
    tells_group: bool,
}

/// Bytes that one search may read.
const REGEX_STEPS: u64 = 1 << 20;

impl Bank {
    /// Of a plugin's patterns; each is compiled when it is first asked for.
    pub fn new(patterns: &portcullis_detect::Patterns) -> Bank {
        let mut regexes = Regexes::new(RegexLimits::default());
        let ids = patterns
            .regexes
            .iter()
            .map(|r| {
                let id = regexes.add(&r.pattern, Flags::of_letters(&r.flags)).ok()?;
                let has = |flag| r.flags.contains(flag);
                Some(Numbered { id, is_relative: has('R'), tells_group: has('C') })
            })
            .collect();
        Bank { regexes, ids, steps: REGEX_STEPS }
    }
}

impl RegexBank for Bank {
    fn find(&self, id: u32, haystack: &[u8], from: usize) -> RegexAnswer {
        let Some(regex) = self.ids.get(id as usize).copied().flatten() else {
            return RegexAnswer::Unknown;
        };
        let (base, from) = if regex.is_relative { (from, 0) } else { (0, from) };
        let Some(haystack) = haystack.get(base..) else { return RegexAnswer::No };
        let number = |n: usize| u32::try_from(base + n).unwrap_or(u32::MAX);
        let answer = match regex.tells_group {
            true => self.regexes.group(regex.id, (haystack, from), self.steps),
            false => self.regexes.find(regex.id, haystack, from, self.steps),
        };
        match answer {
            Answer::Found { start, end } => {
                RegexAnswer::Found { start: number(start), end: number(end) }
            }
            Answer::No => RegexAnswer::No,
            Answer::GaveUp => RegexAnswer::GaveUp,
        }
    }
}
