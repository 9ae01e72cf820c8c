//! What a test sets for the peer, said in our own configuration.
//!
//! Must never know: what the test expects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// What rules say is done.
const ACTING: &str = "[[ceiling]]
gid = 1
at_most = \"terminate\"
";
/// Whoever writes `pass` means it.
const MAY_PASS: &str = "[plugins.grant.signatures]
capabilities = [
    \"bit\", \"buffer\", \"count\", \"fuel\", \"metric\", \"pass\", \"regex\", \"section\",
]
";
/// A segment that lets everything pass. Nothing in the tests is from the network that it protects.
const WATCHING: &str = "[[segment]]
name = \"replay\"
tap = \"replay\"
protected = [\"192.0.2.0/24\"]
mode = \"monitor\"
";

/// The settings of the peer that change which alerts there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// `-k none` was not given: what has a wrong checksum does not arrive.
    verifies_checksums: bool,
    /// `--simulate-ips`: verdicts are acted on.
    acts: bool,
    /// The peer's configuration, by paths with dots; the command line's `--set` over the file.
    set: BTreeMap<String, String>,
    /// Lists of words in it.
    lists: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// From the words of the command line and the test's own configuration.
    pub(crate) fn of(arguments: &[&str], configured: &Value) -> Settings {
        let mut settings = Settings { verifies_checksums: true, ..Settings::default() };
        settings.flatten(String::new(), configured);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match *word {
                "-k" => settings.verifies_checksums = words.next() != Some(&"none"),
                "--simulate-ips" => settings.acts = true,
                "--set" => {
                    let (key, value) =
                        words.next().and_then(|w| w.split_once('=')).unwrap_or_default();
                    settings.set.insert(key.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        settings
    }

    fn flatten(&mut self, path: String, value: &Value) {
        match value {
            Value::Object(pairs) => {
                for (key, value) in pairs {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.flatten(below, value);
                }
            }
            Value::Array(words) => {
                let words = words.iter().filter_map(Value::as_str).map(str::to_owned);
                self.lists.insert(path, words.collect());
            }
            Value::Null => {}
            Value::String(text) => drop(self.set.insert(path, text.clone())),
            other => drop(self.set.insert(path, other.to_string())),
        }
    }

    fn is_on(&self, key: &str) -> bool {
        self.set.get(key).is_some_and(|value| matches!(value.as_str(), "true" | "yes" | "1"))
    }

    /// What becomes of conversations met in the middle: the peer reads them or not, and where it
    /// does not, or should not, a policy of exceptions holds.
    fn midstream(&self) -> &'static str {
        // Of one-sided conversations the beginning is not seen either.
        let is_read = self.is_on("stream.midstream") || self.is_on("stream.async-oneside");
        let named = ["stream.midstream-policy", "exception-policy"];
        let named = named.iter().find_map(|key| self.set.get(*key)).map(String::as_str);
        match named.unwrap_or(if self.acts { "auto" } else { "ignore" }) {
            "pass-flow" | "bypass" => "pass",
            "drop-flow" | "reject" => "drop",
            "auto" if self.acts && !is_read => "drop",
            _ if is_read => "read",
            _ => "packets",
        }
    }

    /// The configuration of the engine for these rules.
    pub(crate) fn configuration(&self, rules: &[PathBuf]) -> String {
        let checksum = if self.verifies_checksums { "report" } else { "ignore" };
        let midstream = self.midstream();
        let one_sided = if self.is_on("stream.async-oneside") { "read" } else { "packets" };
        // A peer that only watches reports whatever passes; one that acts does what a rule says.
        let end = match self.acts {
            true => ACTING,
            false => WATCHING,
        };
        let mut text = String::new();
        if !self.acts {
            text.push_str("ceiling = []\n");
        }
        text.push_str("[activity]\nother = true\n[wire]\n");
        for layer in ["ipv4", "tcp", "udp", "icmp"] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "checksum_{layer} = \"{checksum}\"");
        }
        text.push_str("[flow]\nfragment_overlap = \"report\"\n");
        let _ = writeln!(text, "[streams]\nmidstream = {midstream:?}\none_sided = {one_sided:?}");
        let files: Vec<String> = rules.iter().map(|file| format!("{file:?}")).collect();
        let _ = writeln!(text, "[rules]\nfiles = [{}]", files.join(", "));
        if let Some(order) = self.lists.get("action-order") {
            let _ = writeln!(text, "action_order = {order:?}");
        }
        for (group, theirs) in [("addresses", "address-groups"), ("ports", "port-groups")] {
            let prefix = format!("vars.{theirs}.");
            let _ = writeln!(text, "[rules.{group}]");
            for (key, value) in &self.set {
                if let Some(name) = key.strip_prefix(&prefix) {
                    let _ = writeln!(text, "{name} = {value:?}");
                }
            }
        }
        text + end + MAY_PASS
    }
}

#[test]
fn the_command_line_wins_over_the_file() {
    let configured = serde_json::json!({
        "stream": {"midstream": false},
        "vars": {"address-groups": {"HOME_NET": "[10.0.0.0/8]"}},
    });
    let settings = Settings::of(&["-k", "none", "--set", "stream.midstream=true"], &configured);
    let text = settings.configuration(&["/a b.rules".into()]);
    for line in ["checksum_tcp = \"ignore\"", "midstream = \"read\"", "files = [\"/a b.rules\"]"] {
        assert!(text.lines().any(|found| found == line), "no line {line} in {text}");
    }
    assert!(text.contains("HOME_NET = \"[10.0.0.0/8]\""), "{text}");
}
