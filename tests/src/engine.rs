//! The engine under test: started in the middle of a lab, asked by its own command line, read by
//! the files it writes.
//!
//! Must never know: what is expected of it. Everything about the shape of its command line is in
//! this file and nowhere else.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::command::{self, Finished, Running};
use crate::lab::{Lab, PORT_A, PORT_B};
use crate::place::Place;
use crate::requirement;

/// The segment's name.
pub const SEGMENT: &str = "street";
/// From start to an answer on the control socket; compiling the detectors is the most of it.
const START_LIMIT: Duration = Duration::from_secs(30);
/// One question on the control socket.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// From SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Which detectors an engine is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detectors {
    /// All first-party ones.
    Shipped,
    /// None: it starts at once.
    Absent,
}

/// What the configuration says, where it differs from the shipped defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `capture` of the segment.
    pub capture: &'static str,
    /// `mode` of the segment.
    pub mode: &'static str,
    /// `on_failure` of the segment.
    pub on_failure: &'static str,
    /// `block_for` of both classes.
    pub block_for: &'static str,
    /// The detectors in the plugins folder.
    pub detectors: Detectors,
    /// `workers`, in TOML.
    pub workers: &'static str,
    /// Lines for `[plugins]`.
    pub plugin_lines: &'static str,
    /// Lines for `[engine]`.
    pub engine_lines: String,
    /// Lines for the segment.
    pub segment_lines: String,
    /// Whole sections to add.
    pub sections: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            capture: "af_xdp",
            mode: "prevent",
            on_failure: "closed",
            block_for: "10m",
            detectors: Detectors::Shipped,
            workers: "\"auto\"",
            plugin_lines: "",
            engine_lines: String::new(),
            segment_lines: String::new(),
            sections: String::new(),
        }
    }
}

impl Settings {
    /// With rules, which are put beside the lab's configuration, and little memory to read with.
    #[must_use]
    pub fn with_rules(self, lab: &Lab, rules: &str) -> Settings {
        let file = lab.folder().join("local.rules");
        std::fs::write(&file, rules).expect("the lab's folder can be written");
        let sections = format!(
            "{}[rules]\nfiles = [\"{}\"]\n\n[streams]\nmemory = \"16MiB\"\nmax = 16384\n\
             conversations = \"32MiB\"\n",
            self.sections,
            file.display()
        );
        Settings { sections, ..self }
    }

    /// The configuration file for a lab.
    #[must_use]
    pub fn text(&self, lab: &Lab) -> String {
        let folder = lab.folder().display();
        let plugins = lab.folder().join("plugins");
        let Settings { capture, mode, on_failure, block_for, workers, .. } = self;
        format!(
            "[engine]\n\
             workers = {workers}\n\
             memory = \"512MiB\"\n\
             state_dir = \"{folder}/state\"\n\
             run_dir = \"{folder}/run\"\n\
             log_dir = \"{folder}/log\"\n\
             {}\n\
             [[segment]]\n\
             name = \"{SEGMENT}\"\n\
             ports = [\"{PORT_A}\", \"{PORT_B}\"]\n\
             inside = \"{PORT_B}\"\n\
             capture = \"{capture}\"\n\
             mode = \"{mode}\"\n\
             on_failure = \"{on_failure}\"\n\
             {}\n\
             [flow]\nmemory = \"64MiB\"\n\n\
             [attacks]\nblock_for = \"{block_for}\"\n\n\
             [activity]\nblock_for = \"{block_for}\"\n\n\
             [plugins]\ndir = \"{}\"\n{}\n\n\
             [events]\nstats_interval = \"1s\"\n\n\
             {}\n",
            self.engine_lines,
            self.segment_lines,
            plugins.display(),
            self.plugin_lines,
            self.sections,
        )
    }
}

/// A running engine. Dropping it kills it.
#[derive(Debug)]
pub struct Engine<'lab> {
    lab: &'lab Lab,
    process: Running,
    configuration: PathBuf,
}

