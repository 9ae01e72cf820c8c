//! The configuration: one TOML file, read whole, every mistake named with its place and remedy.
//!
//! Knows words, units and defaults; must never know a port, a table or a clock. What a key means is
//! said at the field that it fills; `portcullis.toml` says it to operators, and a test holds the
//! two together.

mod blocks;
mod classes;
mod decode;
mod diagnostics;
mod engine;
mod outputs;
mod plugins;
mod rules;
mod section;
mod segment;
mod streams;
#[cfg(test)]
mod tests;
mod traffic;
mod units;

pub use blocks::{Blocks, ExclusionPart, ExclusionRow};
pub use classes::{
    Activity, BLOCK_FOR_MAX, BLOCK_FOR_MIN, CeilingRow, ClassChoice, ClassSettings, Limit, RuleRef,
};
pub use decode::Decode;
pub use diagnostics::{Diagnostic, Diagnostics, Level, Source};
pub use engine::Engine;
pub use outputs::{ControlSocket, EventType, Events, FileHash, InventorySource, Metrics};
pub use plugins::{CAPABILITIES, Grant, OnFault, Plugins};
pub use rules::Rules;
pub use section::Word;
pub use segment::{
    CaptureChoice, Mode, OnFailure, PAGE_MTU_MAX, Ports, Segment, WaitMode, XdpMode,
};
pub use streams::{OneSided, StreamMidstream, Streams, Urgent};
pub use traffic::{ChecksumPolicy, Flow, Midstream, Overlap, ResetProves, WhenFull, Wire};
pub use units::{
    DURATION_REMEDY, SIZE_REMEDY, parse_duration, parse_size, write_duration, write_size,
};

pub(crate) use diagnostics::Note;
pub(crate) use section::{Ledger, Section};

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Where the configuration is, unless a command says otherwise.
pub const CONFIG_FILE: &str = "/etc/portcullis/portcullis.toml";

/// The configuration as it is shipped: every key with what it means.
pub const SHIPPED: &str = include_str!("../portcullis.toml");