impl<'lab> Engine<'lab> {
    /// Writes the configuration, starts the engine between the bridges, waits until it answers.
    #[must_use]
    pub fn start(lab: &'lab Lab, settings: &Settings) -> Engine<'lab> {
        for name in ["state", "run", "log", "plugins"] {
            std::fs::create_dir_all(lab.folder().join(name))
                .expect("the lab's folder can be written");
        }
        if settings.detectors == Detectors::Shipped {
            copy_plugins(lab);
        }
        let configuration = lab.folder().join("portcullis.toml");
        std::fs::write(&configuration, settings.text(lab))
            .expect("the lab's folder can be written");
        let process = launch(lab, &configuration);
        let mut engine = Engine { lab, process, configuration };
        engine.await_answer();
        engine
    }

    /// Starts it again after it ended, with the same configuration and state.
    pub fn restart(&mut self) {
        self.restart_at_once();
        self.await_answer();
    }

    /// As [`Engine::restart`], without waiting for an answer.
    pub fn restart_at_once(&mut self) {
        self.process.kill();
        self.process = launch(self.lab, &self.configuration);
    }

    /// Waits until the control socket answers; panics with the engine's log where it does not.
    pub fn await_answer(&mut self) {
        let mut answers = false;
        command::wait_until(START_LIMIT, || {
            answers = self.ask(&["status"]).succeeded();
            answers || !self.process.is_alive()
        });
        assert!(answers, "the engine does not answer; its log:\n{}", self.log());
    }

    /// Writes another configuration; [`Engine::reload`] takes it.
    pub fn configure(&self, settings: &Settings) {
        std::fs::write(&self.configuration, settings.text(self.lab))
            .expect("the lab's folder can be written");
    }

    /// Has it read its configuration again (SIGHUP).
    pub fn reload(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it gracefully (SIGTERM); its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.stop(STOP_LIMIT)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// Everything it wrote to its terminal.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.lab)).unwrap_or_default()
    }

    /// Runs a verb of the command line against it.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> Finished {
        let words = self.command_words(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        command::run(&words, ANSWER_LIMIT)
    }

    /// A verb of the command line against it, as one would type it.
    #[must_use]
    pub fn command_line(&self, words: &[&str]) -> String {
        self.command_words(words).join(" ")
    }

    fn command_words(&self, words: &[&str]) -> Vec<String> {
        let binary = requirement::engine_binary().to_string_lossy().into_owned();
        let configuration = self.configuration.to_string_lossy().into_owned();
        let verbs = words.iter().map(|word| (*word).to_owned());
        [binary].into_iter().chain(verbs).chain(["-c".to_owned(), configuration]).collect()
    }

    /// A verb that has to succeed, with its answer in JSON.
    pub fn answer(&self, words: &[&str]) -> Value {
        let finished = self.ask(&[words, &["-o", "json"]].concat());
        let text = finished.clone().expect_success();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("no JSON ({e}): {finished}"))
    }

    /// The blocked list.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let answer = self.answer(&["blocks", "list"]);
        let rows = answer.as_array().or_else(|| answer["blocks"].as_array()).cloned();
        rows.unwrap_or_else(|| panic!("no list of blocks: {answer}"))
            .iter()
            .map(Block::of)
            .collect()
    }

    /// Whether an address is blocked in a place.
    #[must_use]
    pub fn is_blocked(&self, source: IpAddr, place: Place) -> bool {
        self.blocks().iter().any(|block| block.is(source, place))
    }

    /// Waits for a block; panics with the list where none comes.
    pub fn await_block(&self, source: IpAddr, place: Place) -> Block {
        let mut found = None;
        command::wait_until(Duration::from_secs(20), || {
            found = self.blocks().into_iter().find(|block| block.is(source, place));
            found.is_some()
        });
        found.unwrap_or_else(|| {
            panic!("{source} is not blocked in {place}: {:?}\n{}", self.blocks(), self.log())
        })
    }

    /// Blocks by hand; whether the engine acknowledged it.
    #[must_use]
    pub fn block(&self, source: IpAddr, place: Place, duration: &str) -> bool {
        let (source, vlan) = (source.to_string(), vlan_argument(place));
        let scope = [source.as_str(), "--segment", SEGMENT, "--vlan", &vlan];
        self.ask(&[&["blocks", "add"][..], &scope, &["--for", duration]].concat()).succeeded()
    }

    /// Lifts a block by hand; whether the engine acknowledged it.
    #[must_use]
    pub fn unblock(&self, source: IpAddr, place: Place) -> bool {
        self.unblock_with(source, place, &[])
    }

    /// Lifts a block by hand; for `grace` the address is not blocked again.
    #[must_use]
    pub fn unblock_with_grace(&self, source: IpAddr, place: Place, grace: &str) -> bool {
        self.unblock_with(source, place, &["--grace", grace])
    }

    fn unblock_with(&self, source: IpAddr, place: Place, options: &[&str]) -> bool {
        let (source, vlan) = (source.to_string(), vlan_argument(place));
        let scope = [source.as_str(), "--segment", SEGMENT, "--vlan", &vlan];
        self.ask(&[&["blocks", "remove"][..], &scope, options].concat()).succeeded()
    }

    /// Adds an exclusion row at run time.
    pub fn exclude(&self, row: &str) {
        let _ = self.ask(&["exclusions", "add", row]).expect_success();
    }

    /// Switches the segment's mode at run time.
    pub fn set_mode(&self, mode: &str) {
        let _ = self.ask(&["mode", SEGMENT, mode]).expect_success();
    }

    /// Puts a detector in the place of the running one of the same name.
    pub fn swap_plugin(&self, wasm: &Path) {
        let _ = self.ask(&["plugin", "swap", &wasm.to_string_lossy()]).expect_success();
    }

    /// Every figure that it exports now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures::read(&self.ask(&["metrics"]).expect_success())
    }

    /// The events of one type that are on disk.
    #[must_use]
    pub fn events(&self, event_type: &str) -> Vec<Value> {
        let path = self.lab.folder().join("log/eve.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["event_type"] == event_type)
            .collect()
    }
}

/// The engine's figures, as Prometheus text has them.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    samples: Vec<(String, f64)>,
}

impl Figures {
    fn read(text: &str) -> Figures {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Figures { samples: samples.collect() }
    }

    /// Name with labels, and value, of everything that is not zero.
    pub fn counted(&self) -> impl Iterator<Item = (&str, f64)> {
        let samples = self.samples.iter().filter(|(_, value)| *value != 0.0);
        samples.map(|(series, value)| (series.as_str(), *value))
    }

    /// The sum of all series whose name or labels hold this word; panics where there is none, so
    /// that a figure that was renamed is not taken for zero.
    #[must_use]
    pub fn sum(&self, word: &str) -> f64 {
        let is_meant = |series: &str| {
            series
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|part| part == word || part.ends_with(&format!("_{word}_total")))
        };
        let meant: Vec<f64> = self
            .samples
            .iter()
            .filter(|(series, _)| is_meant(series))
            .map(|(_, value)| *value)
            .collect();
        assert!(!meant.is_empty(), "no figure for `{word}` among {:#?}", self.samples);
        meant.iter().sum()
    }
}

/// A row of the blocked list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who.
    pub source: String,
    /// Where; empty is no tag.
    pub vlan: Vec<u64>,
    /// Until when, as written.
    pub until: String,
    /// The rule.
    pub rule: String,
    /// The whole row.
    pub row: String,
}

impl Block {
    fn of(row: &Value) -> Block {
        let text =
            |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
        let vlan = row["vlan"].as_array().cloned().unwrap_or_default();
        Block {
            source: text("source"),
            vlan: vlan.iter().filter_map(Value::as_u64).collect(),
            until: text("until"),
            rule: text("rule"),
            row: row.to_string(),
        }
    }

    /// Whether it is that address in that place.
    #[must_use]
    pub fn is(&self, source: IpAddr, place: Place) -> bool {
        let address = self.source.split('/').next().unwrap_or_default();
        let vids = place.tags().filter(|vid| *vid != 0).map(u64::from);
        address.parse() == Ok(source) && self.vlan.iter().copied().eq(vids)
    }
}

/// `--vlan` for a place: `0`, `10`, `10.20`.
fn vlan_argument(place: Place) -> String {
    if place == Place::UNTAGGED { "0".to_owned() } else { place.to_string() }
}

fn copy_plugins(lab: &Lab) {
    let plugins = requirement::distribution().join("plugins");
    for entry in std::fs::read_dir(&plugins).into_iter().flatten().flatten() {
        let to = lab.folder().join("plugins").join(entry.file_name());
        std::fs::copy(entry.path(), to).expect("the lab's folder can be written");
    }
}

fn log_file(lab: &Lab) -> PathBuf {
    lab.folder().join("engine.log")
}

fn launch(lab: &Lab, configuration: &Path) -> Running {
    let binary = requirement::engine_binary().to_string_lossy().into_owned();
    let configuration = configuration.to_string_lossy();
    lab.engine().start(&[&binary, "run", "-c", &configuration], &log_file(lab))
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn figures_are_found_by_name_and_by_label() {
        let text = "# TYPE portcullis_xdp_total counter\n\
                    portcullis_xdp_total{port=\"port-a\",kind=\"rx_dropped\"} 2\n\
                    portcullis_xdp_total{port=\"port-b\",kind=\"rx_dropped\"} 3\n\
                    portcullis_capture_transmit_full_total{port=\"port-b\"} 4\n";
        let figures = Figures::read(text);
        assert!((figures.sum("rx_dropped") - 5.0).abs() < 0.1);
        assert!((figures.sum("transmit_full") - 4.0).abs() < 0.1);
        assert_eq!(figures.counted().count(), 3);
    }
}