/// Bytes of a configuration file at most: ten thousand exclusion rows fit several times.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The whole configuration. [`Config::default`] is what an empty file means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `[engine]`
    pub engine: Engine,
    /// `[[segment]]`, numbered in this order.
    pub segments: Vec<Segment>,
    /// `[wire]`
    pub wire: Wire,
    /// `[flow]`
    pub flow: Flow,
    /// `[streams]`
    pub streams: Streams,
    /// `[decode]`
    pub decode: Decode,
    /// `[attacks]`: the Network Attack Blocker.
    pub attacks: ClassSettings,
    /// `[activity]`: the Network Activity Scanner.
    pub activity: Activity,
    /// `[[ceiling]]`
    pub ceiling: Vec<CeilingRow>,
    /// `[blocks]`
    pub blocks: Blocks,
    /// `[[exclusion]]`, first match wins.
    pub exclusions: Vec<ExclusionRow>,
    /// `[plugins]`
    pub plugins: Plugins,
    /// `[rules]`
    pub rules: Rules,
    /// `[events]`
    pub events: Events,
    /// `[control]`
    pub control: ControlSocket,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[inventory]`
    pub inventory: InventorySource,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            engine: Engine::default(),
            segments: Vec::new(),
            wire: Wire::default(),
            flow: Flow::default(),
            streams: Streams::default(),
            decode: Decode::default(),
            attacks: ClassSettings::default(),
            activity: Activity::default(),
            ceiling: CeilingRow::shipped(),
            blocks: Blocks::default(),
            exclusions: Vec::new(),
            plugins: Plugins::default(),
            rules: Rules::default(),
            events: Events::default(),
            control: ControlSocket::default(),
            metrics: Metrics::default(),
            inventory: InventorySource::default(),
        }
    }
}

/// A configuration that can be used, what is doubtful about it, and its text to point into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Warnings only.
    pub warnings: Diagnostics,
    /// The text, for mistakes that are found later (see [`Source::diagnostic`]).
    pub source: Source,
}

impl Config {
    /// Reads a file. Either a configuration without mistakes, or all of them.
    pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
        Self::parse(path, read_file(path, FILE_BYTES_MAX)?)
    }

    /// Reads a text that came from `path`.
    pub fn parse(path: &Path, text: String) -> Result<Loaded, Diagnostics> {
        let source = Source::new(path, text);
        let (config, ledger) = read(source.text());
        let diagnostics = source.diagnose(ledger.notes);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        Ok(Loaded { config, warnings: diagnostics, source })
    }

    /// The segment of a name.
    pub fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|s| s.name == name)
    }

    /// The control socket's whole path.
    pub fn socket_path(&self) -> PathBuf {
        self.engine.run_dir.join(&self.control.socket)
    }

    /// The EVE log's whole path; `None` where there is to be none.
    pub fn events_path(&self) -> Option<PathBuf> {
        let file = &self.events.file;
        (!file.as_os_str().is_empty()).then(|| self.engine.log_dir.join(file))
    }

    /// The journal's whole path.
    pub fn journal_path(&self) -> PathBuf {
        self.engine.state_dir.join("blocks.journal")
    }
}

/// The text of a file, at most `limit` bytes of UTF-8.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<String, Diagnostics> {
    let fail = |message: String, remedy: &str| {
        let mut list = Diagnostics::new();
        list.push(Diagnostic::of_file(path, Level::Error, message, remedy));
        list
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)).map_err(|e| {
        fail(format!("the file cannot be read: {e}"), "name a readable file, or mend its rights")
    })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        let message = format!("the file is larger than {}", write_size(limit));
        return Err(fail(message, "name a configuration file"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let message = format!("byte {} is not UTF-8", e.utf8_error().valid_up_to());
        fail(message, "save the file as UTF-8")
    })
}

/// Parses TOML and hands its root to `then`; syntax errors go to the ledger, and what can be read
/// is read all the same, so that one pass names every mistake.
pub(crate) fn with_root<T>(text: &str, then: impl FnOnce(Section<'_, '_>) -> T) -> (T, Ledger) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let ledger = RefCell::new(Ledger { torn: !errors.is_empty(), ..Ledger::default() });
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        ledger.borrow_mut().notes.push(Note {
            level: Level::Error,
            at,
            message: format!("this is no TOML: {}", error.message().trim().replace('\n', "; ")),
            remedy: "write `key = value` under a [section]; texts stand in quotes".into(),
        });
    }
    let out = then(Section::root(&table, &ledger));
    (out, ledger.into_inner())
}

fn read(text: &str) -> (Config, Ledger) {
    with_root(text, |mut s| {
        let config = Config {
            engine: Engine::read(s.table("engine")),
            segments: segment::read_all(&mut s),
            wire: Wire::read(s.table("wire")),
            flow: Flow::read(s.table("flow")),
            streams: Streams::read(s.table("streams")),
            decode: Decode::read(s.table("decode")),
            attacks: ClassSettings::read_attacks(s.table("attacks")),
            activity: Activity::read(s.table("activity")),
            ceiling: CeilingRow::read_all(&mut s),
            blocks: Blocks::read(s.table("blocks")),
            exclusions: ExclusionRow::read_all(&mut s),
            plugins: Plugins::read(s.table("plugins")),
            rules: Rules::read(s.table("rules")),
            events: Events::read(s.table("events")),
            control: ControlSocket::read(s.table("control")),
            metrics: Metrics::read(s.table("metrics")),
            inventory: InventorySource::read(s.table("inventory")),
        };
        examine(&config, &s);
        s.finish();
        config
    })
}

/// What one section alone cannot show.
fn examine(config: &Config, s: &Section<'_, '_>) {
    if config.flow.memory > config.engine.memory {
        let message = format!(
            "flow.memory is {}, more than engine.memory, which is {}",
            write_size(config.flow.memory),
            write_size(config.engine.memory)
        );
        s.wrong(s.at_key("flow"), message, "raise engine.memory or lower flow.memory");
    }
}
